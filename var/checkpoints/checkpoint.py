"""Reading a checkpoint of any supported layout, and what it tells about itself."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import CheckpointError
from ..formats.open import FileContent, open_file
from ..formats.tensors import StoredTensor, paused_collection
from ..model.config import VARConfig, VQVAEConfig
from ..text import format_bytes, format_count, one_line, printable
from .changed_models import describe_change
from .layouts import StateDicts, find_state_dicts
from .sizes import HEAD_DIM, SCALE_OF_HEADS, infer_vae_config, infer_var_config
from .state_dicts import VAR, VQVAE
from .training_info import read_num_heads

BUFFERS = ("lvl_1L", "attn_bias_for_masking", "zero_k_bias", "ema_vocab_hit_SV")
WEIGHTS_NAMES = {"ema": "EMA", "raw": "raw"}
LAYOUT_NAMES = {
    "trainer": "trainer checkpoint",
    "bare trainer": "bare trainer checkpoint",
    "Lightning": "Lightning checkpoint",
    "safetensors": "safetensors file",
    "sharded": "sharded files",
    "export": "exported file",
}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    The weights are still in the file; they are read when a model is built from them, which has memory of its own.

    Args:
        path: the file, or the folder.
        layout: short name of the layout found, such as "trainer", "state dict", "safetensors" or "export".
        var_weights: weights of the transformer under their official names; None where absent.
        vae_weights: the same of the VQVAE.
        training: `epoch`, `iter`, `args` and `config` of the trainer, as far as the file has them.
        var_config: sizes of the transformer, read from its weights; None where it is absent.
        vae_config: the same of the VQVAE.
        class_names: one name a class; None where the file has none.
        kind: "torch", "legacy torch", "safetensors" or "sharded".
        paths: the files that were read.
        num_bytes: their size together.
        origin: where in the file the weights were, such as "trainer.var_wo_ddp"; "" for the top.
        weights: "ema" or "raw" where the file has both, and these are the ones in use; otherwise None.
        ignored: what was left alone, such as "optimizer", and its bytes.
        stand_ins: classes and functions of which the file holds objects that were not made.
        attack: what the file's pickle would have done elsewhere, where that may be an attack, in sentences; None
            otherwise. Nothing of it was run, and the weights are out of its reach.
        heads_assumed: whether nothing tells the transformer's number of attention heads, and each was taken to be 64
            wide; `num_heads` of `read_checkpoint` gives it.
        heads_given: whether it was given so, and decides how the model computes.
    """

    path: Path
    layout: str
    var_weights: dict[str, StoredTensor] | None
    vae_weights: dict[str, StoredTensor] | None
    training: dict[str, Any]
    var_config: VARConfig | None
    vae_config: VQVAEConfig | None
    class_names: list[str] | None = None
    kind: str = "torch"
    paths: tuple[Path, ...] = ()
    num_bytes: int = 0
    origin: str = ""
    weights: str | None = None
    ignored: dict[str, int] = field(default_factory=dict)
    stand_ins: tuple[str, ...] = ()
    attack: str | None = None
    heads_assumed: bool = False
    heads_given: bool = False

    @cached_property
    def var_state(self) -> dict[str, Tensor] | None:
        """The transformer's weights as memory-mapped tensors, valid until the file is written in place; None if absent.

        Copy one before changing it, and read the checkpoint again when the file was written anew.
        """
        return _mapped(self.var_weights)

    @cached_property
    def vae_state(self) -> dict[str, Tensor] | None:
        """The same of the VQVAE."""
        return _mapped(self.vae_weights)

    @property
    def transformer(self) -> tuple[VARConfig, dict[str, StoredTensor]]:
        """Sizes and weights of the transformer.

        Raises:
            CheckpointError: there is none.
        """
        if self.var_config is None or self.var_weights is None:
            raise CheckpointError(
                f"{self.path}: the file holds a VQVAE alone. Expected a VAR transformer: choose its checkpoint, and "
                "give this file as its VQVAE."
            )
        return self.var_config, self.var_weights

    @property
    def vqvae(self) -> tuple[VQVAEConfig, dict[str, StoredTensor]]:
        """The same of the VQVAE."""
        if self.vae_config is None or self.vae_weights is None:
            config, wanted = self.var_config, "the transformer's vocabulary"
            if config is not None:
                wanted = f"a vocabulary of {config.vocab_size} and {config.z_channels} latent channels"
            raise CheckpointError(
                f"{self.path}: the file holds no VQVAE. Expected one with {wanted}: give its file, too (`vae=`, on the "
                "command line `--vae`)."
            )
        return self.vae_config, self.vae_weights

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know before they use the file, or open it elsewhere; a sentence or two each."""
        found = [] if self.attack is None else [self.attack]
        if self.heads_assumed:
            found.append(
                f"The number of attention heads is not in the file; {self.transformer[0].num_heads} are assumed, each "
                f"{HEAD_DIM} wide, as in the reference's recipe. Where images come out as noise, give the number that "
                "the model was trained with (--num-heads, num_heads=, on the page Attention heads)."
            )
        return tuple(found)

    def tensors(self) -> Iterator[StoredTensor]:
        """Yield the weights of both models."""
        for weights in (self.var_weights, self.vae_weights):
            yield from (weights or {}).values()

    @property
    def num_parameters(self) -> int:
        """Parameters of the transformer, or of the VQVAE where the file has no transformer."""
        return count_parameters(self.var_weights if self.var_weights is not None else self.vae_weights or {})

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
            parts += [f"vocabulary {self.vqvae[0].vocab_size}"]
        if "epoch" in self.training:
            parts += [f"epoch {self.training['epoch']}"]
        if self.var_config is not None:
            parts += ["VQVAE included" if self.vae_config is not None else "no VQVAE in the file"]
        if self.weights is not None:
            parts += [f"{WEIGHTS_NAMES[self.weights]} weights"]
        ignored = ", ".join(f"{format_bytes(number)} of {name}" for name, number in self.ignored.items())
        return ", ".join(parts) + (f"; {ignored} ignored" if ignored else "")


def read_checkpoint(path: str | Path, weights: str | None = None, num_heads: int | None = None) -> Checkpoint:
    """Read a checkpoint of any supported layout; no code from it runs, and no weight is read before it is used.

    Args:
        path: a file of a VAR trainer, a state dict (torch or safetensors) with or without wrappers around it, a file of
            `python -m var export`, the index of a model in several files, or a folder with one of these.
        weights: "ema" or "raw" where a file has both; None takes the EMA.
        num_heads: attention heads of a transformer whose weights do not tell them (`Checkpoint.heads_assumed`); None
            for what the trainer's arguments say, else heads 64 wide.

    Returns:
        The state dicts without wrappers' prefixes, the sizes of the models, and what is known of the training.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file cannot be used; the message names it and the next step.
        ValueError: the weights asked for are not in the file.
    """
    path = Path(path)
    with naming(path), paused_collection():
        checkpoint = read_content(path, open_file(path), weights, num_heads)
        for tensor in checkpoint.tensors():
            tensor.storage.offset  # noqa: B018  (finds out whether an archive is damaged)
    return checkpoint


def read_content(
    path: Path, content: FileContent, weights: str | None = None, num_heads: int | None = None
) -> Checkpoint:
    """Read a checkpoint from an opened file; where its weights lie in an archive is not looked up yet.

    Raises:
        CheckpointError, ValueError: as by `read_checkpoint`; the message does not name the file.
    """
    with saying_attack(content.attack):
        found = find_state_dicts(content, weights)
        _check_amounts(content, found.var_weights, found.vae_weights)
        with _telling_changes(VAR, found.var_weights):
            var_config, heads_assumed = _var_config(found, content, path, num_heads)
        with _telling_changes(VQVAE, found.vae_weights):
            vae_config = infer_vae_config(found.vae_weights) if found.vae_weights is not None else None
    names = found.class_names
    if names is not None and (var_config is None or len(names) != var_config.num_classes):
        names = None
    return Checkpoint(
        path=path,
        layout=found.layout,
        var_weights=found.var_weights,
        vae_weights=found.vae_weights,
        training=found.training,
        var_config=var_config,
        vae_config=vae_config,
        class_names=names,
        kind=content.kind,
        paths=content.paths,
        num_bytes=content.num_bytes,
        origin=found.origin,
        weights=found.weights,
        ignored=found.ignored,
        stand_ins=content.stand_ins,
        attack=content.attack,
        heads_assumed=heads_assumed,
        heads_given=num_heads is not None and var_config is not None and not var_config.attn_l2_norm,
    )


def _var_config(
    found: StateDicts, content: FileContent, path: Path, num_heads: int | None
) -> tuple[VARConfig | None, bool]:
    """Sizes of the transformer, and whether the number of its heads is an assumption."""
    weights = found.var_weights
    if weights is None:
        return None, False
    if num_heads is None and SCALE_OF_HEADS not in weights and "word_embed.weight" in weights:
        embed_dim = weights["word_embed.weight"].shape[0]
        num_heads = read_num_heads(found.training, embed_dim, path, content.metadata)
    config = infer_var_config(weights, num_heads)
    return config, num_heads is None and not config.attn_l2_norm


@contextmanager
def _telling_changes(kind: str, weights: Mapping[str, StoredTensor] | None) -> Iterator[None]:
    """Of a model whose sizes cannot be told, say what was done to it, where that is known."""
    try:
        yield
    except CheckpointError as error:
        change = describe_change(kind, weights or {}, names_alone=True)
        if change is None:
            raise
        raise CheckpointError(change) from error


def _check_amounts(content: FileContent, *states: Mapping[str, StoredTensor] | None) -> None:
    """Refuse weights that would take more memory than the file has bytes: views that repeat what is stored."""
    total = 0
    for state in states:
        for key, tensor in (state or {}).items():
            total += tensor.nbytes
            if tensor.nbytes > tensor.storage.nbytes:
                raise CheckpointError(
                    f"The weight {key[:80]} repeats {tensor.storage.nbytes:,} stored bytes as {tensor.nbytes:,}. "
                    "Expected every number to be stored: save the state dict with contiguous tensors."
                )
    if total > content.num_bytes:
        raise CheckpointError(
            f"The weights together have {total:,} bytes, more than the file ({content.num_bytes:,}): several are views "
            "of the same numbers. Expected every weight to be stored: save the state dict again."
        )


def _mapped(weights: Mapping[str, StoredTensor] | None) -> dict[str, Tensor] | None:
    return None if weights is None else {key: tensor.mapped() for key, tensor in weights.items()}


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Put the file's name before the message of a CheckpointError, and make one line of it that any terminal takes.

    A message quotes names from the file, which may hold anything.
    """
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{printable(path)}: {one_line(error)}") from error


@contextmanager
def saying_attack(attack: str | None) -> Iterator[None]:
    """Of a file that is refused and may be an attack, say that: nothing else about it matters as much.

    Args:
        attack: of `Checkpoint`.
    """
    try:
        yield
    except CheckpointError as error:
        if attack is None:
            raise
        raise CheckpointError(attack) from error


def count_parameters(state: Mapping[str, Tensor | StoredTensor]) -> int:
    """Number of learned values; buffers are not counted."""
    return sum(tensor.numel() for key, tensor in state.items() if not key.endswith(BUFFERS))
