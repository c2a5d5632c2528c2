"""Numbers, names and lines as people read them; what they are made from may hold anything."""

import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

MAX_NAME_LENGTH = 80  # characters
BETWEEN_VALUES = " · "  # of several axes of a comparison, in the label of an image
# /a/b or C:\a\b, but not what follows a name, another slash or "hf:"
ROOTED_PATH = re.compile(r"""(?<![\w/:.\\])(?:/|[A-Za-z]:\\)(?:[^\s/\\:;,'"()<>]+[/\\])+[^\s/\\:;,'"()<>]*""")
JOINERS = "\u200c\u200d"  # invisible, but part of how Persian, Hindi or emoji are written


def format_count(number: int) -> str:
    """A count of parameters as people write it: 310 M, 2.0 B."""
    return str(number) if number < 1000 else _in_units(number, "K M B")


def format_bytes(number: int) -> str:
    """A number of bytes as people write it: 22 MB, 2.9 GB."""
    return f"{number} bytes" if number < 1000 else _in_units(number, "kB MB GB TB")


def format_operations(number: float) -> str:
    """A number of operations as people say it: 12 billion, 1.0 trillion."""
    return _in_units(number / 1000, "million billion trillion quadrillion")


def _in_units(number: float, units: str) -> str:
    """A number in the unit that goes with its size; the first is a thousand, each other a thousand times the last."""
    names = units.split()
    power = max(1, min(len(names), int(math.log10(max(number, 1))) // 3))
    value = number / 1000**power
    return f"{value:.1f} {names[power - 1]}" if value < 10 else f"{value:,.0f} {names[power - 1]}"


def tell_apart(names: Sequence[str]) -> list[str]:
    """The names for showing: with its index where a name is there more than once, as in "crane (134)"."""
    counts = Counter(names)
    return [f"{name} ({label})" if counts[name] > 1 else name for label, name in enumerate(names)]


def clean_name(text: str) -> str:
    """One line that can be shown anywhere: no control, direction or unpaired characters, cut to a length."""
    text = text[: 4 * MAX_NAME_LENGTH]  # so that the rest is not looked at
    visible = "".join(
        character if character in JOINERS or unicodedata.category(character)[0] != "C" else " " for character in text
    )
    line = " ".join(visible.split()).strip(JOINERS)
    return line if len(line) <= MAX_NAME_LENGTH else line[: MAX_NAME_LENGTH - 1].rstrip() + "…"


def printable(text: object) -> str:
    """Return text with a question mark for each character that no terminal should get: escape sequences, line breaks,
    signs that turn the direction of writing, halves of letters."""
    return "".join(letter if letter.isprintable() or letter in JOINERS else "?" for letter in str(text))


def encodable(path: str) -> str:
    r"""Return a path with its bytes that are no UTF-8 written out, as in `caf\udce9.pth`: others stay what they are."""
    return path.encode("utf-8", "backslashreplace").decode()


def hide_folders(text: str, path: Path, name: str | None = None) -> str:
    """Return a message that calls a file by its name, and folders around it by theirs, with nothing of where they are.

    Args:
        text: the message.
        path: the file that it is about.
        name: what the file is called; None for its own name.
    """
    shown: dict[str, str] = {}
    for place in (path, path.absolute(), Path(os.path.realpath(path))):
        around = {parent: parent.name for parent in place.parents if parent.is_absolute() and parent.name}
        for folder, called in {**around, place: name or path.name}.items():
            shown |= dict.fromkeys((str(folder), printable(folder), encodable(str(folder))), called)
    for spelling in sorted(shown, key=len, reverse=True):
        text = text.replace(spelling, shown[spelling])
    return text


def hide_paths(text: str) -> str:
    """Return a message with the last part alone of each path that begins at the root of a disk."""
    return ROOTED_PATH.sub(lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1], text)


def one_line(value: object, limit: int | None = None) -> str:
    """Return text as one line that any terminal takes: a question mark for each character that is not printable.

    Args:
        value: text, or what is shown as `str` shows it.
        limit: most characters; what is longer is cut, and ends in "...". None for no limit.
    """
    text = str(value)
    if limit is not None:
        text = text[: 4 * limit]  # so that the rest is not looked at
    line = printable(" ".join(text.split()))
    return line if limit is None or len(line) <= limit else f"{line[:limit]}..."


def file_name_part(text: str, max_bytes: int, others: str = "", *, keep_case: bool = False) -> str:
    """Return text as a part of a file's name: small letters and digits of any script, dashes for what is between.

    Args:
        text: anything.
        max_bytes: of the part in UTF-8; file systems allow 255 for the whole name.
        others: characters that stay, too; not at the ends.
        keep_case: whether capital letters stay, too.

    Returns:
        The part; "" where nothing is left.
    """
    letters = unicodedata.normalize("NFC", text[: 4 * max_bytes] if keep_case else text[: 4 * max_bytes].lower())
    kept = "".join(
        letter if unicodedata.category(letter)[0] in "LMN" or letter in others else " " for letter in letters
    )
    joined = "-".join(kept.split()).encode()
    return joined[:max_bytes].decode(errors="ignore").strip("-" + others)
