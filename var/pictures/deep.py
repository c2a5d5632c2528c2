"""Images of more than 8 bits a channel: which of their numbers is white, and what they are in 8 bits.

Their files do not say it: 12 bits stand in 16, and floating-point numbers go up to 1, 255 or anything.
"""

from collections.abc import Mapping

import numpy
from PIL import Image, ImageFile

WHITES = (255, 1023, 4095, 16383, 65535)  # of 8, 10, 12, 14 and 16 bits
MIN_CUT = 64  # of 256: 14 bits and fewer that stand in 16 stay below
KINDS = {"I": "32-bit", "F": "floating-point"}  # by Pillow's mode; those of 16 bits begin with "I;16"


def deep_kind(image: Image.Image) -> str | None:
    """What kind of numbers an image has, such as "16-bit"; None for 8 bits and less, which need no care."""
    return "16-bit" if image.mode.startswith("I;16") else KINDS.get(image.mode)


def extremes(image: Image.Image) -> tuple[float, float]:
    """The smallest and the largest number of a deep image; NaN where it has one."""
    numbers = numpy.asarray(image)
    return float(numbers.min()), float(numbers.max())


def find_white(kind: str, smallest: float, largest: float, name: str) -> float:
    """Find the number that stands for white: the smallest of those in use that no number of the images exceeds.

    Args:
        kind: of `deep_kind`.
        smallest: number in the images.
        largest: number in the images.
        name: what a message calls them.

    Raises:
        ValueError: numbers that no such scale holds.
    """
    for white in (1, *WHITES) if kind == "floating-point" else WHITES:
        if smallest >= 0 and largest <= white:
            return white
    raise ValueError(
        f"{name} has {kind} numbers from {smallest:g} to {largest:g}; expected 0 to {WHITES[-1]}"
        f"{', or 0 to 1' if kind == 'floating-point' else ''}. Save it with 8 bits a channel."
    )


def to_eight_bits(
    image: Image.Image, whites: Mapping[str, float] | None = None, name: str = "The image"
) -> Image.Image:
    """Bring a deep image to 8 bits; others are returned as they are.

    Args:
        image: of any mode.
        whites: the number that is white, by kind; None to find it in this image alone.
        name: what a message calls it.

    Returns:
        Mode "L", or the image itself.

    Raises:
        ValueError: numbers of no known scale.
    """
    kind = deep_kind(image)
    if kind is None:
        return image
    white = find_white(kind, *extremes(image), name) if whites is None else whites[kind]
    numbers = numpy.asarray(image).astype(numpy.float64)
    numbers = numpy.rint(numbers * 255) if white == 1 else numbers * (256 / (white + 1))  # the upper 8 bits
    return Image.fromarray(numbers.clip(0, 255).astype("uint8"))


def is_cut(image: Image.Image) -> bool:
    """Whether Pillow reads an image of 16 bits a colour as 8: it takes the upper 8 bits, whatever the numbers reach."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else ()
    return deep_kind(image) is None and any(";16" in str(part[3]) for part in tiles)


def check_cut(largest: int, name: str) -> None:
    """Raise ValueError where the upper 8 bits of 16-bit colours say that they were fewer bits in truth.

    Args:
        largest: of all numbers of such images, 0 to 255.
        name: what the message calls them.
    """
    if largest < MIN_CUT:
        raise ValueError(
            f"{name} has 16 bits a colour but uses only the lower ones: its brightest is {largest} of 255. "
            "Save it with 8 bits a colour."
        )
