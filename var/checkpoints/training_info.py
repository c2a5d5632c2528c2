"""What a file says of the training that made its weights, and of its classes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from ..text import clean_name
from .sizes import MAX_CLASSES

# Under which names programs keep what; the first that is there counts.
NUMBERS = {
    "epoch": ("epoch",),
    "iter": ("iter", "iteration"),
    "global_step": ("global_step", "global_steps", "train_steps", "steps", "step"),
}
ARGUMENTS = ("args", "hyper_parameters", "hparams", "cfg")
CLASS_NAMES = ("class_names", "classes", "class_to_idx")
NUM_HEADS = ("num_heads", "heads", "n_heads", "nheads", "n_head", "num_attention_heads")
MAX_CONFIG_BYTES = 1 << 16
LARGEST = 2**63


def read_training(around: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    """Epoch, iteration, arguments and configuration.

    Args:
        around: the dicts that lead to the weights, the outermost first; each may hold anything.

    Returns:
        `epoch`, `iter`, `global_step`: int; `args`: a dict with text as keys, `{"text": ...}` where the file has text,
        which is shown and never evaluated; `config`: a dict. What the file does not have is left out.
    """
    training: dict[str, Any] = {}
    for outer in around:
        for name, keys in NUMBERS.items():
            number = next((outer[key] for key in keys if _is_count(outer.get(key))), None)
            if number is not None:
                training.setdefault(name, number)
        for key in ARGUMENTS:
            args = outer.get(key)
            if isinstance(args, str) and args:
                training.setdefault("args", {"text": args})
            elif isinstance(args, Mapping) and args:
                training.setdefault("args", _with_text_keys(args))
        if isinstance(outer.get("config"), Mapping):
            training.setdefault("config", _with_text_keys(outer["config"]))
    return training


def read_class_names(training: Mapping[str, Any], around: Sequence[Mapping[Any, Any]]) -> list[str] | None:
    """One name a class: from the trainer's arguments, or from beside the weights; None where there are none."""
    args = training.get("args", {})
    for outer in (args, *around):
        for key in CLASS_NAMES:
            names = checked_names(outer.get(key))
            if names is not None:
                return names
    return None


def read_num_heads(training: Mapping[str, Any], embed_dim: int, path: Path, metadata: Mapping[str, str]) -> int | None:
    """The number of attention heads that a model was made with, for weights that do not tell it.

    Args:
        training: of `read_training`.
        embed_dim: width of the model; a number that does not divide it is of something else.
        path: the file; a `config.json` beside it, as `save_pretrained` writes one, is looked at, too.
        metadata: the text entries of its header; our own export has the sizes there.

    Returns:
        None where nothing says it.
    """
    args: object = training.get("args")
    for told in (args, training.get("config"), read_header_entry(metadata, "var_config"), _config_beside(path)):
        if not isinstance(told, Mapping):
            continue
        for number in map(told.get, NUM_HEADS):
            if _is_count(number) and number > 0 and embed_dim % number == 0:
                return number
    # the reference's trainer has as many heads as blocks, each 64 wide
    depth = args.get("depth") if isinstance(args, Mapping) else None
    return depth if _is_count(depth) and depth * 64 == embed_dim else None


def _config_beside(path: Path) -> object:
    """What `config.json` beside a file says; None where there is none, or none that can be read."""
    try:
        with (path if path.is_dir() else path.parent).joinpath("config.json").open("rb") as file:
            return json.loads(file.read(MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return None


def read_header_entry(metadata: Mapping[str, str], name: str) -> object:
    """A JSON entry of a safetensors header, or None where it is missing or unreadable; no weight depends on it."""
    try:
        entry = json.loads(metadata.get(name, "null"))
        json.dumps(entry, ensure_ascii=False).encode()  # raises for halves of letters, which no terminal takes
        return entry
    except (ValueError, RecursionError):
        return None


def checked_names(names: object) -> list[str] | None:
    """Return a list of names, or the keys of a dict from names to 0, 1, 2, ...; None for all else.

    More names than any model has classes are none: cleaning them would take seconds.
    """
    if not isinstance(names, Mapping | list | tuple) or len(names) > MAX_CLASSES:
        return None
    if isinstance(names, Mapping) and all(type(number) is int for number in names.values()):
        by_number = {number: name for name, number in names.items()}
        if sorted(by_number) == list(range(len(names))):
            names = [by_number[number] for number in range(len(names))]
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        return [clean_name(name) for name in names]
    return None


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < LARGEST


def _with_text_keys(values: Mapping[Any, Any]) -> dict[str, object]:
    """The entries whose keys are text or ordinary numbers."""
    plain = {}
    for key, value in values.items():
        if isinstance(key, str):
            plain[key] = value
        elif isinstance(key, int | float) and abs(key) < LARGEST:
            plain[str(key)] = value
    return plain
