"""Links to the page that carry settings: read when it opens, written for people to share."""

import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from ...sampling.declaration import Declaration
from ...sampling.options import DECLARATIONS
from ...sampling.presets import CURVE_OPTIONS
from .bars import for_controls, own_values
from .classes import to_labels
from .counters import num_images_of
from .restore import Wanted

NO_CLASS_WORD = "none"
MOST_LETTERS = 2000  # of one value


def whole(text: str) -> int:
    """Return a whole number, 0 and up."""
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise ValueError
    return int(text)


def real(text: str) -> float:
    """Return a finite number."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def one_or_more(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return what reads a value, or several that stand between commas."""

    def read_all(text: str) -> Any:
        values = [read(part) for part in text.split(",")]
        return values[0] if len(values) == 1 else values

    return read_all


def flag(text: str) -> bool:
    """Return whether something is on."""
    return {"1": True, "true": True, "0": False, "false": False}[text.lower()]


def labels(text: str) -> list[int | str | None]:
    """Return class labels that stand between commas, or names of classes; the word "none" is no class."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ValueError
    return [None if word == NO_CLASS_WORD else whole(word) if word.isdigit() else word for word in words]


def reader_of(said: Declaration) -> Callable[[str], Any]:
    """Return what reads the value of an option."""
    if said.is_switch:
        return flag
    if said.choices:
        return dict(zip(said.choices, said.choices, strict=True)).__getitem__
    read = whole if said.is_whole else real
    return one_or_more(read) if said.by_scale else read


# Name in the link, name of the control, how it is read.
PARAMETERS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("classes", "classes", labels),
    ("images", "num_images", one_or_more(whole)),
    ("seed", "seed", whole),
    *((said.link or name, name, reader_of(said)) for name, said in DECLARATIONS.items()),
)


def from_query(parameters: Mapping[str, str]) -> Wanted | None:
    """Return the settings of a link; None where it carries none.

    Parameters of other names are somebody else's; a value that cannot be read is left out, with a note.
    """
    values, unread = {}, []
    for name, control, read in PARAMETERS:
        text = parameters.get(name)
        if text is None:
            continue
        try:
            values[control] = read(text[:MOST_LETTERS])
        except (ValueError, KeyError):
            unread.append(name)
    checkpoint = parameters.get("checkpoint") or None
    if not values and not unread and checkpoint is None:
        return None
    if values:
        values |= numbers_by_class(values)
        values |= {"new_seed": False} if "seed" in values else {}
        values = for_controls(values)
    note = f"Not understood in the link, and left out: {', '.join(unread)}." if unread else ""
    return Wanted(values, checkpoint, note=note)


def numbers_by_class(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a link's numbers of images mean for the controls; a list of them is taken out of `values`."""
    numbers = values.get("num_images")
    if not isinstance(numbers, list):
        return {"by_class": False} if "num_images" in values else {}
    del values["num_images"]
    return {"by_class": True, "counts": dict(zip(values.get("classes", ()), numbers, strict=False))}


def link_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all controls, by their names, as `to_query` takes them."""
    return {**values, "num_images": num_images_of(values), "classes": to_labels(values["classes"])}


def to_query(checkpoint: str | None, values: Mapping[str, Any]) -> str:
    """Return the query of a link with these settings.

    Args:
        checkpoint: its name in the list.
        values: of all controls, by their names; `classes` is a list of class labels, `num_images` a number or one for
            each of them.
    """
    query = {"checkpoint": checkpoint} if checkpoint else {}
    own = own_values(values["by_scale"])
    for name, control, _ in PARAMETERS:
        value = own.get(control, values[control])
        if value is None or "cfg_scale" in own and control in CURVE_OPTIONS:
            continue
        if control == "classes":
            value = ",".join(NO_CLASS_WORD if label is None else str(label) for label in value)
        elif isinstance(value, list):
            value = ",".join(f"{number:g}" if isinstance(number, float) else str(number) for number in value)
        elif isinstance(value, bool):
            value = int(value)
        elif isinstance(value, float):
            value = f"{value:g}"
        query[name] = value
    return urlencode(query, safe=",")
