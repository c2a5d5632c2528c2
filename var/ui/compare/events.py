"""What happens on the Compare tab: the plan and its time as axes change, the run, and two images side by side."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from ...comparing.axes import Names
from ...comparing.comparison import BatchStep, Cell, CellResult, ModelChoice
from ...engine.comparisons import ComparisonOrder, ask, write_files
from ...engine.engine import holds_transformer
from ...engine.events import Failed
from ...errors import USER_ERRORS, error_text
from ...pictures.sheets import DARK, LIGHT
from ...sampling.options import SamplingOptions
from ..checkpoint.panel import folders_of
from ..checkpoint.view import CheckpointView
from ..events import AGAIN, AT_ONCE, EACH, LATEST, SETTLE, hear_of
from ..history.kept_runs import KeptRun, Source, keep
from ..history.panel import HistoryPanel
from ..html import FAILED, STOPPED, error_banner, status_line
from ..reception import Reception
from ..runs import RefusedError, SessionRun, TabRuns, Updates
from ..settings.classes import to_labels
from ..settings.fill import Fill, values_from
from ..settings.panel import SettingsPanel
from ..settings.restore import from_recipe
from ..settings.sampling import in_words, sampling_of
from .grid import ShownImage
from .panel import MOST_FILLED_CHECKPOINTS, AxisRow, ComparePanel, fill_text, pair_html, plan_html, values_label
from .progress import Drawing, button_update

# What the page looks like goes along with the click; on a phone the grid comes into view.
BEGIN = """(dark, ...others) => {
  if (matchMedia("(max-width: 760px)").matches) document.getElementById("compare-status").scrollIntoView();
  return [document.body.classList.contains("dark"), ...others];
}"""
# The image that was clicked goes right, the one that was there goes left.
PUT_RIGHT = """(first, second) => {
  const number = Number(document.getElementById("compare-grid").dataset.clicked);
  return number === second ? [first, second] : [second, number];
}"""
# The two images of the slider are marked in the grid, without drawing it again.
MARK_PAIR = """(first, second) => {
  for (const button of document.querySelectorAll("#compare-grid [data-image]")) {
    const sides = [first, second].map((number, side) => `${number}` === button.dataset.image ? "AB"[side] : "");
    button.dataset.side = sides.join("");
  }
}"""


def wire_compare(
    blocks: gr.Blocks,
    tab: gr.Tab,
    panel: ComparePanel,
    view: CheckpointView,
    settings: SettingsPanel,
    history: HistoryPanel,
    reception: Reception,
    fill: Fill,
) -> gr.events.Dependency:
    """Connect the Compare tab; returns the event of a run that is over.

    Args:
        blocks: the page.
        tab: where all this is.
        panel: of the tab.
        view: shows the checkpoint.
        settings: say what does not vary.
        history: takes what was made.
        reception: takes orders, and hands out what becomes of them.
        fill: fills the controls.
    """
    checkpoint, controls = view.panel, settings.controls
    runs = ComparisonRuns(panel, view, settings, history, reception)
    refresh = AT_ONCE | LATEST | {"fn": runs.show_plan, "inputs": {*runs.asked}, "outputs": [panel.plan]}
    changed = [component.change for component in (checkpoint.loaded, *controls.values())]
    for row in panel.axes:
        at_row = [row.values, row.fill]
        gr.on([row.kind.change, row.fill.click], partial(runs.fill, row), {*runs.asked}, at_row, **AT_ONCE | LATEST)
        changed += [row.kind.change, row.values.change]
    # One listener, so that no answer overtakes a later one.
    settled = gr.on(changed, None, None, None, js=SETTLE, **AT_ONCE)
    settled.then(**refresh)
    tab.select(**refresh)  # runs of other tabs tell how long an image takes
    hear_of([panel.run.click])
    pair = [panel.first, panel.second]
    outputs = [panel.run, panel.stop, panel.status, panel.problem, panel.failures, panel.kept, panel.grid]
    outputs += [panel.picture, panel.bundle, *pair, panel.slider, panel.recipe, panel.shown]
    finished = panel.run.click(runs.run_asked, runs.asked, outputs, js=BEGIN, **AGAIN)
    # By then the page may have another history than at the click, and a comparison takes another time.
    over = finished.then(runs.end, [history.runs, panel.kept], history.outputs, **AT_ONCE | EACH)
    over.then(**refresh)
    panel.stop.click(runs.stop, None, [panel.stop], **AT_ONCE)
    panel.grid.click(None, pair, pair, js=PUT_RIGHT, **AT_ONCE)
    # Both change at once; what holds after the last change counts.
    chosen, latest = [panel.first.change, panel.second.change], AT_ONCE | LATEST
    gr.on(chosen, runs.show_pair, [*pair, panel.shown], [panel.slider, panel.recipe], **latest)
    gr.on(chosen, None, pair, None, js=MARK_PAIR, **latest)
    finished.then(None, pair, None, js=MARK_PAIR, **AT_ONCE)  # the same two places may have been chosen before
    restored = panel.restore.click(
        runs.restore,
        [panel.second, panel.shown, checkpoint.uploads, checkpoint.loaded],
        [fill.wanted],
        **AT_ONCE,
    )
    fill.after(restored)
    blocks.unload(runs.leave)
    return over


class ComparisonRuns(TabRuns):
    """What the Compare tab does for the comparisons of its visitors; arguments as of `wire_compare`.

    Attributes:
        asked: the components that say what is compared, whether the page is dark first.
    """

    def __init__(
        self,
        panel: ComparePanel,
        view: CheckpointView,
        settings: SettingsPanel,
        history: HistoryPanel,
        reception: Reception,
    ) -> None:
        super().__init__(view.engine, reception, panel.status, panel.problem, panel.run, panel.stop)
        self._panel, self._catalog, self._checkpoint = panel, view.catalog, view.panel
        self._controls, self._history = settings.controls, history
        checkpoint = view.panel
        of_axes = [component for row in panel.axes for component in (row.kind, row.values)]
        self.asked = [panel.dark, checkpoint.loaded, checkpoint.uploads, checkpoint.loading]
        self.asked += [*settings.controls.values(), *of_axes]

    async def run_asked(self, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        """Carry out what the components of `asked` say."""
        async for updates in self.run(dict(zip(self.asked, values, strict=True)), request):
            yield updates

    def order_of(self, values: Updates) -> ComparisonOrder:
        """Return what the page asks for; raises one of USER_ERRORS."""
        panel, catalog, checkpoint = self._panel, self._catalog, self._checkpoint
        settings = values_from(values, self._controls)
        typed = [(values[row.kind], values[row.values]) for row in panel.axes]
        name = values[checkpoint.loaded] or catalog.default()
        uploads, loading = values[checkpoint.uploads], values[checkpoint.loading]
        description = self.engine.describe(catalog.resolve(name, uploads), loading)
        labels = to_labels(settings["classes"])
        if not labels and not any(kind == "class" for kind, _ in typed):
            raise ValueError("No class chosen. Choose one under Classes, or let the class vary.")
        if settings["seed"] is None:
            raise ValueError("The seed is empty. Type a whole number, or press the die.")
        base = Cell(
            ModelChoice(name, loading.weights, loading.dtype, loading.num_heads),
            SamplingOptions((labels or [None])[:1], (settings["seed"],), **sampling_of(settings)),
        )
        base.options.check(len(description.class_names), len(description.patch_nums))
        names, files = Names(description.class_names, catalog.names(uploads)), catalog.files(uploads)
        comparison = ask(typed, base, names, partial(self.engine.class_names, files))
        return ComparisonOrder(comparison, files, folders_of(uploads))

    def show_plan(self, values: Updates) -> str:
        """Return what would be made, and how long that takes."""
        try:
            order = self.order_of(values)
            return plan_html(order.comparison, self.engine.seconds_of(order))
        except USER_ERRORS as error:
            return plan_html(in_words(error_text(error)))

    def fill(self, row: AxisRow, values: Updates) -> Updates:
        """Put sensible values in; also what another kind begins with."""
        kind, checkpoint, controls = values[row.kind], self._checkpoint, self._controls
        updates: Updates = {
            row.values: gr.update(label=values_label(kind), interactive=bool(kind)),
            row.fill: gr.update(interactive=bool(kind)),
        }
        if not kind:
            return updates | {row.values: gr.update(label=values_label(kind), interactive=False, value="")}
        catalog, uploads = self._catalog, values[checkpoint.uploads]
        try:
            name = values[checkpoint.loaded] or catalog.default()
            description = self.engine.describe(catalog.resolve(name, uploads), values[checkpoint.loading])
        except USER_ERRORS:
            return updates
        files = catalog.files(uploads)
        usable = (name for name in catalog.names(uploads) if kind == "checkpoint" and holds_transformer(files[name]))
        names = Names(description.class_names, list(islice(usable, MOST_FILLED_CHECKPOINTS)))
        labels, seed = to_labels(values[controls["classes"]]), values[controls["seed"]] or 0
        text = fill_text(kind, names, labels, seed, description.vocab_size)
        return updates | {row.values: gr.update(label=values_label(kind), interactive=True, value=text)}

    def begin(self, data: Updates) -> Updates:
        """Forget why images of the comparison before were not made."""
        return {self._panel.failures: ""}

    async def make(self, data: Updates, run: SessionRun) -> AsyncIterator[Updates]:
        """Make the images and show them as they come."""
        panel = self._panel
        order = await asyncio.to_thread(self.order_of, data)
        drawing, ended = Drawing(panel, order.comparison), None
        async for event in self.follow(run, order):
            if isinstance(event, CellResult | BatchStep):
                if not drawing.begun:
                    yield drawing.start()
                if await asyncio.to_thread(drawing.take, event):
                    yield drawing.progress()
            elif isinstance(event, dict):
                yield event
            else:
                ended = event
        if isinstance(ended, Failed) and not drawing.results:
            raise RefusedError(ended.sentence)
        if not drawing.begun:  # stopped before its turn: the comparison before stays
            yield {panel.status: status_line(STOPPED)}
            return
        last = drawing.finish(stopped=run.is_stopped) | self.show_pair(*drawing.first_pair, drawing.images)
        if isinstance(ended, Failed):
            last[panel.problem] = error_banner(ended.sentence or FAILED)
        sources = {model: self._source_of(order, model) for model in {cell.model for cell in order.comparison.cells}}
        yield last | {panel.kept: await asyncio.to_thread(drawing.kept_run, sources)}
        with TemporaryDirectory() as folder:
            palette = DARK if data[panel.dark] else LIGHT
            picture, bundle = await asyncio.to_thread(
                write_files, Path(folder), order.comparison, drawing.results, palette
            )
            yield {panel.picture: button_update(picture), panel.bundle: button_update(bundle)}

    @staticmethod
    def _source_of(order: ComparisonOrder, model: ModelChoice) -> Source:
        return Source(model.checkpoint, order.files.get(model.checkpoint), order.loading(model))

    def end(self, runs: list[KeptRun], kept: KeptRun | None) -> Updates:
        """Take the images into the history."""
        history = self._history
        return {history.runs: gr.skip()} if kept in (None, *runs) else history.updates(keep(runs, kept))

    def show_pair(self, first: Any, second: Any, shown: Sequence[ShownImage]) -> Updates:
        """Put two images side by side."""
        panel, left, right = self._panel, image_at(first, shown), image_at(second, shown)
        if left is None or right is None:
            return {panel.recipe: ""}
        return {panel.slider: (left.path, right.path), panel.recipe: pair_html(left, right)}

    def restore(self, second: Any, shown: Sequence[ShownImage], uploads: dict[str, str], loaded: str | None) -> Any:
        """Put the settings of the right image into the controls."""
        image = image_at(second, shown)
        return image and from_recipe(image.recipe, self._catalog, uploads, loaded)


def image_at(number: Any, shown: Sequence[ShownImage]) -> ShownImage | None:
    """Return the image of a number that comes from the page; None where there is none."""
    return shown[number] if isinstance(number, int) and 0 <= number < len(shown) else None
