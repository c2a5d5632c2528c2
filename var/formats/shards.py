"""The index of a model in several files: which weight is in which of the files beside it.

An index is small, and everybody may have written it: its length and its names are bounded before anything is made of
them, so that one that is refused costs neither time nor memory.
"""

import json
from functools import lru_cache
from pathlib import Path

from ..errors import CheckpointError

INDEX_SUFFIX = ".index.json"
SHARD_INDEX = f".safetensors{INDEX_SUFFIX}"  # of a model in several files
MAX_INDEX_BYTES = 1 << 20  # that of a VAR of depth 36 in several files has 0.05 MB
MAX_INDEXED = 20_000  # weights; the same one has 600
MAX_SHARDS = 1000
MAX_SHARD_NAME = 255  # characters
UNREADABLE = 'The index has no readable "weight_map" from weights to files. Fetch it again.'


def read_index(index: Path) -> dict[str, str]:
    """Read which file holds each weight.

    Args:
        index: the index; the files lie in its folder.

    Returns:
        The name of a file by the name of each weight; names are plain and may be missing from the folder.

    Raises:
        CheckpointError: it is no index, or larger than one can be; the message does not name the file.
        OSError: it cannot be read.
    """
    with index.open("rb") as file:
        text = file.read(MAX_INDEX_BYTES + 1)
    if len(text) > MAX_INDEX_BYTES:
        raise CheckpointError(
            f"The index of the model's files has over {MAX_INDEX_BYTES >> 20} MB, far more than an index of a VAR's. "
            "Fetch it again."
        )
    try:
        places: dict[str, str] = json.loads(text)["weight_map"]
        names = set(places.values())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise CheckpointError(UNREADABLE) from None
    if len(names) > MAX_SHARDS or len(places) > MAX_INDEXED:
        raise CheckpointError(
            f"The index names {len(places):,} weights in {len(names):,} files, too many for a VAR (at most "
            f"{MAX_INDEXED:,} in {MAX_SHARDS:,}). Fetch it again."
        )
    if not all(isinstance(name, str) and _is_plain_name(name) for name in names):
        raise CheckpointError("The index names files outside its folder. Expected plain names of files beside it.")
    return places


def shard_names(index: Path) -> frozenset[str]:
    """Return the names of the files that an index names; none where it is no index.

    An index that did not change is not read twice. Whoever opens it is told what is wrong with it.
    """
    try:
        status = index.stat()
        return _read_shard_names(index, status.st_size, status.st_mtime_ns)
    except OSError:
        return frozenset()


@lru_cache(maxsize=32)
def _read_shard_names(index: Path, size: int, modified: int) -> frozenset[str]:
    """Read the names; size and time of change are there to tell a new index from the one that was read."""
    try:
        return frozenset(read_index(index).values())
    except CheckpointError:
        return frozenset()


def _is_plain_name(name: str) -> bool:
    """Whether a name stays in its folder, and is one that a system and a terminal take."""
    return (
        0 < len(name) <= MAX_SHARD_NAME and name.isprintable() and name.strip(".") != "" and not set(name) & set("/\\")
    )
