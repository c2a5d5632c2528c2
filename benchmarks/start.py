"""How long `python app.py` takes until its page answers, beside the import of Gradio alone."""

import os
import socket
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import torch

ROOT = Path(__file__).parents[1]
PATIENCE = 300  # seconds


def rows(_device: torch.device, _depth: int, runs: int) -> list[dict[str, Any]]:
    """What `var bench --all` says of the start; the import of Gradio is its limit, not its reference."""
    imports, starts = [], []
    for _ in range(runs):  # by turns
        imports.append(seconds_of_import("gradio"))
        starts.append(seconds_until_the_page_answers())
    least, middle = statistics.median(imports), statistics.median(starts)
    what = f"start of app.py, {middle / least:.2f}× `import gradio`"
    return [{"what": what, "precision": None, "seconds": round(middle, 3), "share_of_limit": round(least / middle, 4)}]


def seconds_of_import(name: str) -> float:
    """Seconds of a process that imports a module and does nothing else."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {name}"], check=True)
    return time.perf_counter() - start


def seconds_until_the_page_answers() -> float:
    """Seconds from starting the app to its first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port)]
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    opener = build_opener(ProxyHandler({}))
    start = time.perf_counter()
    app = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while app.poll() is None and time.perf_counter() - start < PATIENCE:
            with suppress(URLError, ConnectionError):
                opener.open(f"http://127.0.0.1:{port}/").read()
                return time.perf_counter() - start
            time.sleep(0.02)
        raise ValueError("app.py serves no page")
    finally:
        app.terminate()
        app.wait()
