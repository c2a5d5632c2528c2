"""The axes of a comparison: what may vary from image to image, and its values as people type them."""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from ..checkpoints.checkpoint import WEIGHTS_NAMES
from ..checkpoints.class_lookup import labels_of, suggest
from ..device import DTYPES
from ..outputs.settings_text import NO_CLASS
from ..sampling.declaration import Declaration
from ..sampling.options import DECLARATIONS, MAX_SEED

MAX_VALUES = 64  # of one axis
MAX_TEXT = 10_000  # letters, of what is typed for one axis
WORDS_FOR_NO_CLASS = ("none", "no class", "null")
SWITCH = {"on": True, "yes": True, "true": True, "1": True, "off": False, "no": False, "false": False, "0": False}
SHORT_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "half": "float16"}

NUMBER = r"\d{1,19}(?:\.\d{1,6})?"
RANGE = re.compile(
    rf"(?P<first>{NUMBER})\s*(?:-|–|\.\.)\s*(?P<last>{NUMBER})\s*"
    rf"(?::\s*(?P<step>{NUMBER})|\(\s*[+-]?(?P<bracketed>{NUMBER})\s*\)|\[\s*(?P<count>\d{{1,4}})\s*\])?"
)


@dataclass(frozen=True)
class Axis:
    """One direction of a comparison.

    Args:
        kind: one of `KINDS`.
        values: at least one, in the order in which they are shown.
        labels: what people see of each value; None for the values themselves.
    """

    kind: str
    values: tuple
    labels: tuple[str, ...] = ()

    def __post_init__(self):
        """Refuse what cannot be an axis, and label the values."""
        if self.kind not in KINDS:
            raise ValueError(f"an axis must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if not 1 <= len(self.values) <= MAX_VALUES:
            raise ValueError(f"{self.title}: an axis has 1 to {MAX_VALUES} values, not {len(self.values)}")
        if not self.labels:
            object.__setattr__(self, "labels", tuple(as_text(value) for value in self.values))
        if len(self.labels) != len(self.values):
            raise ValueError(f"{self.title}: {len(self.values)} values, but {len(self.labels)} labels")

    @property
    def title(self) -> str:
        """The name of what varies, for people."""
        return KINDS[self.kind].title


@dataclass(frozen=True)
class Names:
    """The names that an axis may use.

    Args:
        classes: one for each class.
        checkpoints: those that can be chosen.
    """

    classes: Sequence[str] = ()
    checkpoints: Sequence[str] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of axis.

    Args:
        title: its name for people.
        hint: an example of what can be typed.
        parse: from the typed text to values; raises ValueError.
        of_model: whether another value means another model in memory.
    """

    title: str
    hint: str
    parse: Callable[[str, Names], list] = field(repr=False)
    of_model: bool = False


def parse_axis(kind: str, text: str, names: Names) -> Axis:
    """An axis from what a person typed.

    Values are parted by commas, semicolons or lines. Numbers may be ranges: "0-4", "0-10:2", "1-2 (+0.25)",
    "0-1 [5]" (five values, evenly spaced). Names with commas stand in double quotes or on a line of their own.

    Args:
        kind: one of `KINDS`.
        text: what was typed.
        names: the classes and checkpoints that may be named.

    Raises:
        ValueError: a value that is none, or too many of them; the message names the axis and the value.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"an axis must be one of {', '.join(KINDS)}, not {kind!r}")
    title, hint = KINDS[kind].title, KINDS[kind].hint
    if not isinstance(text, str):
        raise ValueError(f"{title}: the values must be a text, such as {hint!r}")
    if len(text) > MAX_TEXT:
        raise ValueError(f"{title}: the text is too long; at most {MAX_TEXT} letters are read")
    try:
        read = KINDS[kind].parse(text, names)
    except ValueError as error:
        raise ValueError(f"{title}: {error}") from None
    if not read:
        raise ValueError(f"{title}: no value given; type some, such as {hint}")
    values = tuple(dict.fromkeys(read))
    if kind == "class":
        return Axis(kind, values, tuple(class_label(value, names.classes) for value in values))
    return Axis(kind, values, checkpoint_labels(values) if kind == "checkpoint" else ())


def checkpoint_labels(names: Sequence[str]) -> tuple[str, ...]:
    """Names of checkpoints without the suffix that all of them share."""
    suffixes = {PurePath(name).suffix for name in names}
    shared = suffixes.pop() if len(suffixes) == 1 else ""
    return tuple(name.removesuffix(shared) for name in names)


def class_label(value: int | None, class_names: Sequence[str]) -> str:
    """A class as people see it; names that several classes have are told apart by index."""
    if value is None:
        return NO_CLASS
    name = class_names[value]
    return f"{name} ({value})" if list(class_names).count(name) > 1 else name


def as_text(value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):  # one for each scale
        return " ".join(as_text(part) for part in value)
    if isinstance(value, float):
        return f"{value:g}"
    return NO_CLASS if value is None else str(value)


def split_words(text: str, known: Sequence[str] = ()) -> list[str]:
    """The values of a typed list: parted by lines and semicolons, then by commas outside of double quotes.

    Args:
        text: what was typed.
        known: names that may hold commas; a line that is one of them stays whole.

    Raises:
        ValueError: they are more than an axis has.
    """
    whole = {name.casefold() for name in known}
    words = []
    for line in re.split(r"[\r\n;]", text):
        line = line.strip()
        if line.casefold() in whole:
            words.append(line)
        else:
            words += [word.strip() for row in csv.reader([line], skipinitialspace=True) for word in row]
    words = [word for word in words if word]
    if len(words) > MAX_VALUES:  # before any is looked for among very many names
        raise ValueError(f"{len(words)} values; at most {MAX_VALUES} are allowed")
    return words


def expand_numbers(word: str, whole: bool) -> list:
    """The numbers of one value or range.

    Args:
        word: such as "4", "0-4", "0-10:2", "10-0 (5)", "0-1 [5]".
        whole: whether only whole numbers make sense.

    Raises:
        ValueError: it is neither, or has too many numbers.
    """
    if re.fullmatch(NUMBER, word):
        numbers = [Decimal(word)]
    elif match := RANGE.fullmatch(word):
        numbers = range_of(word, match)
    else:
        raise ValueError(f"{word!r} is neither a number nor a range such as 0-4 or 0-10:2")
    if not whole:
        return [float(number) for number in numbers]
    for number in numbers:
        if number != int(number):
            raise ValueError(f"{word!r} gives {number.normalize():f}; only whole numbers make sense here")
    return [int(number) for number in numbers]


def range_of(word: str, match: re.Match) -> list[Decimal]:
    """The numbers of a range that `RANGE` matched; they are decimal, so that 0-1:0.1 has the 0.3 that people mean."""
    first, last = Decimal(match["first"]), Decimal(match["last"])
    if match["count"]:
        count = int(match["count"])
        if not 2 <= count <= MAX_VALUES:
            raise ValueError(f"{word!r} must ask for 2 to {MAX_VALUES} values")
        return [(first + (last - first) * i / (count - 1)).quantize(Decimal("1e-6")) for i in range(count)]
    typed_step = match["step"] or match["bracketed"]
    step = Decimal(typed_step or 1)
    if step == 0:
        raise ValueError(f"the step of {word!r} is 0")
    if typed_step is None and (last - first) % 1:
        raise ValueError(f"{word!r} needs a step, such as {match['first']}-{match['last']}:0.25")
    count = int(abs(last - first) // step + 1)
    if count > MAX_VALUES:
        raise ValueError(f"{word!r} has {count} values; at most {MAX_VALUES} are allowed")
    return [first + (step if last >= first else -step) * i for i in range(count)]


def numbers(said: Declaration) -> Callable[[str, Names], list]:
    """A parser of the numbers that an option may be."""

    def parse(text: str, names: Names) -> list:
        values = [value for word in split_words(text) for value in expand_numbers(word, said.is_whole)]
        for value in values:
            if not said.allows(value):
                raise ValueError(f"{as_text(value)} is out of range; it must be {said.bounds().removeprefix('from ')}")
        return values

    return parse


def one_of(choices: dict[str, Any]) -> Callable[[str, Names], list]:
    """A parser of a few words, in any case."""

    def parse(text: str, names: Names) -> list:
        words = split_words(text)
        for word in words:
            if word.casefold() not in choices:
                raise ValueError(f"{word!r} is none of {', '.join(choices)}")
        return [choices[word.casefold()] for word in words]

    return parse


def parse_classes(text: str, names: Names) -> list[int | None]:
    """Classes by index, range of indices, name, a part of a name that only one has, "none" or "all"."""
    if text.strip().casefold() == "all":
        return list(range(len(names.classes)))
    return [label for word in split_words(text, names.classes) for label in match_classes(word, names.classes)]


def match_classes(word: str, class_names: Sequence[str]) -> list[int | None]:
    """The classes that one word or range names; raises ValueError where there are none, or where it is not clear."""
    if re.fullmatch(NUMBER, word) or RANGE.fullmatch(word):
        labels = expand_numbers(word, whole=True)
        for label in labels:
            if label >= len(class_names):
                raise ValueError(f"class {label} is out of range; the classes are 0 to {len(class_names) - 1}")
        return list(labels)
    found = labels_of(word, class_names)
    if not found and word.casefold() in WORDS_FOR_NO_CLASS:
        return [None]
    found = found or [label for label, name in enumerate(class_names) if word.casefold() in name.casefold()]
    if len(found) == 1:
        return list(found)
    if not found:
        raise ValueError(f"no class is named {word!r}; {suggest(word, class_names)}")
    some = ", ".join(f"{class_names[label]} ({label})" for label in found[:5]) + (", …" if len(found) > 5 else "")
    raise ValueError(f"{word!r} is in the names of {len(found)} classes: {some}; type the name in full, or its index")


def parse_checkpoints(text: str, names: Names) -> list[str]:
    """Checkpoints by name, or a part of a name that only one has."""
    values = []
    for word in split_words(text, names.checkpoints):
        found = [name for name in names.checkpoints if name == word]
        found = found or [name for name in names.checkpoints if word.casefold() in name.casefold()]
        if len(found) != 1:
            problem = "is in the names of several checkpoints" if found else "is no checkpoint at hand"
            raise ValueError(f"{word!r} {problem}: {', '.join((found or list(names.checkpoints))[:5]) or 'none'}")
        values += found
    return values


def kind_of_option(said: Declaration) -> Kind:
    """The axis of an option of sampling."""
    hint = ", ".join(map(as_text, said.suggested))
    if said.is_switch:
        return Kind(said.title, hint, one_of(SWITCH))
    return Kind(said.title, hint, one_of({word: word for word in said.choices}) if said.choices else numbers(said))


SEED = Declaration("Seed", "of the first image", 0, most=MAX_SEED)
KINDS = {
    "checkpoint": Kind("Checkpoint", "ep-10.pth, ep-20.pth", parse_checkpoints, of_model=True),
    "weights": Kind("Weights", "ema, raw", one_of({word: word for word in WEIGHTS_NAMES}), of_model=True),
    "dtype": Kind(
        "Precision", "float32, bfloat16", one_of({name: name for name in DTYPES} | SHORT_DTYPES), of_model=True
    ),
    "class": Kind("Class", "0-4, banana", parse_classes),
    "seed": Kind(SEED.title, "0-4", numbers(SEED)),
    **{name: kind_of_option(said) for name, said in DECLARATIONS.items()},
}
