"""Opening what may be a checkpoint, a file or a folder: what kind it is, and its content, without running code from it.

Tensors stay in the file until somebody reads them, so opening a file of any size costs little.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..text import one_line
from .other_kinds import EXPECTED, PICKLED_RECORD, describe_bytes
from .pickle_objects import StandIn
from .pickles import Unpickled
from .safetensors_format import is_safetensors, read_safetensors
from .shards import INDEX_SUFFIX, read_index, shard_names
from .tensors import StoredTensor, TensorFile
from .torch_format import LEGACY_MAGIC, read_legacy, read_zip

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")
UNCLEAR_SUFFIXES = ("", ".pkl", ".pickle", ".tar", ".th", ".pyth", ".weights", ".model")
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
PICKLE_SIGNATURES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
LEGACY_START = b"\x80\x02\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")  # a pickle of the magic number
MAX_LISTED = 5  # files named in a message
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.\w+$")  # number and count of a model in several files
DISTRIBUTED_SUFFIX, DISTRIBUTED_METADATA = ".distcp", ".metadata"
DEEPSPEED_SCRIPT = "zero_to_fp32.py"
JOIN_DISTRIBUTED = (
    "Make one file of its folder (python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER OUT.pth, "
    "which calls dcp_to_torch_save), and open that."
)


@dataclass(frozen=True)
class FileContent:
    """What a file, or a folder of files, holds.

    Args:
        kind: "torch", "legacy torch", "safetensors" or "sharded".
        payload: what was saved: plain containers, numbers and text, `StoredTensor` where tensors are, `StandIn` where
            other objects are; for safetensors a flat dict of tensors.
        metadata: the text entries of a safetensors header.
        paths: the files that were read.
        num_bytes: their size together.
        stand_ins: names of classes and functions whose objects were replaced.
        attack: what its pickle would have done elsewhere, in sentences, where that may be an attack; None otherwise.
    """

    kind: str
    payload: Any
    metadata: dict[str, str] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    num_bytes: int = 0
    stand_ins: tuple[str, ...] = ()
    attack: str | None = None


def open_file(path: Path) -> FileContent:
    """Open a checkpoint; none of its tensors' numbers are read.

    Args:
        path: a file, an index of several files, or a folder with one of these.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is no file of weights; the message does not name the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file. Check the path.")
    if path.suffix == DISTRIBUTED_SUFFIX or path.name == DISTRIBUTED_METADATA:
        raise CheckpointError(f"This is a part of a checkpoint of torch.distributed.checkpoint. {JOIN_DISTRIBUTED}")
    if path.is_dir():
        path = choose_in_folder(path)
    shard = SHARD.search(path.name)
    if shard is not None and int(shard[2]) > 1:
        raise CheckpointError(
            f"This is file {int(shard[1])} of {int(shard[2])} of one model. Download all of them and their index "
            f"(*{INDEX_SUFFIX}) into one folder, and open the index or that folder."
        )
    if not path.is_file():  # a pipe or a device may make a reader wait for ever
        raise CheckpointError(f"This is a pipe or a device, not a file. {EXPECTED}")
    if path.name.endswith(INDEX_SUFFIX):
        return _open_shards(path)
    return _open_single(path)


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that opening a path reads: the `paths` of what `open_file` returns, without opening them.

    Raises:
        CheckpointError: it is a folder with several checkpoints, or none.
    """
    if path.is_dir():
        path = choose_in_folder(path)
    if not path.name.endswith(INDEX_SUFFIX):
        return (path,)
    return (path, *(path.parent / name for name in sorted(shard_names(path)) if not name.endswith(INDEX_SUFFIX)))


def may_be_checkpoint(path: Path) -> bool:
    """Whether a file may be a checkpoint: by the end of its name, else by its first bytes, of which few are read.

    A name without an end, or with that of any pickle or archive (`model.pth.tar`, `model.pkl`, `model.180`), says
    nothing; all others are not looked into.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix not in UNCLEAR_SUFFIXES and not suffix[1:].isdigit():
        return False
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return False
    is_torch = start.startswith(ZIP_SIGNATURES) and PICKLED_RECORD.encode() in start
    return is_torch or start.startswith(LEGACY_START) or is_safetensors(start)


def scan_pickle(path: Path) -> Unpickled | None:
    """Return what the pickle of a torch file says, also where it is refused; None for other files.

    Raises:
        CheckpointError: the file cannot be read.
    """
    if not path.is_file() or path.name.endswith(INDEX_SUFFIX):
        return None
    content = _read_one(TensorFile(path))[1]
    return content if isinstance(content, Unpickled) else None


def choose_in_folder(folder: Path) -> Path:
    """Return the one file of a folder to open: an index of several files, else the only one that may be a checkpoint.

    Raises:
        CheckpointError: there is none, or several.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found = [path for path in files if path.name.endswith(INDEX_SUFFIX)]
    found = found or [path for path in files if may_be_checkpoint(path)]
    if len(found) == 1:
        return found[0]
    if (folder / DISTRIBUTED_METADATA).is_file() and any(path.suffix == DISTRIBUTED_SUFFIX for path in files):
        raise CheckpointError(f"This is a checkpoint of torch.distributed.checkpoint. {JOIN_DISTRIBUTED}")
    if (folder / DEEPSPEED_SCRIPT).is_file():
        raise CheckpointError(
            f"This is a checkpoint of DeepSpeed in parts. Make one file of it with DeepSpeed's own script in this "
            f"folder (python {DEEPSPEED_SCRIPT} . OUT), and open that."
        )
    if not found:
        raise CheckpointError(f"This is a folder without any checkpoint. {EXPECTED} Name the file, or its folder.")
    names = ", ".join(path.name for path in found[:MAX_LISTED]) + (", ..." if len(found) > MAX_LISTED else "")
    raise CheckpointError(
        f"This is a folder with {len(found)} files that may be checkpoints ({names}). Name one of them."
    )


def _open_single(path: Path) -> FileContent:
    """Open one file, which is no index."""
    return open_tensor_file(TensorFile(path))


def open_tensor_file(file: TensorFile) -> FileContent:
    """Open one file of which the bytes may be elsewhere.

    Raises:
        CheckpointError: as by `open_file`.
    """
    kind, content = _read_one(file)
    if isinstance(content, Unpickled):
        return FileContent(kind, content.value, {}, (file.path,), file.size, content.stand_ins, content.attack)
    tensors, metadata = content
    return FileContent(kind, tensors, metadata, (file.path,), file.size)


def _read_one(file: TensorFile) -> tuple[str, Unpickled | tuple[dict[str, StoredTensor | StandIn], dict[str, str]]]:
    """Kind of a single file, and what its format says."""
    start = file.read(0, 512)
    if start.startswith(ZIP_SIGNATURES):
        return "torch", read_zip(file)
    if is_safetensors(start):
        return "safetensors", read_safetensors(file)
    if start.startswith(PICKLE_SIGNATURES):
        return "legacy torch", read_legacy(file)
    raise CheckpointError(describe_bytes(start, file.size))


def _open_shards(index: Path) -> FileContent:
    """Open the files that an index names, as one; all lie in its folder."""
    places = read_index(index)
    names = sorted(set(places.values()))
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(
            f"The index names {len(names)} files, and {len(missing)} of them are missing beside it ({missing[0]}). "
            "Download them into the same folder."
        )
    shards = {name: _open_single(index.parent / name) for name in names if not name.endswith(INDEX_SUFFIX)}
    tensors = {}
    for key, name in places.items():
        payload = shards[name].payload if name in shards else None
        if not isinstance(payload, dict) or key not in payload:
            raise CheckpointError(
                f"The index says that {one_line(key, 80)} is in {name}, but it is not. Fetch the files again."
            )
        tensors[key] = payload[key]
    metadata = {key: text for shard in shards.values() for key, text in shard.metadata.items()}
    return FileContent(
        "sharded",
        tensors,
        metadata,
        (index, *(index.parent / name for name in shards)),
        index.stat().st_size + sum(shard.num_bytes for shard in shards.values()),
        tuple(sorted({name for shard in shards.values() for name in shard.stand_ins})),
        next((shard.attack for shard in shards.values() if shard.attack is not None), None),
    )
