"""Files of the safetensors format: a JSON header that says where each tensor lies, and then their numbers.

Tensors of kinds that no weights have, such as U32, become stand-ins: what is not needed does no harm.
"""

import json
import re
from typing import Any

import torch

from ..errors import CheckpointError
from .pickle_objects import StandIn
from .tensors import MAX_DIMENSIONS, Storage, StoredTensor, TensorFile, contiguous_stride

MAX_HEADER_BYTES = 4 << 20  # a model of depth 36 with its VQVAE has 0.2 MB
BYTES_PER_CONTAINER = 8  # of the header, at least: an entry has three containers in over 48 bytes
SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
OTHER_DTYPE = re.compile(r"[A-Z]{1,4}[0-9]{1,3}(_[A-Z0-9]{1,8}){0,2}")  # U32, C64, F8_E8M0 and whatever comes


def is_safetensors(start: bytes) -> bool:
    """Whether a file that begins so is one: the length of the header, eight bytes, then the header."""
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 40


def read_safetensors(file: TensorFile) -> tuple[dict[str, StoredTensor | StandIn], dict[str, str]]:
    """Read the header.

    Returns:
        The tensors by name, and the header's text entries.

    Raises:
        CheckpointError: the file is damaged, or cut short.
    """
    length = int.from_bytes(file.read(0, 8), "little")
    if length > MAX_HEADER_BYTES:
        raise CheckpointError(
            f"The safetensors header claims {length / 1e6:.0f} MB, far more than a checkpoint's: the file is damaged, "
            "or of another kind. Fetch it again."
        )
    if 8 + length > file.size:
        raise CheckpointError("The safetensors file is cut short, or still being written. Copy or download it again.")
    text = file.read(8, length)
    if (text.count(b"[") + text.count(b"{")) * BYTES_PER_CONTAINER > length + 64:
        raise CheckpointError("The safetensors header is no list of tensors: the file is damaged. Fetch it again.")
    try:
        header = json.loads(text, object_pairs_hook=_checked_pairs)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            "The safetensors header is no valid JSON: the file is damaged. Fetch it again."
        ) from error
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise CheckpointError("The safetensors header's metadata is no text: the file is damaged. Fetch it again.")
    tensors = {key: _tensor(file, 8 + length, key, entry) for key, entry in header.items()}
    if sum(tensor.nbytes for tensor in tensors.values() if isinstance(tensor, StoredTensor)) > file.size - 8 - length:
        raise CheckpointError(
            f"The safetensors file has less data ({file.size:,} bytes) than its header says: it is cut short, damaged "
            "or still being written. Copy or download it again."
        )
    return tensors, metadata


def _checked_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    for key, value in pairs:
        key.encode()  # raises for halves of letters, which no terminal takes
        if isinstance(value, str):
            value.encode()
    return found


def _checked_shape(sizes: Any) -> tuple[int, ...]:
    """Before anything is computed from it: text and lists can be multiplied, too, and numbers grow without end."""
    if type(sizes) is not list or len(sizes) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in sizes):
        raise ValueError("no list of sizes")
    return tuple(sizes)


def _tensor(file: TensorFile, data_start: int, key: str, entry: Any) -> StoredTensor | StandIn:
    try:
        kind, shape = entry["dtype"], _checked_shape(entry["shape"])
        start, end = entry["data_offsets"]
        if kind not in SAFETENSORS_DTYPES and OTHER_DTYPE.fullmatch(kind):
            return StandIn(f"tensor of {kind} numbers")
        dtype = SAFETENSORS_DTYPES[kind]
        storage = Storage(file, dtype, end - start, data_start + start)
        tensor = StoredTensor(storage, dtype, shape, contiguous_stride(shape))
        fits = start >= 0 and tensor.nbytes == storage.nbytes
    except (LookupError, TypeError, ValueError, CheckpointError) as error:
        reason = f"the entry of {key[:80]} cannot be understood"
        raise CheckpointError(f"The safetensors file is damaged: {reason}. Fetch it again.") from error
    if not fits:
        raise CheckpointError(
            f"The safetensors file is damaged: {key[:80]} has not the size it claims. Fetch it again."
        )
    if data_start + end > file.size:
        raise CheckpointError(
            f"The safetensors file is cut short or still being written: {key[:80]} lies beyond its end. "
            "Copy or download it again."
        )
    return tensor
