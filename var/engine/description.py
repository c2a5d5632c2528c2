"""What the page says of a checkpoint, all of it read from the file's header and a few rows of its weights."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.checkpoint import Checkpoint, count_parameters
from ..checkpoints.class_names import Classes, read_classes
from ..checkpoints.hash import HASH_DIGITS, short_hash
from ..checkpoints.memory import need
from ..checkpoints.pair import OpenedPair
from ..checkpoints.plain_values import to_plain
from ..device import describe
from ..formats.tensors import StoredTensor
from ..hub.known_models import KnownModel
from ..model.operations import count_operations
from ..sampling.presets import own_settings
from ..text import clean_name, format_bytes, format_count, format_operations, printable, tell_apart

KINDS = {
    "torch": "torch file",
    "legacy torch": "torch file, old format",
    "safetensors": "safetensors file",
    "sharded": "safetensors in several files",
}
WEIGHTS = {"ema": "EMA (averaged over the training)", "raw": "raw (as the training left them)"}
SHOWN_CLASSES = 12
MAX_ARGUMENTS = 60
MAX_CHARACTERS = 200  # of one argument
HIDDEN_ARGUMENTS = ("class_names", "classes", "class_to_idx")  # shown as classes


@dataclass(frozen=True)
class Description:
    """What the page says of a checkpoint that can be used.

    Args:
        summary: layout, depth, parameters, classes, image size and epoch, in one line.
        class_names: one name a class; equal names are told apart.
        vocab_size: size of the token vocabulary; top-k goes no higher.
        image_size: pixels per side.
        placement: where it runs, device and precision, such as "CPU, float32".
        vae_file: name of the file that the VQVAE was taken from; None when the checkpoint carries its own.
        patch_nums: side of the token map of each scale.
        trained_classes: the classes that look trained, where the others do not; None where all may be.
        num_parameters: of the transformer.
        num_heads: of its attention.
        heads_assumed: whether the file does not tell them, and nobody gave them.
        defaults: what its authors sample with, some of `OWN_SETTINGS`; empty where that is not known.
        weights: "ema" or "raw" where the file has both, and these are in use; otherwise None.
        file_hash: short name of the content.
        model_hash: short name of all that images depend on but their own settings: files, weights, heads, defaults.
        needed_bytes: of memory, to load it and make an image.
        operations: of an image with guidance, about.
        facts: what else was found, label and text.
        arguments: of the training, name and value.
        notes: what people should know before they use it, a sentence each.
    """

    summary: str
    class_names: tuple[str, ...]
    vocab_size: int
    image_size: int
    placement: str
    vae_file: str | None
    patch_nums: tuple[int, ...] = ()
    trained_classes: tuple[int, ...] | None = None
    num_parameters: int = 0
    num_heads: int = 0
    heads_assumed: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    file_hash: str = ""
    model_hash: str = ""
    needed_bytes: int = 0
    operations: int = 0
    facts: tuple[tuple[str, str], ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def describe_pair(
    pair: OpenedPair, device: torch.device, dtype: torch.dtype, known: KnownModel | None, trusted: bool
) -> Description:
    """Say what a checkpoint and its VQVAE are.

    Args:
        pair: both models are there, and complete.
        device: where it will run.
        dtype: in which precision.
        known: its row in the table of published models, where it has one.
        trusted: whether the file is the server's own. For a stranger's no folder that it names is looked at.

    Raises:
        CheckpointError: the file changed meanwhile.
    """
    checkpoint = pair.checkpoint
    config, weights = checkpoint.transformer
    vae_config, _ = (pair.vae or checkpoint).vqvae
    classes = read_classes(checkpoint, trusted)
    file_hash = short_hash(*checkpoint.paths)
    side = config.patch_nums[-1] * vae_config.downsampling
    operations = count_operations(config, vae_config)
    facts = [
        ("File", f"{clean_name(_file_name(checkpoint))}, {format_bytes(checkpoint.num_bytes)}"),
        ("Format", _format(checkpoint)),
        ("Hash", file_hash),
        ("Weights", _weights(checkpoint)),
        ("Transformer", _model(weights)),
        ("Architecture", _architecture(checkpoint)),
        ("Scales", " ".join(map(str, config.patch_nums))),
        ("Image", f"{side} × {side}"),
        ("VQVAE", _vqvae(pair)),
        ("Operations", f"about {format_operations(operations)} an image, with guidance"),
        ("Classes", _classes(classes)),
        ("Training", _training(checkpoint)),
        ("Ignored", ", ".join(f"{format_bytes(size)} of {name}" for name, size in checkpoint.ignored.items())),
        ("Not made", ", ".join(clean_name(name) for name in checkpoint.stand_ins[:SHOWN_CLASSES])),
        ("Licence", known.licence if known else ""),
    ]
    defaults = own_settings(checkpoint.training, config.num_scales)
    if known:
        defaults = {"cfg_scale": known.cfg_scale, "top_k": known.top_k, "top_p": known.top_p}
    return Description(
        summary=checkpoint.summary(),
        class_names=tuple(tell_apart(classes.offered)),
        vocab_size=config.vocab_size,
        image_size=side,
        placement=describe(device, dtype),
        vae_file=printable(pair.vae.path.name) if pair.vae else None,
        patch_nums=config.patch_nums,
        trained_classes=_offered_trained(classes),
        num_parameters=checkpoint.num_parameters,
        num_heads=config.num_heads,
        heads_assumed=checkpoint.heads_assumed,
        defaults=defaults,
        weights=checkpoint.weights,
        file_hash=file_hash,
        model_hash=_model_hash(pair, file_hash, defaults),
        operations=operations,
        needed_bytes=need(checkpoint, pair.vae, dtype, device).total,
        facts=tuple((label, text) for label, text in facts if text),
        arguments=_arguments(checkpoint.training.get("args")),
        notes=(*_notes(known, classes), *pair.warnings),
    )


def _model_hash(pair: OpenedPair, file_hash: str, defaults: Mapping[str, Any]) -> str:
    """Name all that images depend on but their own settings."""
    vae_hash = short_hash(*pair.vae.paths) if pair.vae else None
    config, _ = pair.checkpoint.transformer
    told = (file_hash, vae_hash, pair.checkpoint.weights, config.num_heads, sorted(defaults.items()))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:HASH_DIGITS]


def _file_name(checkpoint: Checkpoint) -> str:
    """A file's name; of several files that of their folder."""
    return printable((checkpoint.path.parent if len(checkpoint.paths) > 1 else checkpoint.path).name)


def _format(checkpoint: Checkpoint) -> str:
    kind = KINDS.get(checkpoint.kind, checkpoint.kind)
    several = f" ({len(checkpoint.paths)})" if len(checkpoint.paths) > 1 else ""
    return f"{kind}{several}, {checkpoint.layout}"


def _weights(checkpoint: Checkpoint) -> str:
    place = f"at {clean_name(checkpoint.origin)}" if checkpoint.origin else "at the top of the file"
    return f"{WEIGHTS[checkpoint.weights]}, {place}" if checkpoint.weights else place


def _model(state: Mapping[str, StoredTensor]) -> str:
    kinds = sorted({str(t.dtype).removeprefix("torch.") for t in state.values() if t.is_floating_point()})
    return f"{format_count(count_parameters(state))} parameters, {' and '.join(kinds)} in the file"


def _architecture(checkpoint: Checkpoint) -> str:
    config, _ = checkpoint.transformer
    assumed = " (assumed)" if checkpoint.heads_assumed else ""
    shared = ", shared AdaLN" if config.shared_adaln else ""
    return f"depth {config.depth}, width {config.embed_dim}, {config.num_heads} heads{assumed}{shared}"


def _vqvae(pair: OpenedPair) -> str:
    config, weights = (pair.vae or pair.checkpoint).vqvae
    place = f"from {clean_name(pair.vae.path.name)}" if pair.vae else "in the file"
    sizes = f"vocabulary {config.vocab_size} × {config.z_channels}, {config.downsampling} pixels a token"
    return f"{place}: {format_count(count_parameters(weights))} parameters, {sizes}"


def _classes(classes: Classes) -> str:
    names, trained = classes.names, classes.trained
    text = f"{len(names)}, names from {classes.source}" if classes.source else f"{len(names)}, without names"
    if trained is None:
        return text
    shown = ", ".join(names[label] for label in trained[:SHOWN_CLASSES])
    return f"{text}; {len(trained)} look trained: {shown}{', …' if len(trained) > SHOWN_CLASSES else ''}"


def _training(checkpoint: Checkpoint) -> str:
    words = {"epoch": "epoch", "iter": "iteration", "global_step": "step"}
    return ", ".join(f"{word} {checkpoint.training[key]}" for key, word in words.items() if key in checkpoint.training)


def _arguments(args: object) -> tuple[tuple[str, str], ...]:
    """The trainer's arguments as lines of text; anybody may have written them."""
    if not isinstance(args, Mapping):
        return ()
    plain = to_plain({key: value for key, value in args.items() if key not in HIDDEN_ARGUMENTS})
    lines = [(clean_name(str(key)), " ".join(str(value)[:MAX_CHARACTERS].split())) for key, value in plain.items()]
    return tuple(lines[:MAX_ARGUMENTS])


def _offered_trained(classes: Classes) -> tuple[int, ...] | None:
    """The classes that look trained, of those that are offered; None where that cannot be told."""
    if classes.trained is None:
        return None
    return tuple(label for label in classes.trained if label < len(classes.offered)) or None


def _notes(known: KnownModel | None, classes: Classes) -> tuple[str, ...]:
    notes = [known.note] if known and known.note else []
    if classes.trained is not None:
        notes.append(f"{len(classes.trained)} of {len(classes.names)} classes look trained; they are offered first.")
    if classes.offered_remark is not None:
        notes.append(classes.offered_remark)
    return (*notes, *classes.remarks)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder or deeper, without links being followed."""
    return folder.absolute() in path.absolute().parents
