"""Serve the page with the model in the box: `python app.py`, and `var-demo` where the package is installed."""

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..processor import share_processor
from .options import PageOptions, read_options
from .server_folder import server_folder
from .serving import bypass_proxy, check_port

LAST_SECONDS = 1.0  # for the answers of runs that have ended


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until interrupted; returns the exit code, 2 with one line on standard error for bad input."""
    try:
        options = read_options(arguments, os.environ)
        bypass_proxy(options.host)
        report_folder(options)
        share_processor()
        with kept_objects():
            # Here, so that --help and a wrong argument answer at once.
            from ..device import choose_device
            from .metrics import check_metrics

        if options.engine != "ray":  # whose workers have devices of their own
            choose_device(options.device)
        if options.metrics:
            check_metrics()
        check_port(options.host, options.port)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # where it is then, so that the folder goes, too
        with server_folder():
            with kept_objects():
                # Imported here, so that Gradio finds its folder.
                from .page import create_page, launch_options

                page = create_page(options.checkpoints, options.device, options)
            if page.preload:
                page.preload.begin()
            with closing(page.engine):
                try:
                    page.launch(**launch_options(page, options))
                except SystemExit:  # by SIGTERM; the page answers meanwhile
                    print(f"* Stopping: runs have {options.grace:g} s to end", flush=True)
                    page.reception.close(options.grace)
                    time.sleep(LAST_SECONDS)
                    page.close(verbose=False)  # what still made files would bring the folder back that goes now
                    raise
    except (ValueError, OSError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 2
    return 0


@contextmanager
def kept_objects() -> Iterator[None]:
    """Spare Python the search for garbage among a million objects that are made here and stay: now, and later on.

    Walking them again and again takes a tenth of the start, and every full search afterwards the third of a second.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def report_folder(options: PageOptions) -> None:
    """Say where checkpoints are looked for; raises NotADirectoryError where that can be no folder."""
    folder = options.checkpoints
    if folder.is_dir():
        print(f"* Checkpoints folder: {folder.absolute()}")
        return
    if folder.exists():
        raise NotADirectoryError(f"--checkpoints {folder}: expected a folder. To open one file, name its folder.")
    print(
        f"{Path(sys.argv[0]).name}: there is no folder {folder.absolute()}; the page starts without checkpoints. "
        "Make it, or give another with --checkpoints.",
        file=sys.stderr,
    )
