"""Whole files: written so that a kill at any moment leaves the old or the new one; the hash of what is in them."""

import hashlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its final place, then move it there; after an error nothing is left.

    Args:
        path: the final place; a file that is there is replaced.
        write: gets the open file.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal; it is read a part at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove what `write_atomically` left in a folder when its process was killed.

    Args:
        folder: in which no other process writes now.

    Returns:
        The files that were removed.
    """
    found = [path for path in folder.glob(".*.tmp") if re.fullmatch(r"\..+\.[0-9a-f]{8}\.tmp", path.name)]
    for path in found:
        path.unlink(missing_ok=True)
    return found
