"""The layouts of checkpoint files: which places are known, and which weights to take where there are several.

Weights are found by their names wherever they are; a layout is a row of `LAYOUTS` that says who keeps them there.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import CheckpointError
from ..formats.open import FileContent
from ..formats.tensors import StoredTensor
from .foreign import describe_foreign, variant_of_var, variant_of_vqvae
from .state_dicts import VAR, VQVAE, Container, Model, StateDict, find_models, sum_ignored, walk
from .training_info import checked_names, read_class_names, read_header_entry, read_training

EXPORT_MARK = "var_export"  # in the header of our own export
LIGHTNING_MARK = "pytorch-lightning_version"
ANY_FURTHER = "**"
MAX_DESCRIBED = 32  # state dicts of other models that are looked at


@dataclass(frozen=True)
class Layout:
    """A place where weights are kept, and by whom.

    Args:
        name: short name, shown to people.
        places: the keys that lead to a state dict, joined by dots; those who come first are preferred. `*` stands for
            any one key, `**` at the end for any number of them.
        kept_by: who saves files so.
        kinds: the kinds of file it is for; all where empty.
        mark: a key at the top of the file, or an entry of its header, that has to be there.
    """

    name: str
    places: tuple[str, ...]
    kept_by: str
    kinds: tuple[str, ...] = ()
    mark: str = ""


# The first row that fits counts; of several models in a file, the one of the earlier row is taken.
LAYOUTS = (
    Layout("export", ("",), "our own export: both models under `var.` and `vae.`", ("safetensors",), EXPORT_MARK),
    Layout(
        "trainer",
        ("trainer.var_wo_ddp", "trainer.vae_local"),
        "trainers of VAR: FoundationVision/VAR and most of its forks, and `python -m var train`",
    ),
    Layout("trainer", ("trainer.ema_parameters",), "microsoft/distilled_decoding: parameters without buffers"),
    Layout("trainer", ("trainer.vae_ema", "trainer.vae_wo_ddp"), "trainers of the VQVAE, with its discriminator"),
    Layout("bare trainer", ("trainer",), "thu-ml/CCA: the state dict where others have a dict of them"),
    Layout("trainer", ("trainer.var_ema", "trainer.ema", "trainer.*", "trainer.**"), "forks with an EMA or own names"),
    Layout(
        "trainer's parts",
        ("var_wo_ddp", "var_ema", "vae_local", "vae_ema", "vae_wo_ddp"),
        "people who save what the trainer's state_dict() returns",
    ),
    Layout("Lightning", ("state_dict",), "PyTorch Lightning: models under `model.`, `var.` ...", mark=LIGHTNING_MARK),
    Layout(
        "wrapped state dict",
        ("model", "state_dict", "model_state_dict", "weights", "params", "module", "var", "net", "vae", "vqvae"),
        "other trainers: timm, DeepSpeed, plain PyTorch",
    ),
    Layout(
        "wrapped state dict",
        ("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema", "ema.*", "model_ema.*"),
        "the same, for their EMA",
    ),
    Layout("safetensors", ("",), "VARHF, which saves no VQVAE, and converters of any of these", ("safetensors",)),
    Layout("sharded", ("",), "transformers and diffusers: one model in several files, with an index", ("sharded",)),
    Layout("state dict", ("",), "the official files, and torch.save(model.state_dict())"),
    Layout("nested state dict", (ANY_FURTHER,), "somebody else"),
)


@dataclass(frozen=True)
class StateDicts:
    """What is taken from a file.

    Args:
        layout: short name of the layout.
        var_weights: weights of the transformer under their official names; None where absent.
        vae_weights: the same of the VQVAE.
        training: what the file says of the training.
        class_names: one name a class; None where the file has none.
        origin: the keys that lead to the weights, joined by dots, such as "trainer.var_wo_ddp"; "" for the top.
        weights: "ema" or "raw" where the file has both of the transformer, or of a VQVAE alone, and these were taken.
        ignored: bytes of what was not taken, by what it is, such as "optimizer".
    """

    layout: str
    var_weights: StateDict | None
    vae_weights: StateDict | None
    training: dict[str, Any] = field(default_factory=dict)
    class_names: list[str] | None = None
    origin: str = ""
    weights: str | None = None
    ignored: dict[str, int] = field(default_factory=dict)


def find_state_dicts(content: FileContent, weights: str | None = None) -> StateDicts:
    """Find the models in a file.

    Args:
        content: what the file holds.
        weights: "ema" or "raw", where the file has both; None takes the EMA.

    Raises:
        CheckpointError: there is no VAR and no VQVAE, or not with these weights; the message does not name the file.
        ValueError: `weights` is no such word.
    """
    if weights not in (None, "ema", "raw"):
        raise ValueError(f'weights is {weights!r}; expected "ema", "raw" or None.')
    containers = list(walk(content.payload))
    models = sorted(find_models(containers), key=lambda model: _rank(model, content))
    if not models:
        raise CheckpointError(describe_foreign(content.payload, _states(containers)))
    transformers = [model for model in models if model.kind == VAR]
    autoencoders = [model for model in models if model.kind == VQVAE]
    if transformers:  # a trainer's `vae_local` is the one that its transformer learned from, EMA or not
        autoencoders = [model for model in autoencoders if model.place[-1:] == ("vae_local",)] or autoencoders
    _check_available(weights, transformers or autoencoders)
    var, var_twin = _choose(transformers, weights)
    vae, vae_twin = _choose(autoencoders, weights)
    var_weights = _read(var, var_twin)
    if var_weights is not None and (variant := variant_of_var(var_weights)):
        raise CheckpointError(variant)
    vae_weights = _read(vae, vae_twin)
    if vae_weights is not None and (variant := variant_of_vqvae(vae_weights)):
        # alone, it may be a part of a whole that has a name of its own
        raise CheckpointError(variant if var else describe_foreign(content.payload, _states(containers)))
    main, main_twin = (var, var_twin) if var is not None else (vae, vae_twin)
    assert main is not None, "there is at least one model"
    averaged = {model.kind for model in models if model.is_ema} & {model.kind for model in models if not model.is_ema}
    training, class_names = _provenance(content, main)
    return StateDicts(
        layout=_layout(main, content)[0].name,
        var_weights=var_weights,
        vae_weights=vae_weights,
        training=training,
        class_names=class_names,
        origin=".".join(main.place),
        weights=None if main_twin is None else _weights_of(main),
        ignored=sum_ignored(
            containers,
            [state for state in (var_weights, vae_weights) if state is not None],
            [model for model in models if model.kind in averaged],
        ),
    )


def _provenance(content: FileContent, model: Model) -> tuple[dict[str, Any], list[str] | None]:
    """What the file says of the training, and the names of its classes; our own export says it in the header."""
    if EXPORT_MARK in content.metadata:
        training = read_header_entry(content.metadata, "training")
        names = read_header_entry(content.metadata, "class_names")
        return read_training([training] if isinstance(training, dict) else []), checked_names(names)
    around = model.container.around()
    training = read_training(around)
    return training, read_class_names(training, around)


def _choose(models: Sequence[Model], weights: str | None) -> tuple[Model | None, Model | None]:
    """The model to take, and the best of the other weights of it, where the file has both."""
    ema = next((model for model in models if model.is_ema), None)
    raw = next((model for model in models if not model.is_ema), None)
    if ema is None or raw is None:
        return ema or raw, None
    return (raw, ema) if weights == "raw" else (ema, raw)


def _check_available(weights: str | None, models: Sequence[Model]) -> None:
    """Refuse to give other weights than those asked for."""
    if weights is not None and all(_weights_of(model) != weights for model in models):
        other = "raw" if weights == "ema" else "EMA"
        raise CheckpointError(
            f"The file has no {'EMA' if weights == 'ema' else 'raw'} weights; those that are there are the {other} "
            f"weights ({'.'.join(models[0].place) or 'at the top of the file'}). Choose these."
        )


def _weights_of(model: Model) -> str:
    return "ema" if model.is_ema else "raw"


def _read(model: Model | None, twin: Model | None) -> StateDict | None:
    """Weights of a model; what an EMA does not average, buffers and frozen weights, comes from the raw weights."""
    if model is None:
        return None
    state = model.weights()
    if twin is None or not model.is_ema:
        return state
    raw = twin.weights()
    if all(key in raw and raw[key].shape == tensor.shape for key, tensor in state.items()):
        return {key: state.get(key, tensor) for key, tensor in raw.items()}
    return state


def _layout(model: Model, content: FileContent) -> tuple[Layout, int, int]:
    """The row that a model's place fits, its number, and which of its places it was."""
    top = content.payload.keys() if isinstance(content.payload, dict) else ()
    for number, layout in enumerate(LAYOUTS):
        if layout.kinds and content.kind not in layout.kinds:
            continue
        if layout.mark and layout.mark not in content.metadata and layout.mark not in top:
            continue
        for order, pattern in enumerate(layout.places):
            if _fits(pattern, model.container.place):
                return layout, number, order
    raise AssertionError("the last row fits every place")


def _fits(pattern: str, place: tuple[str, ...]) -> bool:
    parts = pattern.split(".") if pattern else []
    if parts[-1:] == [ANY_FURTHER]:
        parts.pop()
        place = place[: len(parts)]
    return len(parts) == len(place) and all(part in ("*", key) for part, key in zip(parts, place, strict=True))


def _rank(model: Model, content: FileContent) -> tuple[bool, int, int]:
    """How far a model stands behind others in its file; of equals, the outer and earlier one is before."""
    side = any(part.startswith(("ref_", "reference", "teacher", "frozen", "old_", "init_")) for part in model.place)
    return side, *_layout(model, content)[1:]


def _states(containers: Sequence[Container]) -> dict[str, dict[str, StoredTensor]]:
    """The largest state dicts by place, for saying what a file holds."""

    def size(container: Container) -> int:
        return sum(isinstance(value, StoredTensor) for _, value in container.items())

    largest = heapq.nlargest(MAX_DESCRIBED, containers, key=size)
    states = {
        ".".join(container.place): {
            name: value for name, value in container.weights() if isinstance(value, StoredTensor)
        }
        for container in largest
    }
    return {place: state for place, state in states.items() if state}
