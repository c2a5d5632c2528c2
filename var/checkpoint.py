"""Reading a checkpoint of any supported layout, and what it tells about itself."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .architecture import VARConfig, VQVAEConfig
from .errors import CheckpointError
from .files import open_file
from .inference import infer_vae_config, infer_var_config
from .layouts import find_state_dicts

BUFFERS = ("lvl_1L", "attn_bias_for_masking", "zero_k_bias", "ema_vocab_hit_SV")
LAYOUT_NAMES = {"trainer": "trainer checkpoint", "safetensors": "safetensors file", "export": "exported file"}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    The tensors are still in the file: copy one before changing it, and read the checkpoint again when the file was
    written anew. Models built from them have memory of their own.

    Args:
        path: the file.
        layout: short name of the layout found: "trainer", "state dict", "safetensors" or "export".
        var_state: weights of the transformer under their official names, memory-mapped; None where absent.
        vae_state: the same of the VQVAE.
        training: `epoch`, `iter`, `args` and `config` of the trainer, as far as the file has them.
        var_config: sizes of the transformer, read from its weights; None where it is absent.
        vae_config: the same of the VQVAE.
        class_names: one name a class; None where the file has none.
    """

    path: Path
    layout: str
    var_state: dict[str, Tensor] | None
    vae_state: dict[str, Tensor] | None
    training: dict
    var_config: VARConfig | None
    vae_config: VQVAEConfig | None
    class_names: list[str] | None = None

    @property
    def num_parameters(self) -> int:
        """Parameters of the transformer, or of the VQVAE where the file has no transformer."""
        return count_parameters(self.var_state if self.var_state is not None else self.vae_state or {})

    @property
    def image_size(self) -> int | None:
        """Pixels per side of a generated image; None where the file lacks one of the two models."""
        if self.var_config is None or self.vae_config is None:
            return None
        return self.var_config.patch_nums[-1] * self.vae_config.downsampling

    def summary(self) -> str:
        """One line for people: layout, sizes, epoch, and whether the VQVAE is there."""
        parts = [LAYOUT_NAMES.get(self.layout, self.layout)]
        if self.var_config is not None:
            parts += [f"depth {self.var_config.depth}", f"{format_count(self.num_parameters)} parameters"]
            parts += [f"{self.var_config.num_classes} class{'es' if self.var_config.num_classes > 1 else ''}"]
            side = self.var_config.patch_nums[-1]
            parts += [f"{self.image_size}×{self.image_size}" if self.image_size else f"{side}×{side} tokens"]
        else:
            parts += ["VQVAE alone", f"{format_count(self.num_parameters)} parameters"]
            parts += [f"vocabulary {self.vae_config.vocab_size}"]
        if "epoch" in self.training:
            parts += [f"epoch {self.training['epoch']}"]
        if self.var_config is not None:
            parts += ["VQVAE included" if self.vae_config is not None else "no VQVAE in the file"]
        return ", ".join(parts)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of any supported layout; no code from it runs, and no weight is read before it is used.

    Args:
        path: a file of a VAR trainer, a state dict (torch or safetensors), or a file of `python -m var export`.

    Returns:
        The state dicts without wrappers' prefixes, the sizes of the models, and what is known of the training.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file cannot be used; the message names it and the next step.
    """
    path = Path(path)
    with naming(path):
        found = find_state_dicts(open_file(path))
        var_config = infer_var_config(found.var_state) if found.var_state is not None else None
        vae_config = infer_vae_config(found.vae_state) if found.vae_state is not None else None
    names = found.class_names
    if names is not None and (var_config is None or len(names) != var_config.num_classes):
        names = None
    return Checkpoint(
        path, found.layout, found.var_state, found.vae_state, found.training, var_config, vae_config, names
    )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before the message of a CheckpointError."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def count_parameters(state: dict[str, Tensor]) -> int:
    """Number of learned values; buffers are not counted."""
    return sum(tensor.numel() for key, tensor in state.items() if not key.endswith(BUFFERS))


def format_count(number: int) -> str:
    """A count of parameters as people write it: 310 M, 2.0 B."""
    if number < 1000:
        return str(number)
    power = min(3, int(math.log10(number)) // 3)
    value = number / 1000**power
    return f"{value:.1f} {' KMB'[power]}" if value < 10 else f"{value:.0f} {' KMB'[power]}"
