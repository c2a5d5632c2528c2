"""What is said of an option of sampling: name, help, range, default, for all who check, read, show or write it."""

import math
from dataclasses import dataclass, field
from operator import index
from typing import Any

MOST_NUMBER = 2**63 - 1


@dataclass(frozen=True)
class Declaration:
    """What is said of an option.

    Args:
        title: its name for people.
        help: what its values do.
        default: its value where nobody says otherwise; of its type.
        least: the smallest number that it may be.
        most: the largest; None: any, or what the model has.
        above: whether `least` itself is too small.
        names_scale: whether it is the index of one of the model's scales.
        remark: what a special number means, such as "0: off".
        choices: the words that it may be.
        by_scale: whether it may have a value for each scale.
        step: between two values of a control.
        offered: the largest value of a control; None: `most`, or what the model has.
        suggested: values of a comparison.
        link: its name in a link; "" for its own.
        written: its name in the text of a PNG; "" for its title.
    """

    title: str
    help: str
    default: Any
    least: float = 0
    most: float | None = None
    above: bool = False
    names_scale: bool = False
    remark: str = ""
    choices: tuple[str, ...] = ()
    by_scale: bool = False
    step: float = 1
    offered: float | None = None
    suggested: tuple[Any, ...] = ()
    link: str = ""
    written: str = ""

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off."""
        return isinstance(self.default, bool)

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number."""
        return isinstance(self.default, int) and not self.is_switch

    def allows(self, value: Any, num_scales: int | None = None) -> bool:
        """Whether it may have a value; `num_scales` of the model, None where they are not known."""
        if self.is_switch:
            return isinstance(value, bool)
        if self.choices:
            return value in self.choices
        if not (is_whole(value) if self.is_whole else is_real(value)):
            return False
        most = num_scales - 1 if self.names_scale and num_scales is not None else self.most
        return self.least <= value <= (MOST_NUMBER if most is None else most) and not (
            self.above and value == self.least
        )

    def rule(self, num_scales: int | None = None) -> str:
        """What it must be, in words; `num_scales` as of `allows`."""
        if self.is_switch:
            return "True or False"
        if self.choices:
            return " or ".join(map(repr, self.choices))
        bounds, remark = self.bounds(num_scales), f" ({self.remark})" if self.remark else ""
        kind = "a whole number" if self.is_whole else "a finite number" if self.most is None else "a number"
        return f"{kind} {'of ' if bounds.startswith('at') else ''}{bounds}{remark}"

    def bounds(self, num_scales: int | None = None) -> str:
        """The numbers that it may be, in words: "from 0 to 1", "at least 0", "above 0"."""
        if self.names_scale:
            last = "the last scale" if num_scales is None else f"{num_scales - 1}, the last scale"
            return f"from {self.least:g} to {last}"
        if self.most is not None:
            return f"from {self.least:g} to {self.most:g}"
        return f"above {self.least:g}" if self.above else f"at least {self.least:g}"


def option(default: Any, title: str, help: str, **said: Any) -> Any:
    """A field with its declaration; see `Declaration` for what may be said of it."""
    return field(default=default, metadata={"said": Declaration(title, help, default, **said)})


def is_whole(value: Any) -> bool:
    """Whether a value is an integer of any kind; True and False are not."""
    try:
        return not isinstance(value, bool) and index(value) is not None
    except TypeError:
        return False


def is_real(value: Any) -> bool:
    """Whether a value is a finite number of any kind, and no larger than a whole one may be."""
    try:
        return not isinstance(value, bool | str) and math.isfinite(value) and abs(value) <= MOST_NUMBER
    except (TypeError, OverflowError):
        return False
