"""The list of classes: in which order it stands, and what its buttons choose."""

import random
from collections.abc import Sequence

from ...checkpoints.class_lookup import labels_of
from ...engine.description import Description

NO_CLASS = -1  # in the list; None in an order
NO_CLASS_NAME = "no class"
NUM_FIRST_CLASSES = 4
MOST_RECENT = 12


def choices(description: Description | None, recent: Sequence[int] = ()) -> list[tuple[str, int]]:
    """Return what the list shows, name and index, with the index as value.

    Classes used lately come first, then those that look trained, then the others; "no class" is the last.

    Args:
        description: of the checkpoint; None for an empty list.
        recent: classes used lately, the last one first.
    """
    if description is None:
        return []
    names = description.class_names
    order = [label for label in recent if 0 <= label < len(names)]
    order += offered(description)
    labels = dict.fromkeys((*order, *range(len(names))))
    return [(f"{plain_name(names[label], label)} · {label}", label) for label in labels] + [(NO_CLASS_NAME, NO_CLASS)]


def plain_name(name: str, label: int) -> str:
    """Return a name without the index that tells it from an equal one, for where the index follows anyway."""
    return name.removesuffix(f" ({label})")


def offered(description: Description) -> Sequence[int]:
    """Return the classes that are worth choosing: those that look trained where that can be told, else all."""
    return description.trained_classes or range(len(description.class_names))


def first_choice(description: Description | None) -> list[int]:
    """Return the classes chosen at first: a few, spread over all."""
    if description is None:
        return []
    labels = offered(description)
    count = min(NUM_FIRST_CLASSES, len(labels))
    return [labels[index * len(labels) // count] for index in range(count)]


def random_choice(description: Description, count: int) -> list[int]:
    """Return some classes at random, ascending."""
    labels = offered(description)
    return sorted(random.sample(list(labels), min(count, len(labels))))


def label_of(description: Description, asked: int | str | None) -> int | str | None:
    """Return the label of a class that is given by its name, in any case; anything else as it is."""
    if not isinstance(asked, str):
        return asked
    names = [plain_name(name, label) for label, name in enumerate(description.class_names)]
    return next(iter(labels_of(asked, names)), asked)


def known_classes(description: Description, labels: Sequence[int | None]) -> list[int]:
    """Return those of the classes that this checkpoint has, as the list's values."""
    wanted = [NO_CLASS if label is None else label for label in labels]
    return [label for label in dict.fromkeys(wanted) if label == NO_CLASS or 0 <= label < len(description.class_names)]


def to_labels(values: Sequence[int]) -> list[int | None]:
    """Return the classes of an order from the list's values."""
    return [None if value == NO_CLASS else value for value in values]


def with_recent(recent: Sequence[int], labels: Sequence[int | None]) -> list[int]:
    """Return the classes used lately after another run; None among its labels is no class."""
    used = [label for label in labels if label is not None]
    return list(dict.fromkeys((*used, *recent)))[:MOST_RECENT]
