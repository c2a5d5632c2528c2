"""The app in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

APP = Path(__file__).resolve().parent.parent / "app.py"


@contextmanager
def serving_app(*arguments, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Start the app and hand out its address, read from what it prints."""
    command = [sys.executable, "-u", str(APP), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        printed = ""
        while not (found := re.search(r"http://\S+", printed)):
            line = process.stdout.readline()
            assert line, f"the app ended: {printed}"
            printed += line
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=60)
