"""Memory: what a checkpoint needs, what a device has free, and what to say where the two do not fit.

Letters: B images, S bytes of a number, L tokens of all scales, D width, V vocabulary, N side of the latent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import nn

from ..device import DTYPES, decoder_dtype
from ..model.config import VARConfig, VQVAEConfig
from ..model.transformer import stored_dtype
from ..model.vqvae import is_in_decoder
from ..text import format_bytes
from .checkpoint import Checkpoint

FLOAT_BYTES = 4
GUIDED_ROWS = 2  # of an image: with its class, and without
DECODER_MAPS = 6  # as large as the decoder's largest that live at once, measured
VOCABULARY_MAPS = 8  # of float32 (n², V) an image that live while tokens are drawn, the sort's indices included
WIDTH_MAPS = 12  # of float32 (n², D) a row that live in a block's feed-forward part
KEPT_BYTES = 20 << 20  # that the process does not get back from each further image on the CPU, measured
NO_LIMIT = 1 << 60  # cgroup v1 writes "no limit" as a number above this


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a checkpoint takes on its device.

    Args:
        weights: of both models.
        working: of a generation beside them: keys and values, activations, the decoder.
    """

    weights: int
    working: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.working


def need(
    checkpoint: Checkpoint,
    vae: Checkpoint | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    batch_size: int = 1,
) -> MemoryNeed:
    """Tell what a checkpoint needs, without reading its weights.

    The weights are exact. The working memory is a formula, fitted to seven generations with guidance on the CPU: depth
    4 to 16, 1 to 8 images, 256 and 512 px, float32 and bfloat16, with the official VQVAE. It was 3 % below to 18 %
    above what they took. On a GPU, where all images are computed together, it is an estimate that was not measured.

    Args:
        checkpoint: holds the transformer.
        vae: holds the VQVAE; the checkpoint's own where None.
        dtype: precision of the transformer.
        device: where they will be.
        batch_size: images of one generation (B). A GPU that is too small for all makes them in parts, so that 1 is the
            least that must fit.
    """
    vae = vae or checkpoint
    weights = working = 0
    decoder = decoder_dtype(torch.device(device), dtype)
    for key, tensor in (checkpoint.var_weights or {}).items():
        weights += tensor.numel() * (stored_dtype(key, dtype) if tensor.is_floating_point() else tensor).itemsize
    for key, tensor in (vae.vae_weights or {}).items():
        own = decoder if is_in_decoder(key) else torch.float32
        weights += tensor.numel() * (own if tensor.is_floating_point() else tensor).itemsize
    together = 1 if torch.device(device).type == "cpu" else batch_size
    if checkpoint.var_config is not None:
        working += key_value_bytes(checkpoint.var_config, dtype) * batch_size
        working += step_bytes(checkpoint.var_config) * together + KEPT_BYTES * (batch_size - together)
        if vae.vae_config is not None:
            working += decoder_bytes(checkpoint.var_config, vae.vae_config) * together
    return MemoryNeed(weights, working)


def key_value_bytes(config: VARConfig, dtype: torch.dtype) -> int:
    """Keys and values of one image with guidance: 2 · depth · 2 rows · L · D · S."""
    return 2 * config.depth * GUIDED_ROWS * config.num_tokens * config.embed_dim * dtype.itemsize


def step_bytes(config: VARConfig) -> int:
    """Activations of one image at its last scale, the largest."""
    places = config.patch_nums[-1] ** 2
    numbers = VOCABULARY_MAPS * config.vocab_size + GUIDED_ROWS * WIDTH_MAPS * config.embed_dim
    return places * numbers * FLOAT_BYTES


def decoder_bytes(config: VARConfig, vae_config: VQVAEConfig) -> int:
    """Activations of decoding one image; the largest map has the image's size and the widest channels met there."""
    side = config.patch_nums[-1] * vae_config.downsampling
    channels = vae_config.ch * max(vae_config.ch_mult[:2])
    return round(DECODER_MAPS * side * side * channels * FLOAT_BYTES)


def held(*models: nn.Module) -> int:
    """Bytes of the weights of models, which are free again when the models go."""
    tensors = [tensor for model in models for tensor in (*model.parameters(), *model.buffers())]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def available(device: torch.device | str) -> int | None:
    """Bytes that a device has free for us; None where it does not tell.

    On the CPU: what the machine can give without swapping, within the limits of the container. On CUDA: free memory of
    the card, with what this process keeps unused. On MPS: what the system recommends, less what is in use.
    """
    device = torch.device(device)
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free: int = torch.cuda.mem_get_info(device)[0]
        return free + unused
    machine: int = psutil.virtual_memory().available
    if device.type == "mps":
        return min(machine, torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    if device.type != "cpu":
        return None
    return min([machine, *container_bytes()])


def container_bytes(root: Path = Path("/")) -> list[int]:
    """Bytes left under each limit that Linux sets to this process's control groups; empty where there is none.

    The file cache counts as free: it is given up before a process is ended.

    Args:
        root: of the file system.

    Source: the kernel's documentation, cgroup-v1/memory and cgroup-v2.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        else:
            continue
        own = base / path.strip("/")
        # In a container the path may be the host's, which is not mounted there: the group itself is at the base then.
        for folder in (own, *own.parents) if own.exists() else (base,):
            left += _left_in(folder, *names)
            if folder == base:
                break
    return left


def _left_in(folder: Path, limit_name: str, used_name: str, prefix: str) -> list[int]:
    """Bytes left in one control group; empty where it has no limit."""
    try:
        limit = (folder / limit_name).read_text().strip()
        if limit == "max" or int(limit) >= NO_LIMIT:
            return []
        used = int((folder / used_name).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        cache = sum(int(stat.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))
    except (OSError, ValueError):  # the group at the top has no such files
        return []
    return [max(0, int(limit) - used + cache)]


def advise(needs: Mapping[str, MemoryNeed], free: int | None) -> str | None:
    """Say why a checkpoint does not fit, and which lower precision does.

    Args:
        needs: of the precision asked for, first, and of others that may be offered, by name, such as "float32".
        free: bytes; None where nobody knows.

    Returns:
        Two sentences; None where it fits, or nobody knows.
    """
    (asked, wanted), *others = needs.items()
    if free is None or wanted.total <= free:
        return None
    message = f"The model needs {format_bytes(wanted.total)} of memory in {asked}, and {format_bytes(free)} are free."
    lower = {name: other.total for name, other in others if other.total < wanted.total}
    fitting = {name: total for name, total in lower.items() if total <= free}
    if fitting:
        offer = " or ".join(fitting)
        return f"{message} In {offer} it needs {format_bytes(max(fitting.values()))}: choose that precision."
    if lower:
        name, total = min(lower.items(), key=lambda item: item[1])
        message = f"{message[:-1]}; in {name} it still needs {format_bytes(total)}."
    return f"{message} Free some memory, or choose a smaller checkpoint or another device."


def memory_problem(
    checkpoint: Checkpoint,
    vae: Checkpoint | None,
    device: torch.device,
    dtype: torch.dtype,
    freed: int = 0,
    batch_size: int = 1,
) -> str | None:
    """Say why a checkpoint cannot be loaded and generate on a device, and what to do; None where it can.

    Args:
        checkpoint, vae, device, dtype, batch_size: as for `need`.
        freed: bytes on the device that are given back first: those of the model that makes room (`held`).
    """
    free = available(device)
    names = {kind: name for name, kind in DTYPES.items()}
    offered = [dtype, *(other for other in DTYPES.values() if other is not dtype and other is not torch.float16)]
    needs = {names[kind]: need(checkpoint, vae, kind, device, batch_size) for kind in offered}
    return advise(needs, None if free is None else free + freed)
