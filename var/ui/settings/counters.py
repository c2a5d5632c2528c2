"""A number of images for each class: the list of steppers, and what it says."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from ...engine.description import Description
from ...engine.runs import MOST_IMAGES
from ..static import read_script
from .classes import NO_CLASS, NO_CLASS_NAME

MOST_IMAGES_A_CLASS = 16
TEMPLATE = '<ul></ul><p class="total" aria-live="polite"></p>'


def create_counts() -> gr.HTML:
    """Lay out the list; it is empty until `rows` fills it."""
    return gr.HTML(
        counts_value([]),
        html_template=TEMPLATE,
        js_on_load=read_script("counts"),
        apply_default_css=False,
        elem_id="counts",
    )


def counts_value(rows: Sequence[Mapping[str, Any]], typed: int | None = None) -> dict[str, Any]:
    """Return the list's value for some rows.

    Args:
        rows: label, name and count of each class.
        typed: what `typed_in` says of the value that these answer; None for rows that hold whatever was typed.
    """
    return {"rows": list(rows), "most": MOST_IMAGES, "most_a_class": MOST_IMAGES_A_CLASS, "typed": typed}


def typed_in(value: Any) -> int | None:
    """Return how many numbers were typed before the list's value was sent, so that what is typed meanwhile stays."""
    typed = value.get("typed") if isinstance(value, dict) else None
    return typed if type(typed) is int else None


def rows(
    description: Description,
    chosen: Sequence[int],
    numbers: Mapping[int, int],
    usual: int,
    typed: int | None = None,
) -> dict[str, Any]:
    """Return the list's value for the chosen classes.

    Args:
        description: of the checkpoint; it names the classes.
        chosen: the list's values, `NO_CLASS` for no class.
        numbers: images by class, as far as they were given.
        usual: images of a class that has no number yet.
        typed: as in `counts_value`.
    """
    names = description.class_names
    return counts_value(
        [
            {
                "label": label,
                "name": NO_CLASS_NAME if label == NO_CLASS else names[label],
                "count": numbers.get(label, usual),
            }
            for label in chosen
            if label == NO_CLASS or 0 <= label < len(names)
        ],
        typed,
    )


def numbers_of(value: Any) -> dict[int, int]:
    """Return images by class from the list's value, which comes from a browser and may be anything."""
    found = value.get("rows") if isinstance(value, dict) else None
    pairs = [(row.get("label"), row.get("count")) for row in found or [] if isinstance(row, dict)]
    return {label: count for label, count in pairs if type(label) is int and type(count) is int}


def num_images_of(values: Mapping[str, Any]) -> int | list[int]:
    """Return how many images of each class the controls ask for: one number, or one for each chosen class.

    Args:
        values: of all controls, by their names.
    """
    usual = values["num_images"]
    if not values["by_class"]:
        return usual
    numbers = numbers_of(values["counts"])
    return [numbers.get(label, usual) for label in values["classes"]]


def total_of(values: Mapping[str, Any]) -> int:
    """Return how many images the controls ask for in all; what is no number counts as none.

    Args:
        values: of all controls, by their names.
    """
    numbers = num_images_of(values)
    if not isinstance(numbers, list):
        numbers = [numbers] * len(values["classes"] or ())
    return sum(number for number in numbers if isinstance(number, int | float))
