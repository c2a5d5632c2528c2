"""An image made larger for use elsewhere, with its recipe and a word on how it was enlarged."""

from pathlib import Path
from typing import BinaryIO

from PIL import Image

from .recipe import Recipe, to_png_text

FACTORS = (2, 4, 8)
METHOD = "Lanczos"
ENLARGED_CHUNK = "Enlarged"


def save_enlarged(file: str | Path | BinaryIO, image: Image.Image, recipe: Recipe, factor: int) -> None:
    """Write an enlarged image as a PNG with its recipe inside, which makes the image in its own size.

    Args:
        file: to write.
        image: in its own size.
        recipe: of the image.
        factor: of `FACTORS`, of each side.

    Raises:
        ValueError: another factor.
    """
    if factor not in FACTORS:
        raise ValueError(f"an image is enlarged {', '.join(map(str, FACTORS))} times, not {factor!r}")
    size = (image.width * factor, image.height * factor)
    info = to_png_text(recipe)
    info.add_text(ENLARGED_CHUNK, f"{factor} times by {METHOD}, from {image.width}x{image.height}")
    image.resize(size, Image.Resampling.LANCZOS).save(file, format="PNG", pnginfo=info)
