"""Writing a checkpoint's weights alone: one safetensors file with both models, or the official pair of .pth files.

A file appears under its name only when it is complete. Weights are written one by one, so that nothing needs the
memory of a second copy.
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..formats.atomic import sha256, write_atomically
from ..formats.safetensors_format import SAFETENSORS_DTYPES
from ..formats.tensors import StoredTensor
from ..sampling.presets import own_settings
from .checkpoint import Checkpoint
from .fit import check_pair
from .load import check

FORMAT_VERSION = "1"
DTYPE_NAMES = {dtype: name for name, dtype in SAFETENSORS_DTYPES.items()}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        paths: the files, the transformer's first.
        num_bytes: their sizes.
        sha256: their hashes, in hexadecimal.
        has_vqvae: whether a VQVAE is among what was written.
    """

    paths: tuple[Path, ...]
    num_bytes: tuple[int, ...]
    sha256: tuple[str, ...]
    has_vqvae: bool


def export_safetensors(
    checkpoint: Checkpoint,
    out: str | Path,
    vae: Checkpoint | None = None,
    dtype: torch.dtype | None = None,
    class_names: Sequence[str] | None = None,
) -> Exported:
    """Write one safetensors file: transformer and VQVAE, with sizes and class names in its header.

    Args:
        checkpoint: what to export.
        out: the file to write; one that is there is replaced.
        vae: holds the VQVAE to write; the checkpoint's own where None. Without either, the transformer goes alone.
        dtype: precision of both models' weights in the file; None keeps what they have.
        class_names: one for each class; None takes those in the checkpoint.

    Raises:
        CheckpointError: the models are not complete or do not fit each other.
    """
    vae = _checked_pair(checkpoint, vae)
    tensors: dict[str, StoredTensor] = {}
    metadata = {"format": "pt", "var_export": FORMAT_VERSION}
    if checkpoint.var_config is not None:
        var_config, weights = checkpoint.transformer
        tensors |= {f"var.{key}": tensor for key, tensor in weights.items()}
        metadata["var_config"] = json.dumps(asdict(var_config))
    if vae.vae_config is not None:
        vae_config, weights = vae.vqvae
        tensors |= {f"vae.{key}": tensor for key, tensor in weights.items()}
        metadata["vae_config"] = json.dumps(asdict(vae_config))
    class_names = checkpoint.class_names if class_names is None else class_names
    if class_names is not None:
        metadata["class_names"] = json.dumps(list(class_names), ensure_ascii=False)
    told: dict[str, Any] = {key: checkpoint.training[key] for key in ("epoch", "iter") if key in checkpoint.training}
    own = own_settings(checkpoint.training, checkpoint.var_config.num_scales) if checkpoint.var_config else {}
    if own:
        told["args"] = {"sampling": own}
    if told:
        metadata["training"] = json.dumps(told)
    out = Path(out)
    metadata |= _modelspec(checkpoint, vae)
    write_atomically(out, lambda file: _write_safetensors(file, tensors, metadata, dtype))
    return _exported([out], vae)


def _modelspec(checkpoint: Checkpoint, vae: Checkpoint) -> dict[str, str]:
    """What model it is under the keys of github.com/Stability-AI/ModelSpec, which browsers of model files show."""
    config = checkpoint.var_config
    told = {"sai_model_spec": "1.0.1", "implementation": "https://github.com/FoundationVision/VAR"}
    if config is None:
        told |= {"architecture": "var-vqvae", "title": f"VQVAE, vocabulary {vae.vqvae[0].vocab_size}"}
    else:
        title = f"VAR, depth {config.depth}, {config.num_classes} class{'es' if config.num_classes > 1 else ''}"
        if "epoch" in checkpoint.training:
            title += f", epoch {checkpoint.training['epoch']}"
        told |= {"architecture": f"var-d{config.depth}", "title": title}
    if config is not None and vae.vae_config is not None:
        side = config.patch_nums[-1] * vae.vae_config.downsampling
        told["resolution"] = f"{side}x{side}"
    return {f"modelspec.{name}": text for name, text in told.items()}


def export_official(
    checkpoint: Checkpoint, out: str | Path, vae: Checkpoint | None = None, dtype: torch.dtype | None = None
) -> Exported:
    """Write plain state dicts that the reference implementation loads strictly.

    Args:
        checkpoint: what to export.
        out: the transformer's file; the VQVAE's is `vae_<stem>.pth` beside it. A VQVAE alone goes to `out`. Class
            names have no place in them: `write_class_names` puts these beside.
        vae: holds the VQVAE to write; the checkpoint's own where None.
        dtype: precision of the weights in the files; None keeps what they have.

    Raises:
        CheckpointError: the models are not complete or do not fit each other.
    """
    vae = _checked_pair(checkpoint, vae)
    out = Path(out)
    states: dict[Path, dict[str, Tensor]] = {}
    if checkpoint.var_weights is not None:
        states[out] = _tensors(checkpoint.var_weights, dtype)
    if vae.vae_config is not None:
        vae_config, weights = vae.vqvae
        vae_state = _tensors(weights, dtype)
        if not vae_config.num_usage_rows:
            rows = checkpoint.var_config.num_scales if checkpoint.var_config else 10  # the reference's own count
            # only statistics of the VQVAE's training, but the reference does not load without them
            vae_state["quantize.ema_vocab_hit_SV"] = torch.zeros(rows, vae_config.vocab_size, dtype=dtype)
        states[vqvae_path(out) if states else out] = vae_state
    for path, state in states.items():
        write_atomically(path, partial(torch.save, state))
    return _exported(states, vae)


def vqvae_path(out: Path) -> Path:
    """Where the VQVAE of an official pair goes, beside the transformer's file."""
    return out.with_name(f"vae_{out.stem}.pth")


def class_names_path(out: Path) -> Path:
    """Where the class names of a file of weights stand that cannot hold them; reading the file finds them there."""
    return out.with_suffix(".json")


def write_class_names(out: Path, class_names: Sequence[str]) -> Path:
    """Write the class names of a file of weights beside it, as a list in JSON, and return where."""
    path, text = class_names_path(out), json.dumps(list(class_names), ensure_ascii=False, indent=1)
    write_atomically(path, lambda file: file.write(text.encode() + b"\n"))
    return path


def _checked_pair(checkpoint: Checkpoint, vae: Checkpoint | None) -> Checkpoint:
    """The checkpoint that the VQVAE comes from, after both were found complete."""
    check(checkpoint)
    if vae is None:
        return checkpoint
    if vae.vae_config is None:
        raise CheckpointError(f"{vae.path}: the file holds no VQVAE. Expected one: choose another file for it.")
    check(vae)
    check_pair(checkpoint, vae)
    return vae


def _exported(paths: Iterable[Path], vae: Checkpoint) -> Exported:
    sizes = tuple(path.stat().st_size for path in paths)
    return Exported(tuple(paths), sizes, tuple(map(sha256, paths)), vae.vae_weights is not None)


def _tensors(weights: Mapping[str, StoredTensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Weights to be written by torch.save: still in their file where they keep their precision."""
    if dtype is None:
        return {key: tensor.mapped() for key, tensor in weights.items()}
    return {key: tensor.read(dtype=_target(tensor, dtype)) for key, tensor in weights.items()}


def _target(tensor: StoredTensor, dtype: torch.dtype | None) -> torch.dtype:
    """Precision of a tensor in the new file: integers stay what they are."""
    return dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype


def _write_safetensors(
    file: BinaryIO, tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str], dtype: torch.dtype | None
) -> None:
    """Write the format by hand: the library's writer would hold all bytes in memory at once."""
    kinds = {key: _target(tensor, dtype) for key, tensor in tensors.items()}
    unknown = sorted({str(kind) for kind in kinds.values()} - {str(kind) for kind in DTYPE_NAMES})
    if unknown:
        raise CheckpointError(f"Weights are {', '.join(unknown)}; expected plain floats. Choose a precision (--dtype).")
    order = sorted(tensors, key=lambda key: (-kinds[key].itemsize, key))  # wide numbers first, so that all are aligned
    header: dict[str, Mapping[str, object]] = {"__metadata__": dict(metadata)}
    end = 0
    for key in order:
        start, end = end, end + tensors[key].numel() * kinds[key].itemsize
        header[key] = {
            "dtype": DTYPE_NAMES[kinds[key]],
            "shape": list(tensors[key].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for key in order:
        plain = tensors[key].read(dtype=kinds[key]).flatten()
        file.write(plain.view(torch.uint8).numpy().data)
