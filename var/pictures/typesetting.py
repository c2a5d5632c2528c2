"""Text on pictures: measured, shortened, wrapped and drawn, in one typeface a picture.

Sizes are in pixels.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageDraw, ImageFont

LINE_HEIGHT = 1.3  # over the size of type
BASELINE = 0.76  # of a line's height, from its top
ELLIPSIS = "…"


class Typesetter:
    """Measures, shortens and draws text in one typeface: the one bundled with Pillow where it has every letter.

    Args:
        size: of the type.
        texts: all that will be drawn.
    """

    def __init__(self, size: int, texts: Sequence[str]):
        letters = frozenset("".join("".join(texts).split()))
        self.wide = not all(has_glyph(letter, wide=False) for letter in letters)
        self.size = size
        self.line_height = round(size * LINE_HEIGHT)
        self.font = typeface(size, self.wide)

    def width(self, text: str) -> int:
        """Pixels from the first letter to the last."""
        return round(self.font.getlength(drawable(text, self.wide)))

    def shorten(self, text: str, width: int) -> str:
        """A text that fits, without its middle where it is too long: the ends tell names apart."""
        text = drawable(text, self.wide)
        if self.width(text) <= width:
            return text
        kept = len(text) - 1
        while kept > 1 and self.width(without_middle(text, kept)) > width:
            kept -= 1
        return without_middle(text, kept)

    def wrap(self, text: str, width: int, most_lines: int) -> list[str]:
        """A text in lines that fit, broken between words."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if self.width(longer) <= width or not lines[-1]:
                lines[-1] = longer
            elif len(lines) == most_lines:
                lines[-1] = longer  # too long: shortened below
            else:
                lines.append(word)
        return [self.shorten(line, width) for line in lines]

    def draw(self, draw: ImageDraw.ImageDraw, x: float, y: float, text: str, fill: str, anchor: str = "l") -> None:
        """Draw one line whose top is at y; x is its left, middle or right end, as the anchor "l", "m" or "r" says."""
        baseline = round(y + self.line_height * BASELINE)
        draw.text((round(x), baseline), drawable(text, self.wide), fill=fill, font=self.font, anchor=f"{anchor}s")

    def draw_lines(
        self, draw: ImageDraw.ImageDraw, x: float, y: float, lines: Sequence[str], fill: str, anchor: str = "l"
    ) -> None:
        """Draw lines below one another, the first with its top at y."""
        for number, text in enumerate(lines):
            self.draw(draw, x, y + number * self.line_height, text, fill, anchor)


@lru_cache(maxsize=64)
def typeface(size: int, wide: bool) -> ImageFont.FreeTypeFont:
    """The typeface bundled with Pillow, or the one of Matplotlib, which has the letters of more languages."""
    if not wide:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont), "a size was asked for"
        return font
    # found without importing the package, which takes a while
    found = find_spec("matplotlib")
    assert found is not None and found.submodule_search_locations, "it is required"
    folder = Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(folder / "DejaVuSans.ttf", size)


@lru_cache(maxsize=4096)
def has_glyph(letter: str, wide: bool) -> bool:
    """Whether a typeface can draw a letter."""
    font = typeface(20, wide)
    return bytes(font.getmask(letter)) != bytes(font.getmask("\U0010ffff"))


def drawable(text: str, wide: bool = True) -> str:
    """A text of which every letter can be drawn: without accents, or with "?", where the typeface lacks a letter."""
    letters = []
    for letter in " ".join(text.split()):
        if letter == " " or has_glyph(letter, wide):
            letters.append(letter)
        else:
            plain = unicodedata.normalize("NFKD", letter)[0]
            letters.append(plain if has_glyph(plain, wide) else "?")
    return "".join(letters)


def without_middle(text: str, kept: int) -> str:
    """The first and last letters of a text, `kept` in all, with an ellipsis between."""
    end = kept // 2
    return text[: kept - end].rstrip() + ELLIPSIS + (text[-end:].lstrip() if end else "")
