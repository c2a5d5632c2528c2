"""The folder of a running server: all that visitors upload and make lies in it, and it goes when the server ends."""

import getpass
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

VARIABLE = "GRADIO_TEMP_DIR"  # where Gradio keeps its files
PREFIX = "var-server-"
LOCK = ".lock"
UPLOADS = "uploads"  # in the folder
MAX_BYTES = 8_000_000_000  # of images, archives and exports
MIN_SECONDS = 600
FREE_BYTES = 50_000_000  # of the disk without which no run begins: its images have to be kept


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of this user's machine for what outlives a server and can be made again."""
    return Path(environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "var-demo"


@contextmanager
def server_folder(environment: MutableMapping[str, str] = os.environ) -> Iterator[Path]:
    """Make a folder for what a server keeps while it runs, and have Gradio keep its files there.

    It is deleted in the end. What servers left behind that were killed is deleted by the next one: each holds a lock
    on its folder, which ends with its process.

    Args:
        environment: says in which folder it is made, as `GRADIO_TEMP_DIR`; among the machine's temporary files where
            that is not set.

    Raises:
        OSError: it cannot be made.
    """
    before = environment.get(VARIABLE)
    parent = Path(before or tempfile.gettempdir())
    prefix = f"{PREFIX}{user()}-"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / f".{prefix}lock"):  # no other server looks at a folder that is not locked yet
            remove_abandoned(parent, prefix)
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            lock = FileLock(folder / LOCK)
            lock.acquire()
    except OSError as error:
        raise OSError(
            f"No folder for uploads and images can be made in {parent} ({error.strerror or error}). Set {VARIABLE} to "
            "a folder that you may write to."
        ) from error
    environment[VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del environment[VARIABLE]
        else:
            environment[VARIABLE] = before
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def check_disk(environment: Mapping[str, str] = os.environ) -> None:
    """Raise OSError, a sentence for visitors, where there is no room for what a run makes."""
    folder = Path(environment.get(VARIABLE) or tempfile.gettempdir()).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if shutil.disk_usage(there).free < FREE_BYTES:
        raise OSError("The server's disk is full, so nothing can be made. Try again later.")


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Delete the folders of servers that no longer run."""
    for folder in parent.glob(f"{prefix}*"):
        try:
            with FileLock(folder / LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):
            continue  # its server runs, or it is not ours


def trim(
    folder: Path, max_bytes: int = MAX_BYTES, min_seconds: float = MIN_SECONDS, kept: Collection[str] = ()
) -> None:
    """Delete the oldest of what a server made, until what is left is no more than it keeps; uploads have own sums.

    Args:
        folder: of `server_folder`; any other is left alone.
        max_bytes: to keep.
        min_seconds: the age up to which files stay all the same: somebody looks at them.
        kept: paths of files that stay: parts of the page itself.
    """
    if not (folder / LOCK).exists():
        return
    found = []
    for inside, folders, names in os.walk(folder):
        if Path(inside) == folder:
            folders[:] = [name for name in folders if name != UPLOADS]
            continue
        for path in {os.path.join(inside, name) for name in names}.difference(kept):
            with suppress(OSError):  # it went meanwhile
                status = os.stat(path)
                found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for modified, size, path in sorted(found):
        if total <= max_bytes or time.time() - modified < min_seconds:
            break
        with suppress(OSError):
            os.remove(path)
        total -= size


def user() -> str:
    """Return what tells this user of the machine from others."""
    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
