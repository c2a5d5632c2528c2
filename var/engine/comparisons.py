"""A comparison as the page asks for it: what is asked, checked; the time it takes; its images as they come."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

from ..checkpoints.folder import describe_entry
from ..comparing.axes import BETWEEN_VALUES, Axis, Names, parse_axis
from ..comparing.comparison import (
    FOLDERS,
    BatchStep,
    Cell,
    CellResult,
    ModelChoice,
    batches_of,
    estimate,
    grid_picture,
    plan,
    run,
    shared_settings,
)
from ..outputs.zip import entry, write_bundle
from ..pictures.sheets import Palette
from ..pipeline import VARPipeline
from ..sampling.stopping import StopSignal
from ..ui.history.kept_runs import Source
from ..ui.html import USER_ERRORS, error_text
from .models import Loading, ModelHolder
from .pace import Pace

PICTURE_NAME = "comparison.png"
BUNDLE_NAME = "comparison.zip"
FindPath = Callable[[str], Path]


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
class Models:
    """The server's models as one session may use them.

    Args:
        holder: loads them.
        find_path: from the name of a checkpoint to its file; raises FileNotFoundError.
        folders: where the session's own files lie, for a VQVAE among them.
    """

    holder: ModelHolder
    find_path: FindPath
    folders: tuple[Path, ...] = ()

    def path(self, model: ModelChoice) -> Path:
        """The file of a model; raises FileNotFoundError where there is none."""
        return self.find_path(model.checkpoint)

    def loading(self, model: ModelChoice) -> Loading:
        """How it is loaded."""
        return Loading(model.weights, model.dtype, self.folders)

    def source(self, model: ModelChoice) -> Source:
        """What the history keeps of a model."""
        try:
            path = self.path(model)
        except FileNotFoundError:
            path = None
        return Source(model.checkpoint, path, self.loading(model))

    def class_names(self, checkpoint: str) -> Sequence[str]:
        """The class names of a checkpoint, by its name; () where they cannot be read."""
        try:
            return self.holder.describe(self.find_path(checkpoint)).class_names
        except USER_ERRORS:
            return ()

    def is_loaded(self, model: ModelChoice) -> bool:
        """Whether it is in memory."""
        return self.holder.resident(self.path(model), self.loading(model)) is not None

    @contextmanager
    def open(self, model: ModelChoice) -> Iterator[VARPipeline]:
        """Hand out the pipeline of a model; errors call the file as the page does."""
        path = self.path(model)
        try:
            with self.holder.use(path, self.loading(model)) as pipe:
                yield pipe
        except USER_ERRORS as error:
            raise ValueError(error_text(error, path, model.checkpoint)) from error

    def usable(self, names: Sequence[str], most: int) -> list[str]:
        """The first of some checkpoints that hold a transformer."""
        found = []
        for name in names:
            try:
                if describe_entry(self.find_path(name)).kind == "var":
                    found.append(name)
            except OSError:
                continue
            if len(found) == most:
                break
        return found


def seconds_of(comparison: Comparison, models: Models, pace: Pace) -> float | None:
    """How long a comparison will take; None where nothing of the size of one of its models made an image yet.

    A checkpoint that is none takes no time: its images are not made.
    """
    total = 0.0
    for model in dict.fromkeys(cell.model for cell in comparison.cells):
        try:
            path = models.path(model)
            seconds = pace.image_seconds(path, model.dtype)
        except OSError:
            continue
        if seconds is None:
            return None
        cells = [cell for cell in comparison.cells if cell.model == model]
        loaded = model if models.is_loaded(model) else None
        total += estimate(cells, seconds, pace.load_seconds(path, model.dtype), loaded)
    return total


def carry_out(comparison: Comparison, models: Models, stop: StopSignal, pace: Pace) -> Iterator[CellResult | BatchStep]:
    """Make the images, one model after the other, and measure the time that they take.

    Args:
        comparison: of `ask`.
        models: the server's.
        stop: once set, the run ends before the next block of the transformer.
        pace: keeps what was measured.

    Yields:
        Each scale of a batch; each image, or why there is none: a sentence for people, without the machine's folders.
    """
    ready: dict[ModelChoice, float] = {}
    made: Counter[ModelChoice] = Counter()

    @contextmanager
    def open_pipeline(model: ModelChoice) -> Iterator[VARPipeline]:
        start, was_loaded = time.perf_counter(), models.is_loaded(model)
        with models.open(model) as pipe:
            ready[model] = time.perf_counter()
            if not was_loaded:
                pace.note_load(models.path(model), model.dtype, ready[model] - start)
            yield pipe

    with closing(run(comparison.cells, open_pipeline, stop, models.holder.compute)) as events:
        for event in events:
            if isinstance(event, BatchStep):
                yield event
            elif event.error:
                yield CellResult(event.cell, error=FOLDERS.sub("", as_sentence(event.error)))
            else:
                model = event.cell.model
                made[model] += 1
                pace.note_images(models.path(model), model.dtype, (time.perf_counter() - ready[model]) / made[model])
                yield event


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
    grid_picture(results, *comparison.axes, comparison.note, palette).save(picture)
    finished = sorted((r for r in results if r.image is not None), key=lambda result: result.cell.place[::-1])
    if not finished:
        return picture, None
    with open(bundle, "w+b") as file:
        labels = [cell_label(result.cell, comparison.axes) for result in finished]
        write_bundle(file, [(result.image, result.recipe) for result in finished], labels)
        with ZipFile(file, "a") as archive:
            archive.writestr(entry(PICTURE_NAME, ZIP_STORED), picture.read_bytes())
    return picture, bundle
