"""Opening a file that may be a checkpoint: what kind of file it is, and its content, without running code from it.

Tensors stay in the file (memory-mapped) until somebody uses them, so opening a file of any size costs little.
"""

import json
import mmap
import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import torch

from .errors import CheckpointError

EXPECTED = "Expected a checkpoint saved with torch.save (.pth, .pt, .ckpt) or a .safetensors file."
ZIP_SIGNATURE = b"PK\x03\x04"
EMPTY_ZIP_SIGNATURE = b"PK\x05\x06"
PICKLE_SIGNATURES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
LFS_SIGNATURE = b"version https://git-lfs"
NO_MEMORY = "Cannot allocate memory"  # the system's words when it refuses to map a file
MAX_SAFETENSORS_HEADER = 100_000_000  # bytes; the limit of the safetensors format itself


@dataclass(frozen=True)
class FileContent:
    """What a file holds.

    Args:
        kind: "torch" or "safetensors".
        payload: the object that was saved; for safetensors a flat dict of tensors.
        metadata: the text entries of a safetensors header; empty for torch files.
    """

    kind: str
    payload: object
    metadata: dict[str, str] = field(default_factory=dict)


def open_file(path: Path) -> FileContent:
    """Open a checkpoint file; its tensors are memory-mapped and none of their data is read.

    Args:
        path: a file.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not a file of weights; the message does not name the file yet.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file. Check the path.")
    if path.is_dir():
        raise CheckpointError(f"This is a folder, not a file. {EXPECTED} Name the file inside it.")
    with path.open("rb") as file:
        start = file.read(512)
    size = path.stat().st_size
    if not start:
        raise CheckpointError(f"The file is empty (0 bytes). {EXPECTED} Copy or download it again.")
    if start.startswith((ZIP_SIGNATURE, EMPTY_ZIP_SIGNATURE)):
        return FileContent("torch", _load_zip(path))
    if _is_safetensors(start):
        return _load_safetensors(path, size)
    raise CheckpointError(_describe_foreign(start, size))


def _is_safetensors(start: bytes) -> bool:
    """A safetensors file starts with the length of its JSON header, then that header."""
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= MAX_SAFETENSORS_HEADER


def _describe_foreign(start: bytes, size: int) -> str:
    """Say what a file is that is neither a zip archive nor safetensors."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(LFS_SIGNATURE):
        return "This is a Git LFS pointer, not the weights themselves. Run `git lfs pull` or download the file itself."
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "This is a web page, not weights: the download fetched the page about the file. Use its download link."
    if start.startswith(PICKLE_SIGNATURES):
        return (
            "This is a bare pickle, as torch.save wrote files before PyTorch 1.6. Expected the zip format: load it "
            "where you trust it and save the state dict again with today's torch.save."
        )
    if not start.strip(b"\0"):
        return f"The file begins with zeros only ({size} bytes): the copy or download was cut short. Fetch it again."
    kind = "text" if all(byte >= 32 or byte in b"\t\r\n" for byte in start) else "data of an unknown kind"
    return f"The file holds {kind} ({size} bytes), not weights. {EXPECTED} Check that this is the right file."


def _load_zip(path: Path) -> object:
    """Load a torch.save archive: plain containers and tensors only, memory-mapped."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            "The archive has no readable end: the file is cut short, damaged or still being written. "
            "Copy or download it again, or wait until it is complete."
        ) from error
    if not any(name.endswith("/data.pkl") for name in names):
        few = ", ".join(name[:80] for name in names[:3]) or "nothing"
        raise CheckpointError(f"This is a zip archive without weights (it holds {few}). {EXPECTED} Unpack it first.")
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(
            "This is a TorchScript archive: a program. Save the model's state_dict() with torch.save."
        )
    try:
        return _load_mapped(path)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(_describe_unsafe(path)) from error
    except Exception as error:  # damaged or hostile content can make the reader raise anything
        reason = _first_line(error)
        raise CheckpointError(
            f"The archive cannot be read ({reason}): it is damaged. Fetch or save it again."
        ) from error


def _load_mapped(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if NO_MEMORY not in str(error):
            raise
    # By default the system sets memory aside for changes to the mapped pages, and has too little for this file. A
    # mapping whose changes would go to the file needs none; nothing here changes a loaded tensor.
    with torch.serialization.set_default_mmap_options(mmap.MAP_SHARED):
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "unable to" not in str(error):
                raise
            raise CheckpointError(_describe_too_large(path.stat().st_size)) from error  # or the file is read-only


def _describe_too_large(size: int) -> str:
    return (
        f"This machine has too little memory to open the file ({size / 1e9:.1f} GB). Export it on another machine "
        "(`python -m var export FILE OUT.safetensors --dtype bfloat16`), or make it writable where it is read-only."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:200]


def _describe_unsafe(path: Path) -> str:
    """Say which objects beside plain weights a pickle asks for; nothing of it is imported or run."""
    try:
        names = sorted(name[:80] for name in torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # the same damaged or hostile content again
        names = []
    if not names:
        return "The file's pickle is damaged. Copy, download or save the file again."
    found = f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
    return (
        f"The file's pickle asks for {found}, which is more than plain weights; none of it was run. Expected tensors, "
        "numbers, text and plain containers. If you trust its origin, load it there and save only the state dict."
    )


def _load_safetensors(path: Path, size: int) -> FileContent:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)
            return FileContent("safetensors", tensors, file.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError, json.JSONDecodeError) as error:
        reason = _first_line(error)
        if NO_MEMORY in reason:
            raise CheckpointError(_describe_too_large(size)) from error
        raise CheckpointError(
            f"The safetensors file cannot be read ({reason}; {size} bytes): it is cut short or damaged. Fetch it again."
        ) from error
