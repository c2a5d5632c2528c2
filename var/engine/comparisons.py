"""A comparison as the page asks for it: what is asked, checked; the time it takes; its images as they come."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import torch

from ..comparing.axes import Axis, Names, parse_axis
from ..comparing.comparison import (
    FOLDERS,
    BatchStep,
    Cell,
    CellResult,
    ModelChoice,
    batches_of,
    estimate,
    grid_picture,
    make_batch,
    plan,
    shared_settings,
)
from ..errors import USER_ERRORS, error_text
from ..outputs.zip import entry, write_bundle
from ..pictures.sheets import Palette
from ..pipeline import VARPipeline
from ..sampling.stopping import StopSignal
from ..text import BETWEEN_VALUES
from .models import Loading, Models
from .pace import Pace
from .queue import Steps
from .runs import load

PICTURE_NAME = "comparison.png"
BUNDLE_NAME = "comparison.zip"


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Args:
        base: what holds where no axis says otherwise.
        axes: columns, rows and grids; None where nothing varies.
        cells: the images, in the order in which they are made.
        note: what all images share, for people.
    """

    base: Cell
    axes: tuple[Axis | None, ...]
    cells: Sequence[Cell]
    note: str


def ask(
    typed: Sequence[tuple[str | None, str]],
    base: Cell,
    names: Names,
    classes_of: Callable[[str], Sequence[str]],
) -> Comparison:
    """Make a comparison of what was typed.

    Args:
        typed: kind and values of columns, rows and grids; a kind of None or "" where nothing varies.
        base: what holds where no axis says otherwise.
        names: the classes and checkpoints that may be named.
        classes_of: returns the class names of a checkpoint of that name; () where they cannot be read.

    Raises:
        ValueError: a value that is none, two axes of one kind, nothing that varies, or too many images.
    """
    try:
        axes = tuple(parse_axis(kind, text or "", names) if kind else None for kind, text in typed)
        checkpoints = next((axis.values for axis in axes if axis and axis.kind == "checkpoint"), None)
        shown = names.classes
        if checkpoints is not None:
            shown = common_names(shown, [classes_of(checkpoint) for checkpoint in checkpoints])
            axes = tuple(axis and numbered(axis, shown) for axis in axes)
        if not any(axes):
            raise ValueError("Nothing varies; choose what does for columns or rows")
        return Comparison(base, axes, plan(base, *axes), shared_settings(base, shown, *axes))
    except ValueError as error:
        raise ValueError(as_sentence(str(error))) from None


def common_names(names: Sequence[str], others: Sequence[Sequence[str]]) -> list[str]:
    """Return class names that hold for several checkpoints: "class 3" where one of them calls it otherwise.

    Args:
        names: one for each class.
        others: the names of each checkpoint; () where they are not known.
    """
    return [
        name if all(label >= len(other) or other[label] == name for other in others) else f"class {label}"
        for label, name in enumerate(names)
    ]


def numbered(axis: Axis, names: Sequence[str]) -> Axis:
    """An axis of classes with their numbers, which are what checkpoints of other names have in common.

    Args:
        axis: of any kind; one that is not of classes stays as it is.
        names: of `common_names`.
    """
    if axis.kind != "class":
        return axis
    labels = [
        label if value is None else names[value] if names[value] == f"class {value}" else f"{names[value]} ({value})"
        for label, value in zip(axis.labels, axis.values, strict=True)
    ]
    return replace(axis, labels=tuple(labels))


def as_sentence(text: str) -> str:
    """A message as a sentence of its own; one that begins with the name of a file keeps it as it is."""
    start = text if text.split(" ")[0].endswith(":") else text[:1].upper() + text[1:]
    return start if start.endswith(".") else f"{start}."


def title_of(axes: Sequence[Axis | None]) -> str:
    """What varies, for people."""
    return " × ".join(axis.title for axis in axes if axis)


def cell_label(cell: Cell, axes: Sequence[Axis | None]) -> str:
    """What tells an image from the others: its values along the axes."""
    labels = [f"{axis.title} {axis.labels[index]}" for axis, index in zip(axes, cell.place, strict=True) if axis]
    return BETWEEN_VALUES.join(labels)


@dataclass(frozen=True)
class ComparisonOrder:
    """What to compare, with all that is needed to make it.

    Args:
        comparison: of `ask`.
        files: the file of each checkpoint by its name; those that are gone are not in it.
        folders: where the session's own files lie, for a VQVAE among them.
    """

    comparison: Comparison
    files: Mapping[str, Path]
    folders: tuple[Path, ...] = ()

    def check(self) -> None:
        """Do nothing: `ask` made sure that it can be carried out."""

    def path(self, model: ModelChoice) -> Path:
        """Return the file of a model; raises FileNotFoundError where there is none."""
        path = self.files.get(model.checkpoint)
        if path is None:
            raise FileNotFoundError(f"There is no checkpoint {model.checkpoint}. Choose one from the list.")
        return path

    def loading(self, model: ModelChoice) -> Loading:
        """Return how a model is loaded."""
        return Loading(model.weights, model.dtype, self.folders, model.num_heads)


def seconds_of(order: ComparisonOrder, models: Models, pace: Pace) -> float | None:
    """How long a comparison will take; None where nothing of the size of one of its models made an image yet.

    A checkpoint that is none takes no time: its images are not made.
    """
    total = 0.0
    cells_of = order.comparison.cells
    for model in dict.fromkeys(cell.model for cell in cells_of):
        try:
            path = order.path(model)
            seconds = pace.image_seconds(path, model.dtype)
        except OSError:
            continue
        if seconds is None:
            return None
        cells = [cell for cell in cells_of if cell.model == model]
        loaded = model if models.resident(path, order.loading(model)) is not None else None
        total += estimate(cells, seconds, pace.load_seconds(path, model.dtype), loaded)
    return total


def compare(models: Models, order: ComparisonOrder, pace: Pace, stop: StopSignal) -> Steps:
    """Make the images, one model after the other, and measure the time that they take.

    Args:
        models: the server's.
        order: what to compare.
        pace: keeps what was measured.
        stop: once set, the run ends before the next block of the transformer.

    Yields:
        `LoadingModel`; each scale of a batch; each image, or why there is none: a sentence for people, without the
        machine's folders; None after each batch.
    """
    spent: dict[ModelChoice, float] = {}
    made: Counter[ModelChoice] = Counter()
    pipeline: VARPipeline | None
    models.check_operations(num_images_of(order))
    for batch in batches_of(order.comparison.cells):
        if stop.is_set():
            return
        model, pending = batch[0].model, list(batch)
        try:
            path = order.path(model)
            pipeline = yield from load(models, path, order.loading(model), pace)
            begin = time.perf_counter()
            for event in make_batch(pipeline, batch, stop):
                if isinstance(event, CellResult):
                    pending.remove(event.cell)
                    made[model] += event.image is not None
                yield sentence(event)
            spent[model] = spent.get(model, 0.0) + time.perf_counter() - begin
            if made[model]:
                pace.note_images(path, model.dtype, spent[model] / made[model])
        except (*USER_ERRORS, torch.OutOfMemoryError) as error:
            text = error_text(error, order.files.get(model.checkpoint), model.checkpoint)
            for cell in pending:
                yield sentence(CellResult(cell, error=text))
        pipeline = None  # which may give way to another one meanwhile
        yield None


def num_images_of(order: ComparisonOrder) -> dict[tuple[Path, Loading | None], int]:
    """Return how many images there are of each checkpoint that is at hand, and of each way to load it."""
    found: Counter[tuple[Path, Loading | None]] = Counter()
    for cell in order.comparison.cells:
        if cell.model.checkpoint in order.files:
            found[order.files[cell.model.checkpoint], order.loading(cell.model)] += 1
    return dict(found)


def sentence(event: CellResult | BatchStep) -> CellResult | BatchStep:
    """Return an event with its reason as a sentence without folders."""
    if isinstance(event, BatchStep) or not event.error:
        return event
    return replace(event, error=FOLDERS.sub("", as_sentence(event.error)))


def batch_ends(cells: Sequence[Cell]) -> set[int]:
    """After how many images the next batch begins; the images of one come together."""
    ends, done = set(), 0
    for _, group in groupby(cells, key=lambda cell: cell.model):
        for batch in batches_of(list(group)):
            done += len(batch)
            ends.add(done)
    return ends


def write_files(
    folder: Path, comparison: Comparison, results: Sequence[CellResult], palette: Palette
) -> tuple[Path, Path | None]:
    """Write the labelled picture, and a zip of it and of the single images with their recipes.

    Args:
        folder: where to.
        comparison: what was asked.
        results: what came of it, also of a run that was stopped.
        palette: colours of the picture.

    Returns:
        Both files; no zip where there is no image.
    """
    picture, bundle = folder / PICTURE_NAME, folder / BUNDLE_NAME
    columns, rows, grids = comparison.axes
    grid_picture(results, columns, rows, grids, comparison.note, palette).save(picture)
    finished = sorted((r for r in results if r.image is not None), key=lambda result: result.cell.place[::-1])
    if not finished:
        return picture, None
    with open(bundle, "w+b") as file:
        labels = [cell_label(result.cell, comparison.axes) for result in finished]
        write_bundle(file, [(r.image, r.recipe) for r in finished if r.image and r.recipe], labels)
        with ZipFile(file, "a") as archive:
            archive.writestr(entry(PICTURE_NAME, ZIP_STORED), picture.read_bytes())
    return picture, bundle
