"""The app in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

APP = Path(__file__).resolve().parent.parent / "app.py"


ADDRESS = re.compile(r"http://\S+")


@contextmanager
def serving_app(*arguments, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Start the app and hand out its address."""
    with running_app(*arguments, environment=environment) as (printed, _):
        yield ADDRESS.search(printed)[0]


@contextmanager
def running_app(*arguments, environment: Mapping[str, str] = os.environ) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the app and hand out what it prints, up to its address, and its process."""
    command = [sys.executable, "-u", str(APP), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        printed = ""
        while not ADDRESS.search(printed):
            line = process.stdout.readline()
            assert line, f"the app ended: {printed}"
            printed += line
        yield printed, process
    finally:
        process.terminate()
        process.communicate(timeout=60)
