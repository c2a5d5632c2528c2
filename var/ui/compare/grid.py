"""The grid of a comparison on the page: a table of images with sticky labels, so that it can be read on a phone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from ...comparing.axes import Axis
from ...outputs.recipe import Recipe

EMPTY_GRID = (
    '<div class="empty-grid"><p>Choose what varies, then press Compare.</p>'
    "<p>Every combination becomes one image of the grid.</p></div>"
)


@dataclass(frozen=True)
class ShownImage:
    """A finished image of the grid.

    Args:
        place: its column, row and grid, from 0.
        label: what tells it from the others.
        path: its PNG in the page's cache.
        recipe: all that is needed to make it again.
    """

    place: tuple[int, int, int]
    label: str
    path: str
    recipe: Recipe


def grid_html(
    axes: Sequence[Axis | None],
    images: Sequence[ShownImage],
    failed: Collection[tuple[int, int, int]] = (),
    *,
    running: bool = False,
) -> str:
    """Return the grids, one table each.

    Args:
        axes: of columns, rows and grids.
        images: those that are finished.
        failed: places of images that cannot be made.
        running: whether the others are still to come; once they are not, the page shows what can be done with them.
    """
    columns, rows, grids = axes
    numbers = {image.place: number for number, image in enumerate(images)}
    waiting = "waiting" if running else "missing"

    def cell(place: tuple[int, int, int]) -> str:
        if place in failed:
            return '<td><i class="failed" role="img" aria-label="failed">!</i></td>'
        if place not in numbers:
            return f'<td><i class="{waiting}" role="img" aria-label="not made"></i></td>'
        number = numbers[place]
        image = images[number]
        return (
            f'<td><button type="button" data-image="{number}" aria-label="{escape(image.label)}">'
            f'<img src="{file_address(image.path)}" alt="" loading="lazy"></button></td>'
        )

    finished = " finished" if images and not running else ""
    tables = []
    column_labels, row_labels = (axis.labels if axis else ("",) for axis in (columns, rows))
    for depth, title in enumerate(grids.labels if grids else ("",)):
        caption = f"<caption>{escape(grids.title)} <b>{escape(title)}</b></caption>" if grids else ""
        head = ""
        if columns:
            head += "<tr>" + ("<td></td>" if rows else "")
            head += f'<th class="title" colspan="{len(column_labels)}"><span>{escape(columns.title)}</span></th></tr>'
        corner = f'<th class="title corner">{escape(rows.title)}</th>' if rows else ""
        labels = "".join(f'<th scope="col"><span>{escape(label)}</span></th>' for label in column_labels)
        head += f"<tr>{corner}{labels if columns else '<td></td>'}</tr>" if corner or columns else ""
        body = ""
        for row, label in enumerate(row_labels):
            body += "<tr>" + (f'<th scope="row"><span>{escape(label)}</span></th>' if rows else "")
            body += "".join(cell((column, row, depth)) for column in range(len(column_labels))) + "</tr>"
        tables.append(f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>")
    return (
        f'<div class="sheet{finished}" role="region" aria-label="Grid of images" tabindex="0" '
        f'style="--columns:{len(column_labels)}">{"".join(tables)}</div>'
    )


def file_address(path: str) -> str:
    """The address of a file in the page's cache, relative to the page."""
    return f"gradio_api/file={quote(path)}"
