"""Picture files of unknown origin: opened one at a time, and no larger than anything here needs them.

A file of a few kilobytes may hold a picture of many gigabytes. Its size stands in the header; what is too large is
refused before anything is decoded, and what is large is made smaller strip by strip, so that only the decoded picture
itself is in memory as a whole.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from .deep import deep_kind, extremes, find_white
from .pixels import upright

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 25_000_000  # that are decoded: 100 MB with transparency
MAX_JPEG_PIXELS = 64_000_000  # JPEG is made smaller while it is decoded
LEAST_SIDE = 1024  # to which a larger picture is made smaller; models make 64 to 512 pixels a side
STRIP = 64  # rows of a strip, of those that stay
MAX_WAITING = 8  # others that wait for their turn; each has one of the server's threads
ORIENTATION = 0x0112  # of EXIF

_decoding = threading.Lock()
_waiting = threading.BoundedSemaphore(MAX_WAITING + 1)


def open_image(path: str | Path, name: str | None = None) -> Image.Image:
    """A picture from a file of unknown origin.

    Args:
        path: of the file; of an animation the first picture is taken.
        name: what messages call it; None for the file's name.

    Returns:
        RGB, as its viewer shows it; where both sides have more than twice `LEAST_SIDE` pixels, a whole number of times
        smaller.

    Raises:
        ValueError: it is no picture, a damaged one, or one of too many pixels; or too many others are being opened.
        FileNotFoundError: there is no such file.
        MemoryError: this machine has too little memory for it.
    """
    name = name or Path(path).name
    try:
        with one_at_a_time(), Image.open(path, formats=FORMATS) as image:
            check_pixels(image, name)
            image.draft(image.mode, (LEAST_SIDE, LEAST_SIDE))
            return shrink(image, name)
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is no picture that can be read here. Use a {', '.join(FORMATS)} file.") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name} is not there, or no longer.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} is too large. {at_most(MAX_PIXELS)}") from error
    except MemoryError as error:
        raise MemoryError(f"This machine has too little memory to read {name}. Make it smaller first.") from error
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{name} is a damaged picture: {error}.") from error


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other picture is being decoded; raises ValueError where too many wait."""
    if not _waiting.acquire(blocking=False):
        raise ValueError("Many others have pictures read at this moment. Try again.")
    try:
        with _decoding:
            yield
    finally:
        _waiting.release()


def check_pixels(image: Image.Image, name: str) -> None:
    """Raise ValueError where a picture has too many pixels to be decoded; its header alone is read."""
    width, height = image.size
    most = MAX_JPEG_PIXELS if image.format in ("JPEG", "MPO") else MAX_PIXELS
    if width * height > most:
        raise ValueError(f"{name} has {width}×{height} pixels. {at_most(most)}")


def at_most(num_pixels: int) -> str:
    """What to do about a picture of too many pixels."""
    return f"At most {num_pixels // 1_000_000} million are read: make it smaller first."


def shrink(image: Image.Image, name: str) -> Image.Image:
    """Return an opened picture as `open_image` does."""
    factor = min(image.size) // LEAST_SIDE
    if factor < 2:
        return upright(image, name=name)
    kind = deep_kind(image)
    whites = {kind: find_white(kind, *extremes(image), name)} if kind else None
    orientation = image.getexif().get(ORIENTATION)
    width, height = image.size
    smaller = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top in range(0, height, factor * STRIP):
        strip = image.crop((0, top, width, min(height, top + factor * STRIP)))
        strip.info.pop("exif", None)  # the whole is turned, not its strips
        smaller.paste(upright(strip, whites, name).reduce(factor), (0, top // factor))
    if orientation is not None:
        smaller.getexif()[ORIENTATION] = orientation
    return upright(smaller)
