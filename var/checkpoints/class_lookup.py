"""Classes as people name them: by index, name, range of indices, or all of them."""

import difflib
import re
from collections.abc import Sequence

ALL_CLASSES = "all"
NO_CLASS = "none"
RANGE = re.compile(r"(\d{1,9})\s*(?:-|–|\.\.)\s*(\d{1,9})")
MAX_SUGGESTIONS = 5
MAX_COMPARED = 2000  # names that an unknown one is compared with letter by letter, which takes 0.1 s


def find_class(name: str, class_names: Sequence[str]) -> int:
    """The index of the class with a name, in any case.

    Args:
        name: as it was typed.
        class_names: one for each class.

    Raises:
        ValueError: no class has the name, and the message says which are similar; or several have it.
    """
    found = labels_of(name, class_names)
    if not found:
        raise ValueError(f"no class is named {name!r}; {suggest(name, class_names)}")
    if len(found) > 1:
        labels = ", ".join(map(str, found[:MAX_SUGGESTIONS]))
        raise ValueError(f"classes {labels} are all named {name!r}; give one by its index")
    return found[0]


def labels_of(name: str, class_names: Sequence[str]) -> list[int]:
    """Indices of all classes with a name: those of the very name, else in any case."""
    exact = [label for label, own in enumerate(class_names) if own == name]
    return exact or [label for label, own in enumerate(class_names) if own.casefold() == name.casefold()]


def find_classes(word: str, class_names: Sequence[str]) -> list[int | None]:
    """The classes that one word of a command names.

    Args:
        word: an index, else a name in any case, else "none" for no class, "all", a range such as "0-63", or several of
            these with commas between.
        class_names: one for each class.

    Returns:
        Their indices; None stands for no class.

    Raises:
        ValueError: there is no such class.
    """
    if re.fullmatch(r"\d+", word):
        return [check_label(int(word), class_names)]
    if not labels_of(word, class_names):
        if word.casefold() == NO_CLASS:
            return [None]
        if word.casefold() == ALL_CLASSES:
            return list(range(len(class_names)))
        if match := RANGE.fullmatch(word):
            first, last = (check_label(int(number), class_names) for number in match.groups())
            step = 1 if first <= last else -1
            return list(range(first, last + step, step))
        parts = [part.strip() for part in word.split(",") if part.strip()]
        if "," in word and parts:
            return [label for part in parts for label in find_classes(part, class_names)]
    return [find_class(word, class_names)]


def check_label(label: int, class_names: Sequence[str]) -> int:
    """Return an index that is one of a class; raise ValueError for any other."""
    if label >= len(class_names):
        raise ValueError(f"class {label} is out of range: the model has classes 0 to {len(class_names) - 1}")
    return label


def suggest(name: str, class_names: Sequence[str]) -> str:
    """What might have been meant by a name that no class has, as the end of a sentence."""
    lowered = {own.casefold(): own for own in class_names}
    similar = [own for low, own in lowered.items() if name.casefold() in low][:MAX_SUGGESTIONS]
    if not similar and len(lowered) <= MAX_COMPARED:
        similar = [lowered[low] for low in difflib.get_close_matches(name.casefold(), lowered)]
    if similar:
        return f"did you mean {', '.join(similar)}?"
    more = f" and {len(class_names) - 8} more" if len(class_names) > 8 else ""
    return f"known are {', '.join(class_names[:8])}{more}"
