"""A short name for the content of a checkpoint, cheap for files of any size."""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

HASH_DIGITS = 10
BLOCK = 1 << 16
WHOLE_UP_TO = 64 * BLOCK  # a file this small is read whole
NUM_BLOCKS = 64  # read of a larger one, the first and the last among them


def short_hash(*paths: str | Path) -> str:
    """Tell checkpoints apart by their content.

    The first digits of the SHA-256 of each file's size and of 64 blocks of 64 KiB, evenly spaced, the first and the
    last among them; small files are read whole. So it takes milliseconds for 25 GB; it tells two trainings or two
    epochs apart, as all of their weights differ, but is no seal against forgery. The same weights in another format
    have another hash.

    Args:
        paths: the file or files, in any order; of a folder every file that is not hidden counts.

    Returns:
        10 hexadecimal digits.

    Raises:
        FileNotFoundError: there is nothing at a path.
    """
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            files += [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
        else:
            files.append(path)
    return _short_hash(tuple(_version(file) for file in sorted(files, key=lambda file: file.name)))


def _version(file: Path) -> tuple[str, int, int]:
    """A file as it is now; another tuple once it is written anew."""
    status = file.stat()
    return os.fspath(file.resolve()), status.st_size, status.st_mtime_ns


@lru_cache(maxsize=256)
def _short_hash(files: Sequence[tuple[str, int, int]]) -> str:
    digest = hashlib.sha256()
    for name, size, _ in files:
        digest.update(size.to_bytes(8, "little"))
        with open(name, "rb") as file:
            if size <= WHOLE_UP_TO:
                digest.update(file.read(WHOLE_UP_TO))
                continue
            for start, end in sampled_spans(size):
                file.seek(start)
                digest.update(file.read(end - start))
    return digest.hexdigest()[:HASH_DIGITS]


def sampled_spans(size: int) -> list[tuple[int, int]]:
    """Return what is read of a large file of so many bytes, first byte and the one after the last of each part."""
    starts = (index * (size - BLOCK) // (NUM_BLOCKS - 1) for index in range(NUM_BLOCKS))
    return [(max(0, start), min(size, start + BLOCK)) for start in starts]
