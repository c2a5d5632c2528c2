"""The scales of an image as a short film, from coarse to fine, in a file that browsers play."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from PIL import Image

KINDS = ("webp", "gif", "png")
LEAST_SIDE, MOST_SIDE = 256, 512  # of the film, in pixels
FRAME_SECONDS = 0.4  # how long each scale is shown
LAST_SECONDS = 2.4
WEBP_QUALITY = 85  # of 100; a film of ten scales has about 100 kB


def save_animation(file: str | Path | BinaryIO, frames: Sequence[Image.Image], kind: str = "webp") -> None:
    """Write the images after each scale as an endless film that rests on the last one.

    Args:
        file: to write.
        frames: at least one, all of one size; small ones are enlarged, large ones made smaller.
        kind: "webp", small and smooth; "gif", which plays everywhere, in 256 colours a frame; "png", without loss.

    Raises:
        ValueError: another kind, or no frames.
    """
    if kind not in KINDS:
        raise ValueError(f"an animation is one of {', '.join(KINDS)}, not {kind!r}")
    if not frames:
        raise ValueError("an animation needs at least one frame")
    size = film_size(frames[0].size)
    first, *others = [frame.convert("RGB").resize(size, Image.Resampling.LANCZOS) for frame in frames]
    milliseconds = [round(FRAME_SECONDS * 1000)] * len(others) + [round(LAST_SECONDS * 1000)]
    arguments = {"save_all": True, "append_images": others, "duration": milliseconds, "loop": 0}
    if kind == "webp":
        arguments |= {"quality": WEBP_QUALITY, "method": 4}
    first.save(file, format=kind.upper(), **arguments)


def film_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a film of images of this size: enlarged by a whole factor, or made smaller."""
    longest = max(size)
    scale = -(-LEAST_SIDE // longest) if longest < LEAST_SIDE else min(1, MOST_SIDE / longest)
    width, height = (max(1, round(length * scale)) for length in size)
    return width, height
