"""Images as one zip file: each PNG with its recipe inside, a contact sheet, and all recipes as JSON."""

import json
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from PIL import Image

from .. import __version__
from ..pictures.sheets import labelled_sheet
from ..text import BETWEEN_VALUES, file_name_part
from .recipe import Recipe, caption, png_bytes

SHEET_NAME = "contact_sheet.png"
LIST_NAME = "images.json"
SHEET_COLUMNS = 6
THUMBNAIL_SIDE = 256
MAX_NAME_BYTES = 60  # of a class, in the name of a file
MAX_LABEL_BYTES = 100  # of a label, in the name of a file
FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say


def write_bundle(file: BinaryIO, images: Iterable[tuple[Image.Image, Recipe]], labels: Sequence[str] = ()) -> int:
    """Write a zip of images; equal images and recipes give equal bytes.

    Images are written as they come, so that not all have to be in memory: only thumbnails for the sheet stay.

    Args:
        file: open for writing; it need not be seekable.
        images: each with its recipe.
        labels: what tells each image from the others, with `BETWEEN_VALUES`; () where class and seed do.

    Returns:
        The number of images.

    Raises:
        ValueError: there are none.
    """
    listed, thumbnails, captions = [], [], []
    with ZipFile(file, "w") as archive:
        for index, (image, recipe) in enumerate(images):
            label = labels[index] if labels else ""
            name = image_name(index, recipe, label)
            archive.writestr(entry(name, ZIP_STORED), png_bytes(image, recipe))
            listed.append({"file": name} | ({"label": label} if label else {}) | recipe.as_dict())
            thumbnails.append(small_copy(image))
            captions.append(label.replace(BETWEEN_VALUES, "\n") or caption(recipe))
        if not listed:
            raise ValueError("there are no images to put into a zip file")
        sheet = BytesIO()
        labelled_sheet(thumbnails, captions, SHEET_COLUMNS).save(sheet, format="PNG")
        archive.writestr(entry(SHEET_NAME, ZIP_STORED), sheet.getvalue())
        text = json.dumps({"version": __version__, "images": listed}, ensure_ascii=False, indent=2)
        archive.writestr(entry(LIST_NAME, ZIP_DEFLATED), text.encode() + b"\n")
    return len(listed)


def entry(name: str, compression: int) -> ZipInfo:
    """The head of one file in the zip, the same on every day and system; PNG is compressed already."""
    info = ZipInfo(name, FIXED_DATE)
    info.compress_type = compression
    info.create_system = 3  # Unix, whose file modes the next line sets
    info.external_attr = 0o644 << 16
    return info


def image_name(index: int, recipe: Recipe, label: str = "") -> str:
    """The name of an image's file, with letters and digits only: its number, and its label, else its class and seed."""
    if label:
        return f"{index:04d}_{file_name_part(label, MAX_LABEL_BYTES, '.')}".rstrip("_") + ".png"
    class_label = "none" if recipe.class_label is None else f"class{recipe.class_label}"
    parts = (f"{index:04d}", class_label, file_name_part(recipe.class_name, MAX_NAME_BYTES), f"seed{recipe.seed}")
    return "_".join(filter(None, parts)) + ".png"


def small_copy(image: Image.Image) -> Image.Image:
    """A small copy of an image, in memory of its own."""
    copy = image.convert("RGB")
    copy = copy.copy() if copy is image else copy
    copy.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return copy
