"""How the weights of a file differ from those that a model has: in names, shapes and kinds of numbers.

In short, names are gathered: a part of the model of which nothing is in its place counts as one, and numbers in names
become `*`, as in `blocks.*.attn ×16 (112 keys)`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass

from torch import Tensor

from ..formats.tensors import StoredTensor
from ..text import one_line

MAX_GROUPS = 3  # of keys named in a message
MAX_PARTS = 24  # of a name; no model has more
MAX_CHARACTERS = 80  # of a name in a message
FULL_LIST = "`python -m var inspect FILE --json` lists them all."


@dataclass(frozen=True)
class KeyDifferences:
    """What is not as a model needs it.

    Args:
        missing: names that the model has and the file lacks.
        unexpected: names that the file has and the model lacks.
        misshaped: names of other shapes, with the shape found and the shape expected.
        mistyped: names whose numbers are not floating-point, with their kind.
        present: names that both have.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    mistyped: Mapping[str, str]
    present: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.missing or self.unexpected or self.misshaped or self.mistyped)

    def describe(self) -> str:
        """All differences in one line, gathered by group and counted."""
        parts = []
        if self.missing:
            parts.append(f"{_keys(self.missing)} missing ({summarize(self.missing, self.present)})")
        if self.unexpected:
            parts.append(f"{_keys(self.unexpected)} unexpected ({summarize(self.unexpected, self.present)})")
        if self.misshaped:
            shapes = [
                f"{_numberless(key)} is {', expected '.join(one_line(shape, MAX_CHARACTERS) for shape in pair)}"
                for key, pair in self.misshaped.items()
            ]
            parts.append(f"{_keys(self.misshaped)} of another shape ({_join(_count(shapes), '; ')})")
        if self.mistyped:
            kinds = [f"{_numberless(key)} is {kind}" for key, kind in self.mistyped.items()]
            parts.append(f"{_keys(self.mistyped)} not of floating-point numbers ({_join(_count(kinds))})")
        return "; ".join(parts)

    def next_step(self) -> str:
        """What to do about them."""
        if self.missing or self.misshaped or self.mistyped:
            step = "Save the whole state dict, or fetch it again."
        else:
            step = "The model was changed, and runs only in its own program; choose a checkpoint of VAR as it is."
        total = sum(map(len, (self.missing, self.unexpected, self.misshaped, self.mistyped)))
        return f"{step} {FULL_LIST}" if total > MAX_GROUPS else step


def find_differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor | StoredTensor]) -> KeyDifferences:
    """Compare the weights of a file with those that a model has.

    Args:
        expected: the model's state dict; its numbers do not matter.
        found: the file's.
    """
    shared = [key for key in expected if key in found]
    shapes = {key: (tuple(found[key].shape), tuple(expected[key].shape)) for key in shared}
    return KeyDifferences(
        missing=tuple(key for key in expected if key not in found),
        unexpected=tuple(key for key in found if key not in expected),
        misshaped={key: pair for key, pair in shapes.items() if pair[0] != pair[1]},
        mistyped={
            key: str(found[key].dtype).removeprefix("torch.")
            for key in shared
            if expected[key].is_floating_point() and not found[key].is_floating_point()
        },
        present=tuple(shared),
    )


def summarize(keys: Iterable[str], others: Iterable[str] = ()) -> str:
    """Gather names by group.

    Args:
        keys: the names.
        others: names that do not belong to them; a part of the model that has none of these counts as one.

    Returns:
        The largest groups with how often they occur, and how many more there are.
    """
    kept = {prefix for key in others for prefix in _prefixes(key)}
    members: dict[str, list[str]] = {}
    for key in keys:
        unit = next((prefix for prefix in _prefixes(key) if prefix not in kept), key)
        members.setdefault(unit, []).append(key)
    times: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for unit, inside in members.items():
        group = _numberless(unit if len(inside) > 1 else inside[0])
        times[group] += 1
        sizes[group] += len(inside)
    return _join(
        (f"{group} ×{times[group]}" if times[group] > 1 else group) + (f" ({size} keys)" if size > times[group] else "")
        for group, size in sizes.most_common()
    )


def _count(texts: Iterable[str]) -> list[str]:
    """Different texts with how often they occur, the most frequent first."""
    return [f"{text} ×{count}" if count > 1 else text for text, count in Counter(texts).most_common()]


def _join(texts: Iterable[str], separator: str = ", ") -> str:
    """The first texts, and how many there are beside them."""
    texts = list(texts)
    rest = len(texts) - MAX_GROUPS
    more = [f"and {rest} more {'kind' if rest == 1 else 'kinds'}"] if rest > 0 else []
    return separator.join(texts[:MAX_GROUPS] + more)


def _prefixes(key: str) -> list[str]:
    """The parts of the model that a weight is in, from large to small, and the weight itself."""
    parts = key.split(".", MAX_PARTS)
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _keys(keys: Sized) -> str:
    return "1 key is" if len(keys) == 1 else f"{len(keys)} keys are"


def _numberless(key: str) -> str:
    """A name with `*` for its numbers, cut to a length and a line that a message can take."""
    return one_line(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", key[: 4 * MAX_CHARACTERS]), MAX_CHARACTERS)
