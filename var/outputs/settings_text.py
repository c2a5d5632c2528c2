"""A recipe as the text that image generators put into a PNG as `parameters`: the prompt, then `Name: value, …`."""

import json
import re
from collections.abc import Mapping

from ..sampling.options import DECLARATIONS

MOST_DIGITS = 40  # of a whole number
SAMPLER = "VAR"
NO_CLASS = "no class"
OF_ANOTHER_PROGRAM = "The settings in this image are of another program, not of VAR; they mean nothing here."
READABLE_NAMES = {name: said.written or said.title for name, said in DECLARATIONS.items()}
SHOWN_FIELDS = {
    "Steps": "num_scales",
    "Seed": "seed",
    "Class": "class_label",
    "Model": "checkpoint",
    "Model hash": "checkpoint_hash",
    "Weights": "weights",
    "Heads": "num_heads",
    "VAE": "vae",
    "VAE hash": "vae_hash",
    "Precision": "dtype",
    "Device": "device",
}
TEXT_FIELDS = ("checkpoint", "checkpoint_hash", "weights", "vae", "vae_hash", "dtype", "device")  # a hash may be digits
WORDS = {"True": True, "False": False, "none": None}
NUMBER = r"-?\d+(\.\d+)?(e[+-]?\d+)?"
PAIR = re.compile(r' *([A-Za-z][\w -]*):((?: *"(?:[^"\\]|\\.)*" *)|[^,"]*)(?:,|$)')


def values_of_readable(text: str) -> dict[str, object]:
    """What `readable` wrote as the plain values of `Recipe.as_dict`; the names of files have lost their suffixes.

    Raises:
        ValueError: it is of another program.
    """
    try:
        prompt, settings = read_settings(text)
    except ValueError as error:
        raise ValueError(OF_ANOTHER_PROGRAM) from error
    if settings.pop("Sampler", None) != SAMPLER:
        raise ValueError(OF_ANOTHER_PROGRAM)
    values: dict[str, object] = {"class_name": prompt, "checkpoint": "", "checkpoint_hash": ""}
    names = SHOWN_FIELDS | {shown: name for name, shown in READABLE_NAMES.items()}
    for shown, name in names.items():
        if shown in settings:
            values[name] = settings[shown] if name in TEXT_FIELDS else plain_value(settings[shown])
    if "class_label" in values and values["class_label"] is None:
        values["class_name"] = ""
    values["image_size"] = plain_value(settings.get("Size", "").split("x")[0])
    return values | {
        "edited": bool(settings.keys() & {"Edited", "Branch of"}),
        "version": settings.get("Version", "").removeprefix("var "),
    }


def plain_value(text: str) -> object:
    """A value of the readable text as the recipe has it: a number, several of them, a switch, a word, or None."""
    if " " in text:
        return tuple(map(plain_value, text.split(" ")))
    if text in WORDS:
        return WORDS[text]
    if re.fullmatch(rf"-?\d{{1,{MOST_DIGITS}}}", text):
        return int(text)
    return float(text) if re.fullmatch(NUMBER, text) else text


def write_settings(prompt: str, settings: Mapping[str, object]) -> str:
    """Write the two lines; values that are None or "" are left out, and `read_settings` reads all others back.

    Args:
        prompt: one line.
        settings: by their names for people.
    """
    shown = (f"{name}: {_quoted(value)}" for name, value in settings.items() if value not in (None, ""))
    return f"{prompt}\n{', '.join(shown)}"


def read_settings(text: str) -> tuple[str, dict[str, str]]:
    """Read prompt and settings; the values are texts.

    Raises:
        ValueError: it is not of that form.
    """
    prompt, _, line = text.strip("\n").rpartition("\n")
    settings, end = {}, 0
    while end < len(line):
        pair = PAIR.match(line, end)
        if pair is None:
            raise ValueError(f"there is no setting at {line[end : end + 20]!r}")
        name, value = pair[1], pair[2].strip()
        settings[name] = json.loads(value) if value.startswith('"') else value
        end = pair.end()
    return prompt, settings


def _quoted(value: object) -> str:
    """A value of the list; in double quotes where it would end the list or break the line."""
    parts = value if isinstance(value, tuple) else (value,)
    text = " ".join(repr(part).removesuffix(".0") if isinstance(part, float) else str(part) for part in parts)
    return json.dumps(text, ensure_ascii=False) if set(text) & set(',:\n"') else text
