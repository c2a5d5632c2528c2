"""What a pickle held, as values that JSON can carry: a trainer's arguments, which anybody may have written.

A small pickle can hold a list that holds itself, or the same list a thousand times at every level, which would be
endless when it is written out; so depth and amount are bounded.
"""

import math
from collections.abc import Mapping
from typing import Any

from ..formats.pickle_objects import Global, StandIn
from ..formats.tensors import StoredTensor

MAX_DEPTH = 8  # of containers in containers
MAX_VALUES = 10_000
MAX_CHARACTERS = 10_000  # of one text
CHARACTERS_PER_VALUE = 100  # a long text counts as several values
LEFT_OUT = "..."


def to_plain(value: Any) -> Any:
    """Turn a value into dicts with text as keys, lists, text, numbers, booleans and None.

    Args:
        value: what a pickle held.

    Returns:
        A copy; objects are named, tensors described, and what is too deep or too much becomes "...".
    """
    return _Converter().convert(value, MAX_DEPTH)


class _Converter:
    """Counts the values of one conversion."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def convert(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if isinstance(value, bool | int | None):
            return value if value is None or abs(value) < 2**63 else LEFT_OUT
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            self._left -= len(value[:MAX_CHARACTERS]) // CHARACTERS_PER_VALUE
            return value[:MAX_CHARACTERS]
        if isinstance(value, Global | StandIn):
            return value.name[:MAX_CHARACTERS]
        if isinstance(value, StoredTensor):
            return f"{str(value.dtype).removeprefix('torch.')} tensor of shape {value.shape}"
        if depth == 0 or self._left <= 0:
            return LEFT_OUT
        if isinstance(value, Mapping):
            return {self._key(key): self.convert(item, depth - 1) for key, item in self._some(value.items())}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.convert(item, depth - 1) for item in self._some(value)]
        return type(value).__name__

    def _some(self, items: Any) -> Any:
        """As many of the items as may still be converted."""
        for item in items:
            if self._left <= 0:
                return
            yield item

    def _key(self, key: Any) -> str:
        converted = self.convert(key, 2)
        return converted if isinstance(converted, str) else str(converted)
