"""What a file holds in which there is no VAR: told by the names and shapes of its weights, after a table of models."""

import itertools
from collections.abc import Iterable, Iterator, Mapping

from ..formats.pickle_objects import Global, StandIn
from ..formats.tensors import StoredTensor
from ..text import one_line
from .foreign_models import BOTH, KINDS, ForeignKind

State = Mapping[str, StoredTensor]

EXPECTED = "Expected a VAR trainer's checkpoint, or the state dict of a VAR or of its VQVAE."
MAX_DEPTH = 6  # of dicts in dicts that are looked into
MAX_PATHS = 20_000  # names looked at in one payload
MAX_PARTS = 24  # of a name; no model has more
MAX_NAMES = 4  # of weights in a message
MAX_CHARACTERS = 60  # of one of them
MODEL_ENTRIES = ("model", "net", "network", "ema", "model_ema", "module", "state_dict", "generator", "var", "vae")


def describe_foreign(payload: object, states: Mapping[str, State]) -> str:
    """Say what a file holds in which no VAR and no VQVAE was found.

    Args:
        payload: what was saved.
        states: the state dicts in it, by their place, without wrappers' prefixes.

    Returns:
        What was found, what was expected, and the next step.
    """
    models = {place: state for place, state in states.items() if any(key.endswith("weight") for key in state)}
    inner = [_index(state.items()) for state in states.values()]
    outer = [] if models else [_index(_paths(payload))]
    for kind in KINDS:
        if any(_matches(kind, index) for index in (outer if kind.whole_file else inner)):
            return _sentence(kind)
    objects = _model_objects(payload)
    if objects:
        return (
            f"The file holds a whole object of {_short(objects[0])}, and reading its weights would run its program. "
            "Load it where you trust it, and save the model's state_dict() alone."
        )
    return f"{_describe_unknown(payload, models or states)} {EXPECTED} Check that this is the right file."


def variant_of_var(state: State) -> str | None:
    """What a transformer with most of VAR's weights is, with the next step; None for VAR itself."""
    return _find_relative(state, "VAR")


def variant_of_vqvae(state: State) -> str | None:
    """What an autoencoder with most of the weights of VAR's VQVAE is, with the next step; None for VAR's itself."""
    return _find_relative(state, "VQVAE")


def _find_relative(state: State, relative: str) -> str | None:
    index = _index(state.items())
    return next(
        (_sentence(kind) for kind in KINDS if kind.relative in (relative, BOTH) and _matches(kind, index)), None
    )


def _sentence(kind: ForeignKind) -> str:
    return f"The file holds {kind.name}. {kind.next_step}"


def _index(entries: Iterable[tuple[str, object]]) -> str:
    """The names of all weights as lines of text, numbers as `*`, each part and the dimensions after a mark of its own.

    `blocks.3.ffn.fc1.weight` of two dimensions becomes `.blocks.*.ffn.fc1.weight.:2`.
    """
    lines = set()
    for key, value in entries:
        dimensions = len(value.shape) if isinstance(value, StoredTensor) else ""
        parts = ("*" if part.isdecimal() else part for part in key.split(".", MAX_PARTS))
        lines.add(f".{'.'.join(parts)}.:{dimensions}\n")
    return "".join(lines)


def _matches(kind: ForeignKind, index: str) -> bool:
    signatures = kind.signatures.strip().splitlines()
    return any(all(_has(index, mark) for mark in signature.split()) for signature in signatures)


def _has(index: str, mark: str) -> bool:
    if mark.startswith("!"):
        return not _has(index, mark[1:])
    name, _, dimensions = mark.partition(":")
    return (f".{name}.:{dimensions}\n" if dimensions else f".{name}.") in index


def _paths(payload: object) -> Iterator[tuple[str, object]]:
    """Names of the entries of dicts in dicts, joined by dots, up to a depth and an amount."""
    return itertools.islice(_walk(payload, "", MAX_DEPTH), MAX_PATHS)


def _walk(value: object, place: str, depth: int) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and depth:
        for key, item in value.items():
            name = f"{place}.{_short(key)}"
            yield name, item
            yield from _walk(item, name, depth - 1)


def _describe_unknown(payload: object, states: Mapping[str, State]) -> str:
    """Say what was found in a file of which nothing is known."""
    if any(states.values()):
        state = max(states.values(), key=len)
        number = "1 weight" if len(state) == 1 else f"{len(state)} weights"
        return f"The file holds {number} of another model ({_few(state)}{', ...' if len(state) > MAX_NAMES else ''})."
    if isinstance(payload, Mapping):
        return f"The file holds no state dict of a VAR; it is a dict of {_few(payload) or 'nothing'}."
    if isinstance(payload, StoredTensor):
        return f"The file holds one tensor of shape {payload.shape}, not a state dict."
    return f"The file holds one {type(payload).__name__}, not a state dict."


def _model_objects(payload: object) -> list[str]:
    """Names of the classes of pickled objects where a state dict is usual: the file itself, or an entry for a model."""
    found = [payload]
    if isinstance(payload, Mapping):
        found = [payload[key] for key in MODEL_ENTRIES if key in payload]
    return [value.name for value in found if isinstance(value, StandIn | Global)]


def _few(names: Iterable[object]) -> str:
    """The first names, each cut to a length and a line that a message can take."""
    return ", ".join(map(_short, itertools.islice(names, MAX_NAMES)))


def _short(name: object) -> str:
    if not isinstance(name, str):
        name = str(name) if type(name) is int and abs(name) < 2**63 else type(name).__name__
    return one_line(name, MAX_CHARACTERS)
