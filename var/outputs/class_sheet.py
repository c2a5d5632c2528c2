"""A picture of each class that a checkpoint makes, on one sheet beside its file: what a page shows of the classes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

SUFFIX = ".classes.webp"  # in place of the checkpoint's own
COLUMNS = 8
QUALITY = 82  # of 100
DESCRIPTION_TAG = 0x010E  # of EXIF
MAX_SIDE = 16_383  # of a WebP


@dataclass(frozen=True)
class ClassSheet:
    """A sheet that belongs to a checkpoint.

    Args:
        path: a WebP.
        checkpoint_hash: of the checkpoint.
        columns: pictures beside one another; they are square.
        count: pictures, that of class 0 first.
    """

    path: Path
    checkpoint_hash: str
    columns: int
    count: int


def sheet_path(checkpoint: Path) -> Path:
    """Return where the sheet of a checkpoint lies."""
    return checkpoint.with_name(checkpoint.stem + SUFFIX)


def write_class_sheet(checkpoint: Path, checkpoint_hash: str, images: Sequence[Image.Image]) -> ClassSheet:
    """Write the sheet of a checkpoint beside it.

    Args:
        checkpoint: its file.
        checkpoint_hash: `short_hash` of it.
        images: one a class, in their order, all squares of one size.
    """
    side, rows = images[0].width, -(-len(images) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * side, rows * side), "white")
    for index, image in enumerate(images):
        row, column = divmod(index, COLUMNS)
        sheet.paste(image.convert("RGB"), (column * side, row * side))
    found = ClassSheet(sheet_path(checkpoint), checkpoint_hash, COLUMNS, len(images))
    exif = Image.Exif()
    exif[DESCRIPTION_TAG] = json.dumps(
        {"checkpoint_hash": found.checkpoint_hash, "columns": found.columns, "count": found.count}
    )
    sheet.save(found.path, "WEBP", quality=QUALITY, method=6, exif=exif)
    return found


def read_class_sheet(checkpoint: Path, checkpoint_hash: str) -> ClassSheet | None:
    """Return the sheet of a checkpoint; None where there is none, or only that of another checkpoint.

    Args:
        checkpoint: its file.
        checkpoint_hash: `short_hash` of it.
    """
    path = sheet_path(checkpoint)
    try:
        with Image.open(path, formats=["WEBP"]) as image:
            told = json.loads(image.getexif()[DESCRIPTION_TAG])
            columns, count = told["columns"], told["count"]
            side = image.width // columns
            if image.size != (side * columns, side * -(-count // columns)) or max(image.size) > MAX_SIDE:
                return None
        return ClassSheet(path, checkpoint_hash, columns, count) if told["checkpoint_hash"] == checkpoint_hash else None
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, Image.DecompressionBombError):
        return None
