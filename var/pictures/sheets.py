"""Images on one labelled picture: a contact sheet, the film strip of an image's scales, a grid of a comparison.

Sizes are in pixels. Type grows with the picture, so that it can still be read where the picture is shown small.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .typesetting import Typesetter

LEAST_CELL = 192  # a smaller image is shown larger, by a whole factor
MOST_PIXELS = 40_000_000  # of a picture; the images of a larger one are made smaller
LEAST_TYPE = 13
TYPE_SHARE = 0.026  # size of type over the width of all columns: 8 to 10 pixels where a phone shows the picture
TYPE_SHARE_OF_CELL = 0.1  # at most, so that a label of some words fits above a column
MOST_HEADER_LINES = 3
GUTTER_SHARE = 0.25  # of the width of all columns, for the labels of rows; at least one column's width


@dataclass(frozen=True)
class Palette:
    """The colours of a picture.

    Args:
        background: of the page.
        text: of what is read first.
        muted: of what is read second.
        empty: of a place without an image.
    """

    background: str
    text: str
    muted: str
    empty: str


LIGHT = Palette(background="#fafaf8", text="#292825", muted="#757268", empty="#efeeea")
DARK = Palette(background="#1c1b19", text="#f3f3ef", muted="#a3a097", empty="#292825")


@dataclass(frozen=True)
class Grid:
    """One grid of a picture.

    Args:
        cells: rows of images of any sizes; None or a short text for a place without an image.
        title: above it; may be empty.
    """

    cells: Sequence[Sequence[Image.Image | str | None]]
    title: str = ""


@dataclass(frozen=True)
class Headers:
    """The names and labels of a grid's columns or rows.

    Args:
        title: what varies along them; may be empty.
        labels: one for each; may all be empty.
    """

    title: str = ""
    labels: Sequence[str] = ()


def cell_side(images: Sequence[Image.Image], count: int) -> int:
    """The side of a square place for each of `count` images: of the largest, or larger where that is small."""
    side = max((max(image.size) for image in images), default=LEAST_CELL)
    side *= max(1, -(-LEAST_CELL // side))
    return max(1, min(side, int((MOST_PIXELS / count) ** 0.5)))


def fitted(image: Image.Image, side: int) -> Image.Image:
    """An image whose longer side is `side`."""
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    size = (width, height)
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS) if size != image.size else image.convert("RGB")


def type_size(columns: int, side: int) -> int:
    """The size of type for a picture of so many columns, each of this width."""
    return max(LEAST_TYPE, round(min(columns * side * TYPE_SHARE, side * TYPE_SHARE_OF_CELL)))


def labelled_sheet(
    images: Sequence[Image.Image], captions: Sequence[str], columns: int, palette: Palette = LIGHT
) -> Image.Image:
    """Images row by row, each with its caption below.

    Args:
        images: at least one.
        captions: one for each; its lines are drawn below one another, the first one strongest, each cut to the
            image's width.
        columns: images a row, at least 1.
        palette: the colours.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    side = cell_side(images, len(images))
    lines = [caption.split("\n") for caption in captions]
    height_in_lines = max(len(part) for part in lines)
    type_ = Typesetter(type_size(columns, side), captions)
    gap = type_.size
    margin = round(1.5 * gap)
    row_height = side + round(0.3 * gap) + height_in_lines * type_.line_height + gap
    sheet, draw = blank(2 * margin + columns * (side + gap) - gap, 2 * margin + rows * row_height - gap, palette)
    for index, (image, parts) in enumerate(zip(images, lines, strict=True)):
        row, column = divmod(index, columns)
        x, y = margin + column * (side + gap), margin + row * row_height
        place(sheet, draw, image, (x, y), side, type_, palette)
        top = y + side + round(0.3 * gap)
        first, *others = [type_.shorten(part, side) for part in parts]
        type_.draw(draw, x, top, first, palette.text)
        type_.draw_lines(draw, x, top + type_.line_height, others, palette.muted)
    return sheet


def film_strip(
    previews: Sequence[Image.Image], patch_nums: Sequence[int], columns: int | None = None, palette: Palette = LIGHT
) -> Image.Image:
    """The scales of one image, from coarse to fine, each with the size of its token map below.

    Args:
        previews: the image after each scale.
        patch_nums: side of the token map of each.
        columns: scales a row; None for one row up to five scales, else two rows.
        palette: the colours.
    """
    if columns is None:
        columns = len(previews) if len(previews) <= 5 else -(-len(previews) // 2)
    return labelled_sheet(previews, [f"{number}×{number}" for number in patch_nums], columns, palette)


def grid_sheet(
    grids: Sequence[Grid], columns: Headers, rows: Headers, note: str = "", palette: Palette = LIGHT
) -> Image.Image:
    """Grids of images below one another, with labelled columns and rows.

    Args:
        grids: at least one, all of the same numbers of columns and rows.
        columns: their headers, above each grid.
        rows: their headers, left of each grid.
        note: one paragraph below all.
        palette: the colours.
    """
    num_rows, num_columns = len(grids[0].cells), len(grids[0].cells[0])
    images = [cell for grid in grids for row in grid.cells for cell in row if isinstance(cell, Image.Image)]
    side = cell_side(images, len(grids) * num_rows * num_columns)
    texts = [note, columns.title, rows.title, *columns.labels, *rows.labels, *(grid.title for grid in grids)]
    size = type_size(num_columns, side)
    type_, title_type = Typesetter(size, texts), Typesetter(round(1.25 * size), texts)
    gap, margin, line = max(4, size // 3), round(1.5 * size), type_.line_height

    left, content = margin, num_columns * (side + gap) - gap
    row_labels = [
        type_.wrap(label, max(side, round(content * GUTTER_SHARE)), MOST_HEADER_LINES) for label in rows.labels
    ]
    column_labels = [type_.wrap(label, side, MOST_HEADER_LINES) for label in columns.labels]
    gutter = max(type_.width(text) for text in [rows.title, *(text for label in row_labels for text in label)])
    left += gutter + size if gutter else 0
    header_lines = bool(columns.title or rows.title) + max(map(len, column_labels), default=0)
    header = header_lines * line + round(0.5 * size) if header_lines else 0
    title_height = 2 * title_type.line_height if any(grid.title for grid in grids) else 0
    width = left + content + margin
    grid_height = title_height + header + num_rows * (side + gap) - gap
    note_lines = type_.wrap(note, width - 2 * margin, most_lines=4) if note else []
    note_height = len(note_lines) * line + round(1.2 * size) if note_lines else 0

    sheet, draw = blank(width, len(grids) * (grid_height + 2 * margin) + note_height, palette)
    for index, grid in enumerate(grids):
        top = margin + index * (grid_height + 2 * margin)
        title_type.draw(draw, margin, top, title_type.shorten(grid.title, width - 2 * margin), palette.text)
        cells_top = top + title_height + header
        labels_bottom = cells_top - round(0.5 * size)
        type_.draw(draw, left, top + title_height, type_.shorten(columns.title, content), palette.muted)
        for column, lines in enumerate(column_labels):
            middle = left + column * (side + gap) + side / 2
            type_.draw_lines(draw, middle, labels_bottom - len(lines) * line, lines, palette.text, "m")
        type_.draw(draw, left - size, labels_bottom - line, rows.title, palette.muted, "r")
        for row, lines in enumerate(row_labels):
            middle = cells_top + row * (side + gap) + side / 2
            type_.draw_lines(draw, left - size, middle - len(lines) * line / 2, lines, palette.text, "r")
        for row, cells in enumerate(grid.cells):
            for column, cell in enumerate(cells):
                corner = (left + column * (side + gap), cells_top + row * (side + gap))
                place(sheet, draw, cell, corner, side, type_, palette)
    type_.draw_lines(draw, margin, sheet.height - margin - len(note_lines) * line, note_lines, palette.muted)
    return sheet


def blank(width: int, height: int, palette: Palette) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty picture, and what draws on it."""
    sheet = Image.new("RGB", (width, height), palette.background)
    return sheet, ImageDraw.Draw(sheet)


def place(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: Image.Image | str | None,
    corner: tuple[int, int],
    side: int,
    type_: Typesetter,
    palette: Palette,
) -> None:
    """Put an image into the middle of its square place; without one, draw the place empty, with a text if there is."""
    x, y = corner
    if isinstance(cell, Image.Image):
        image = fitted(cell, side)
        sheet.paste(image, (x + (side - image.width) // 2, y + (side - image.height) // 2))
        return
    draw.rectangle((x, y, x + side - 1, y + side - 1), fill=palette.empty)
    lines = type_.wrap(cell or "", side - type_.size, most_lines=max(1, side // type_.line_height - 1))
    top = y + side / 2 - len(lines) / 2 * type_.line_height
    type_.draw_lines(draw, x + side / 2, top, lines, palette.muted, "m")
