"""A comparison in progress, as the page shows it: how far it is, the images so far, and in the end all of them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from ...comparing.comparison import BatchStep, CellResult, ModelChoice
from ...engine.comparisons import Comparison, batch_ends, cell_label, title_of
from ...outputs.recipe import save_png
from ...outputs.zip import image_name
from ...sampling.steps import share_done
from ..history.kept_runs import KeptRun, Source, thumbnail
from ..html import counted, status_line
from ..images.panel import Folder
from ..runs import Updates
from .grid import ShownImage, grid_html
from .panel import ComparePanel, failures_html, progress_html

REDRAW_SECONDS = 0.4
EARLIEST_ESTIMATE = 0.1  # share of the work after which the rest is estimated


class Drawing:
    """A run as the page shows it.

    Args:
        panel: the components.
        comparison: what is made.
    """

    def __init__(self, panel: ComparePanel, comparison: Comparison) -> None:
        self.results: list[CellResult] = []
        self._panel = panel
        self._comparison = comparison
        self._folder = Folder(panel.grid.GRADIO_CACHE)
        self.images: list[ShownImage] = []
        self.begun = False
        self._batch_ends = batch_ends(comparison.cells)
        self._step: BatchStep | None = None
        self._num_drawn = -1  # results that the grid shows
        self._start = self._drawn = time.perf_counter()

    def start(self) -> Updates:
        """The empty grid."""
        panel, self.begun = self._panel, True
        return self.progress() | {
            panel.picture: button_update(None),
            panel.bundle: button_update(None),
            panel.shown: (),
        }

    def take(self, event: CellResult | BatchStep) -> bool:
        """Take in what happened; returns whether it is time to draw: not too often, and a batch's images together."""
        if isinstance(event, BatchStep):
            self._step = event
        else:
            self._step = None
            self._add(event)
        complete = self._step or len(self.results) in self._batch_ends
        return bool(complete) and time.perf_counter() - self._drawn >= REDRAW_SECONDS

    def _add(self, result: CellResult) -> None:
        self.results.append(result)
        if result.image is not None:
            label = cell_label(result.cell, self._comparison.axes)
            path = self._folder.path(image_name(len(self.images), result.recipe, label))
            save_png(path, result.image, result.recipe)
            self._panel.grid.move_resource_to_block_cache(path)  # so that it is deleted when it is old
            self.images.append(ShownImage(result.cell.place, label, path, result.recipe))

    def progress(self) -> Updates:
        """The images so far, and the scale of those in progress."""
        self._drawn = time.perf_counter()
        cells, done, step = self._comparison.cells, len(self.results), self._step
        made, remarks = float(len(self.images)), []
        if len({cell.model for cell in cells}) > 1:
            remarks.append(cells[min(done, len(cells) - 1)].model.checkpoint)
        if step:
            made += share_done(step.patch_nums, step.scale_index) * len(step.cells)
            remarks.append(f"scale {step.scale_index + 1} of {len(step.patch_nums)}")
        failed = done - len(self.images)
        share = made / (len(cells) - failed) if made else 0.0
        left = (self._drawn - self._start) * (1 - share) / share if share >= EARLIEST_ESTIMATE else None
        status = progress_html(done, len(cells), (made + failed) / len(cells), left, remarks)
        updates: Updates = {self._panel.status: status}
        if done != self._num_drawn:  # else the grid stays as it is
            self._num_drawn = done
            updates[self._panel.grid] = self._grid(running=True)
        return updates

    @property
    def first_pair(self) -> tuple[int | None, int | None]:
        """The two images that are put side by side at first, by their numbers."""
        return (0, min(1, len(self.images) - 1)) if self.images else (None, None)

    def finish(self, *, stopped: bool) -> Updates:
        """What was made."""
        panel, count = self._panel, len(self.images)
        total = len(self._comparison.cells)
        seconds = time.perf_counter() - self._start
        line = status_line(f"{counted(count)} in {seconds:.1f} s")
        if stopped and len(self.results) < total:
            line = status_line("Stopped", f"{count} of {total} images are done")
        choices = [(image.label, number) for number, image in enumerate(self.images)]
        reasons = [result.error for result in self.results if result.error]
        return {
            panel.status: line,
            panel.grid: self._grid(running=False),
            panel.failures: failures_html(reasons),
            panel.shown: tuple(self.images),
            panel.first: gr.update(choices=choices, value=self.first_pair[0]),
            panel.second: gr.update(choices=choices, value=self.first_pair[1]),
        }

    def kept_run(self, sources: Mapping[ModelChoice, Source]) -> KeptRun | None:
        """What the history keeps: the images in the order of the grid; None where there are none."""
        if not self.images:
            return None
        made = [result for result in self.results if result.image is not None]
        pairs = sorted(zip(made, self.images, strict=True), key=lambda pair: pair[1].place[::-1])
        made, shown = zip(*pairs, strict=True)
        path = self._folder.path("thumbnail.jpg")
        thumbnail([result.image for result in made]).save(path)
        return KeptRun(
            tuple(sources[result.cell.model] for result in made),
            tuple(image.path for image in shown),
            tuple(image.recipe for image in shown),
            (None,) * len(shown),
            path,
            title_of(self._comparison.axes),
            tuple(image.label for image in shown),
        )

    def _grid(self, *, running: bool) -> str:
        failed = {result.cell.place for result in self.results if result.error}
        return grid_html(self._comparison.axes, self.images, failed, running=running)


def button_update(path: Path | None) -> dict[str, Any]:
    """Return what makes a button download a file, or nothing."""
    return gr.update(value=path and str(path), interactive=path is not None)
