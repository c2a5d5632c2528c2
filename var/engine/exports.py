"""Exports for download: written once, where the server hands files out, and removed when nobody wants them."""

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from ..checkpoints.export import Exported, export_official, export_safetensors
from ..checkpoints.pair import OpenedPair
from ..device import DTYPES
from ..formats.tensors import StoredTensor
from ..text import file_name_part, format_bytes
from .models import Loading

WRITERS = {"safetensors": (export_safetensors, ".safetensors"), "official": (export_official, ".pth")}
EXPORT_QUEUE = "export"  # one at a time
FOLDER = "exports"
KEPT_FREE = 1_000_000_000  # bytes of the disk that exports leave, however many there are
SPARE = 1.05  # of the size of the weights: headers
MAX_NAME_BYTES = 80  # of a checkpoint, in the name of a file


@dataclass(frozen=True)
class ExportOrder:
    """What to export.

    Args:
        name: of the checkpoint, as the list has it; the files are named after it.
        path: its file.
        format: "safetensors" for one file with both models, "official" for plain .pth files as the reference
            implementation loads them.
        dtype: "float32", "bfloat16" or "float16"; "" keeps the precision of the file.
        loading: which weights.
    """

    name: str
    path: Path
    format: str = "safetensors"
    dtype: str = ""
    loading: Loading = Loading()

    def check(self) -> None:
        """Raise ValueError for what is not known."""
        if self.format not in [*WRITERS]:
            raise ValueError(f"The format must be safetensors or official, not {self.format}.")
        if self.dtype not in ["", *DTYPES]:
            raise ValueError(f"The precision must be float32, bfloat16, float16 or empty, not {self.dtype}.")

    @property
    def file_name(self) -> str:
        """Name of the main file: the checkpoint's, its folders, and the precision."""
        stem = re.sub(r" \(uploaded\).*$", "", self.name)
        stem = re.sub(r"\.(pth|pt|ckpt|bin|safetensors|index\.json)$", "", stem, flags=re.IGNORECASE)
        stem = file_name_part(stem, MAX_NAME_BYTES, "._-", keep_case=True) or "checkpoint"
        return f"{stem}{f'-{self.dtype}' if self.dtype else ''}{WRITERS[self.format][1]}"


def new_folder(cache: str | Path) -> Path:
    """Make a folder for one export below another one, where the server hands files out and removes old ones."""
    folder = Path(cache) / FOLDER / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder


def remove_folder(folder: Path | str | None) -> None:
    """Remove an export; one that is gone already is no problem."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def expected_bytes(pair: OpenedPair, dtype: str) -> int:
    """Size of an export, without its headers."""
    vae = pair.vae or pair.checkpoint
    target = DTYPES.get(dtype)
    tensors = [*(pair.checkpoint.var_weights or {}).values(), *(vae.vae_weights or {}).values()]
    return sum(tensor.numel() * _itemsize(tensor, target) for tensor in tensors)


def written_bytes(folder: Path) -> int:
    """What is in the folder by now, unfinished files included."""
    total = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            total += path.stat().st_size
        except OSError:
            continue  # it was moved to its final name in this moment
    return total


def export(order: ExportOrder, pair: OpenedPair, folder: Path) -> Exported:
    """Write an export.

    Args:
        order: what to export.
        pair: both models of the checkpoint.
        folder: where to; an empty one.

    Raises:
        CheckpointError: the models are not complete.
        OSError: the disk has too little room.
    """
    needed = expected_bytes(pair, order.dtype)
    free = max(0, shutil.disk_usage(folder).free - KEPT_FREE)
    if needed * SPARE > free:
        raise OSError(f"The export needs {format_bytes(needed)}, and the server's disk has {format_bytes(free)} free.")
    write, _ = WRITERS[order.format]
    return write(pair.checkpoint, folder / order.file_name, pair.vae, DTYPES.get(order.dtype))


def _itemsize(tensor: StoredTensor, target: torch.dtype | None) -> int:
    return target.itemsize if target is not None and tensor.is_floating_point() else tensor.itemsize
