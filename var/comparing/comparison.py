"""A comparison: one image for every combination of values along up to three axes, on one labelled picture."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, product

from PIL import Image

from ..outputs.recipe import Recipe, arguments_of, make_recipes
from ..outputs.settings_text import NO_CLASS
from ..pictures.sheets import LIGHT, Grid, Headers, Palette, grid_sheet
from ..pipeline import VARPipeline
from ..sampling.options import SamplingOptions, option_names
from ..sampling.stopping import StopSignal
from .axes import KINDS, Axis, as_text

MOST_CELLS = 256
IMAGES_AT_ONCE = 8
SELDOM_CHANGED = ("cfg_curve", "cfg_start", "cfg_end", "temperature", "more_smooth")
FOLDERS = re.compile(r"(?<!\S)\S*[/\\](?=\S)")  # of a path in a message


@dataclass(frozen=True)
class ModelChoice:
    """Which model makes an image.

    Args:
        checkpoint: its name, as the caller's `open_pipeline` knows it.
        weights: "ema" or "raw"; None for the file's own choice.
        dtype: precision; None for the best on the device.
        num_heads: attention heads, where they were given for this file.
    """

    checkpoint: str
    weights: str | None = None
    dtype: str | None = None
    num_heads: int | None = None


@dataclass(frozen=True)
class Cell:
    """One image of a comparison.

    Args:
        model: what makes it.
        options: of this image alone: one class, and its seed as a tuple of one.
        place: its column, row and grid, from 0.
    """

    model: ModelChoice
    options: SamplingOptions
    place: tuple[int, int, int] = (0, 0, 0)

    def with_value(self, kind: str, value) -> "Cell":
        """The same image, but for one value of an axis of this kind."""
        if KINDS[kind].of_model:
            model = replace(self.model, **{kind: value})
            is_same_file = model.checkpoint == self.model.checkpoint
            return replace(self, model=model if is_same_file else replace(model, num_heads=None))
        if kind == "class":
            return replace(self, options=replace(self.options, class_labels=(value,)))
        if kind == "seed":
            return replace(self, options=replace(self.options, seed=(value,)))
        return replace(self, options=replace(self.options, **{kind: value}))


@dataclass(frozen=True)
class CellResult:
    """What became of one cell: an image and its recipe, or the reason why there is none.

    Args:
        cell: which one.
        image: None where it failed.
        recipe: of the image.
        error: one sentence for people; "" where there is an image.
    """

    cell: Cell
    image: Image.Image | None = None
    recipe: Recipe | None = None
    error: str = ""


@dataclass(frozen=True)
class BatchStep:
    """One more scale of images that are made at once.

    Args:
        cells: of the images.
        scale_index: of the scale that is done, from 0.
        patch_nums: side of the token map of each scale.
    """

    cells: Sequence[Cell]
    scale_index: int
    patch_nums: Sequence[int]


def plan(base: Cell, x: Axis | None = None, y: Axis | None = None, z: Axis | None = None) -> list[Cell]:
    """The images of a comparison, in the order in which they are best made.

    Each model is loaded once, and images that differ in nothing but class and seed stand together, so that they can
    be made in one batch.

    Args:
        base: what holds where no axis says otherwise.
        x: what varies from column to column; None for one column.
        y: from row to row.
        z: from grid to grid.

    Raises:
        ValueError: two axes of one kind, or too many images.
    """
    axes = [x, y, z]
    kinds = [axis.kind for axis in axes if axis]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise ValueError(f"two axes are {KINDS[kind].title}; choose another kind for one of them")
    columns, rows, grids = (len(axis.values) if axis else 1 for axis in axes)
    if columns * rows * grids > MOST_CELLS:
        raise ValueError(
            f"{columns} × {rows} × {grids} are {columns * rows * grids} images; at most {MOST_CELLS} are compared at a "
            "time. Take fewer values."
        )
    cells = []
    for depth, row, column in product(range(grids), range(rows), range(columns)):
        place = (column, row, depth)
        cell = replace(base, place=place)
        for axis, index in zip(axes, place, strict=True):
            if axis:
                cell = cell.with_value(axis.kind, axis.values[index])
        cells.append(cell)
    models = {cell.model: number for number, cell in reversed(list(enumerate(cells)))}  # first place of each
    batches = {shared(cell): number for number, cell in reversed(list(enumerate(cells)))}
    return sorted(cells, key=lambda cell: (models[cell.model], batches[shared(cell)]))


def shared(cell: Cell) -> tuple:
    """What the images of one batch have in common."""
    return (cell.model, *(getattr(cell.options, name) for name in option_names()))


def estimate(
    cells: Sequence[Cell], seconds_per_image: float, load_seconds: float, loaded: ModelChoice | None = None
) -> float:
    """Seconds that a comparison will take.

    Args:
        cells: of `plan`.
        seconds_per_image: as measured before.
        load_seconds: of one checkpoint.
        loaded: the model that is in memory already.
    """
    models = list(dict.fromkeys(cell.model for cell in cells))
    loads = len(models) - (bool(models) and models[0] == loaded)
    return len(cells) * seconds_per_image + loads * load_seconds


def batches_of(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """The cells in batches that can be made at once."""
    for _, group in groupby(list(cells), key=shared):
        together = list(group)
        for first in range(0, len(together), IMAGES_AT_ONCE):
            yield together[first : first + IMAGES_AT_ONCE]


def make_batch(pipe: VARPipeline, cells: Sequence[Cell], stop: StopSignal) -> Iterator[CellResult | BatchStep]:
    """Make the images of cells that differ in nothing but class and seed.

    A cell that cannot be made, such as one of a class that the checkpoint has not, gives its reason.

    Args:
        pipe: the model of these cells.
        cells: one of the groups of `batches_of`.
        stop: once set, the batch ends before the next block of the transformer; the images that are done come still.

    Yields:
        Each scale, and at last each cell.
    """
    if stop.is_set():
        return
    possible = []
    for cell in cells:
        try:
            cell.options.check(pipe.var.config.num_classes, pipe.var.config.num_scales)
            possible.append(cell)
        except ValueError as error:
            yield CellResult(cell, error=f"{error}.")
    if not possible:
        return
    options = replace(
        possible[0].options,
        class_labels=tuple(cell.options.class_labels[0] for cell in possible),
        seed=tuple(cell.options.seeds[0] for cell in possible),
    )
    last = None
    try:
        with closing(pipe.stream(**arguments_of(options), stop=stop)) as steps:
            for step in steps:
                last = step
                yield BatchStep(possible, step.scale_index, pipe.var.config.patch_nums)
    except ValueError as error:
        yield from (CellResult(cell, error=f"{error}.") for cell in possible)
        return
    images = last.finished() if last else []  # all, unless it was stopped
    for cell, image, recipe in zip(possible, images, make_recipes(pipe, options), strict=False):
        yield CellResult(cell, image, recipe)


def grid_picture(
    results: Sequence[CellResult],
    x: Axis | None = None,
    y: Axis | None = None,
    z: Axis | None = None,
    note: str = "",
    palette: Palette = LIGHT,
) -> Image.Image:
    """The labelled picture of a comparison, also of one that is not finished: a cell that is not there is empty.

    Args:
        results: so far, in the order of `plan`.
        x: the axis of the columns, as given to `plan`.
        y: of the rows.
        z: of the grids, which stand below one another.
        note: what all images share; see `shared_settings`.
        palette: the colours.
    """
    by_place: dict[tuple[int, ...], Image.Image | str | None] = {result.cell.place: result.image for result in results}
    reasons = {result.error: result.cell.place for result in reversed(results) if result.error}
    # each reason once, in the first cell that it holds for; a picture travels, so without the machine's folders
    by_place |= {place: FOLDERS.sub("", reason) for reason, place in reasons.items()}
    columns, rows, grids = (len(axis.values) if axis else 1 for axis in (x, y, z))
    titles = [f"{z.title}: {label}" for label in z.labels] if z else [""]
    pictures = [
        Grid([[by_place.get((column, row, depth)) for column in range(columns)] for row in range(rows)], titles[depth])
        for depth in range(grids)
    ]
    top, left = (Headers(axis.title, axis.labels) if axis else Headers() for axis in (x, y))
    return grid_sheet(pictures, top, left, note, palette)


def shared_settings(base: Cell, class_names: Sequence[str], *axes: Axis | None) -> str:
    """What all images of a comparison have in common, in one line for the foot of its picture.

    What is as nearly always is left out: what few people change and nobody did.
    """
    label = base.options.class_labels[0]
    values = {kind: getattr(base.options, kind) for kind in KINDS if hasattr(base.options, kind)} | {
        "checkpoint": base.model.checkpoint,
        "weights": base.model.weights,
        "dtype": base.model.dtype,
        "class": NO_CLASS if label is None else class_names[label],
        "seed": base.options.seeds[0],
    }
    varying = {axis.kind for axis in axes if axis}
    unsaid = {kind for kind in SELDOM_CHANGED if values[kind] == getattr(SamplingOptions([None]), kind)}
    shown = [kind for kind in KINDS if kind not in varying | unsaid and values.get(kind) is not None]
    return " · ".join(
        values[kind] if kind in ("checkpoint", "class") else f"{KINDS[kind].title} {as_text(values[kind])}"
        for kind in shown
    )
