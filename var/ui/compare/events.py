"""What happens on the Compare tab: the plan and its time as axes change, the run, and two images side by side."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from ...comparing.axes import Names
from ...comparing.comparison import Cell, ModelChoice
from ...engine.comparisons import Comparison, Models, ask, carry_out, seconds_of, write_files
from ...engine.models import Loading
from ...engine.queue import RunControl
from ...pictures.sheets import DARK, LIGHT
from ...sampling.options import SamplingOptions
from ...sampling.stopping import StopSignal
from ..checkpoint.panel import folders_of
from ..checkpoint.view import CheckpointView
from ..events import AT_ONCE, BESIDE, IN_TURN, LATEST, SETTLE, hear_of
from ..history.kept_runs import KeptRun, keep
from ..html import FAILED, NOTHING, STOPPED, USER_ERRORS, error_banner, error_text, status_line, waiting_line
from ..parts import Parts, Updates
from ..settings.classes import to_labels
from ..settings.fill import fill_from
from ..settings.restore import from_recipe
from ..settings.sampling import in_words, sampling_of
from .grid import ShownImage
from .panel import (
    MOST_FILLED_CHECKPOINTS,
    AxisRow,
    fill_text,
    pair_html,
    plan_html,
    values_label,
)
from .progress import Drawing, button_update

ASK_THEME = "() => [document.body.classList.contains('dark')]"
SHOW_GRID_ON_A_PHONE = """() => {
  if (matchMedia("(max-width: 760px)").matches) document.getElementById("compare-status").scrollIntoView();
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


def wire_compare(blocks: gr.Blocks, parts: Parts, view: CheckpointView, wanted_state: gr.State) -> gr.events.Dependency:
    """Connect the Compare tab; returns the event of a run that is over.

    Args:
        blocks: the page.
        parts: of the page.
        view: shows another checkpoint.
        wanted_state: of `wire_settings`, where settings are put to fill the controls.
    """
    panel = parts.compare
    pace, control = parts.pace, RunControl(parts.line, "compare")
    checkpoint, controls = parts.checkpoint, parts.settings.controls
    asked = {checkpoint.loaded, checkpoint.uploads, checkpoint.loading, panel.dark, *controls.values()}
    asked |= {component for row in panel.axes for component in (row.kind, row.values)}

    def session_models(values: dict) -> Models:
        uploads = values[checkpoint.uploads]
        return Models(parts.holder, partial(parts.catalog.resolve, uploads=uploads), folders_of(uploads))

    def read(values: dict) -> Comparison:
        """What the page asks for; raises one of USER_ERRORS."""
        settings = {name: values[component] for name, component in controls.items()}
        typed = [(values[row.kind], values[row.values]) for row in panel.axes]
        name = values[checkpoint.loaded] or parts.catalog.default()
        loading: Loading = values[checkpoint.loading]
        description = parts.holder.describe(session_models(values).find_path(name), loading)
        labels = to_labels(settings["classes"])
        if not labels and not any(kind == "class" for kind, _ in typed):
            raise ValueError("No class chosen. Choose one under Classes, or let the class vary.")
        if settings["seed"] is None:
            raise ValueError("The seed is empty. Type a whole number, or press the die.")
        base = Cell(
            ModelChoice(name, loading.weights, loading.dtype),
            SamplingOptions((labels or [None])[:1], (settings["seed"],), **sampling_of(settings)),
        )
        base.options.check(len(description.class_names), len(description.patch_nums))
        names = Names(description.class_names, parts.catalog.names(values[checkpoint.uploads]))
        return ask(typed, base, names, session_models(values).class_names)

    def show_plan(values: dict) -> str:
        try:
            comparison = read(values)
            return plan_html(comparison, seconds_of(comparison, session_models(values), pace))
        except USER_ERRORS as error:
            return plan_html(in_words(error_text(error)))

    def fill(row: AxisRow, values: dict) -> Updates:
        """Put sensible values in; also what another kind begins with."""
        kind = values[row.kind]
        updates = {
            row.values: gr.update(label=values_label(kind), interactive=bool(kind)),
            row.fill: gr.update(interactive=bool(kind)),
        }
        if not kind:
            return updates | {row.values: gr.update(label=values_label(kind), interactive=False, value="")}
        models, uploads = session_models(values), values[checkpoint.uploads]
        try:
            name = values[checkpoint.loaded] or parts.catalog.default()
            description = parts.holder.describe(models.find_path(name), values[checkpoint.loading])
        except USER_ERRORS:
            return updates
        names = parts.catalog.names(uploads) if kind == "checkpoint" else []
        names = Names(description.class_names, models.usable(names, MOST_FILLED_CHECKPOINTS))
        labels, seed = to_labels(values[controls["classes"]]), values[controls["seed"]] or 0
        text = fill_text(kind, names, labels, seed, description.vocab_size)
        return updates | {row.values: gr.update(label=values_label(kind), interactive=True, value=text)}

    def begin(values: dict, request: gr.Request) -> Updates:
        before = control.begin(request.session_hash, values)
        return {
            panel.run: gr.update(interactive=False),
            panel.stop: gr.update(interactive=True),
            panel.status: waiting_line(before),
            panel.problem: "",
            panel.failures: "",
            panel.kept: None,
        }

    async def wait(request: gr.Request) -> AsyncIterator[Any]:
        """Show how many come first."""
        async for before in control.wait(request.session_hash):
            yield waiting_line(before)
        yield gr.skip()  # what comes last is sent once more when this ends, after the run's own lines

    def run(request: gr.Request) -> Iterator[Updates]:
        with control.turn(request.session_hash) as turn:
            if turn is None:  # called off while it waited
                yield {panel.status: gr.skip()}
            else:
                yield from make(*turn)

    def make(values: dict, stop: StopSignal) -> Iterator[Updates]:
        try:
            comparison = read(values)
        except USER_ERRORS as error:
            yield {panel.status: status_line(NOTHING), panel.problem: error_banner(in_words(error_text(error)))}
            return
        drawing, models = Drawing(panel, comparison), session_models(values)
        yield drawing.start()
        with closing(carry_out(comparison, models, stop, pace)) as events:
            for event in events:
                if drawing.take(event):
                    yield drawing.progress()
        yield drawing.finish(stopped=stop.is_set())
        yield {panel.kept: drawing.kept_run(models.source)}
        with TemporaryDirectory() as folder:
            palette = DARK if values[panel.dark] else LIGHT
            picture, bundle = write_files(Path(folder), comparison, drawing.results, palette)
            yield {
                panel.picture: button_update(picture),
                panel.bundle: button_update(bundle),
            }

    def may_begin() -> Updates:
        return {panel.run: gr.update(interactive=True), panel.stop: gr.update(interactive=False)}

    def end(runs: list[KeptRun], kept: KeptRun | None) -> Updates:
        """Take the images into the history, and let the next run begin."""
        if kept is None:
            return may_begin()
        return may_begin() | parts.history.updates(keep(runs, kept))

    def failed(runs: list[KeptRun], kept: KeptRun | None, request: gr.Request) -> Updates:
        """Whatever went wrong, one can go on, and the images are kept if they are made."""
        control.leave(request.session_hash)
        status = {panel.status: status_line(NOTHING)} if kept is None else {}
        return end(runs, kept) | status | {panel.problem: error_banner(FAILED)}

    def stop(request: gr.Request) -> Updates:
        """End the run at its next block; one that waits is called off at once."""
        if control.stop(request.session_hash):
            return may_begin() | {panel.status: status_line(STOPPED)}
        return {panel.stop: gr.update(interactive=False)}

    def leave(request: gr.Request) -> None:
        control.leave(request.session_hash)

    def image_at(number: Any, shown: tuple[ShownImage, ...]) -> ShownImage | None:
        """The image of a number that comes from the page; None where there is none."""
        return shown[number] if isinstance(number, int) and 0 <= number < len(shown) else None

    def show_pair(first: int | None, second: int | None, shown: tuple[ShownImage, ...]) -> Updates:
        left, right = image_at(first, shown), image_at(second, shown)
        if left is None or right is None:
            return {panel.recipe: ""}
        return {panel.slider: (left.path, right.path), panel.recipe: pair_html(left, right)}

    def restore(second: int | None, shown: tuple[ShownImage, ...], uploads: dict[str, str], loaded: str | None) -> Any:
        """Put the settings of the right image into the controls."""
        image = image_at(second, shown)
        return image and from_recipe(image.recipe, parts.catalog, uploads, loaded)

    refresh = AT_ONCE | LATEST | {"fn": show_plan, "inputs": asked, "outputs": [panel.plan]}
    changed = [component.change for component in (checkpoint.loaded, *controls.values())]
    for row in panel.axes:
        at_row = [row.values, row.fill]
        gr.on([row.kind.change, row.fill.click], partial(fill, row), asked, at_row, **AT_ONCE | LATEST)
        changed += [row.kind.change, row.values.change]
    # One listener, so that no answer overtakes a later one.
    settled = gr.on(changed, None, None, None, js=SETTLE, **AT_ONCE)
    settled.then(**refresh)
    blocks.load(**refresh)
    hear_of([panel.run.click])
    asked_theme = panel.run.click(None, None, [panel.dark], js=ASK_THEME, **AT_ONCE)
    begun = [panel.run, panel.stop, panel.status, panel.problem, panel.failures, panel.kept]
    started = asked_theme.then(begin, asked, begun, **AT_ONCE)
    started.then(wait, None, [panel.status], **BESIDE)
    started.then(fn=None, js=SHOW_GRID_ON_A_PHONE, **AT_ONCE)
    pair = [panel.first, panel.second]
    made = [panel.status, panel.problem, panel.grid, panel.failures, panel.picture, panel.bundle, *pair]
    finished = started.then(run, None, [*made, panel.shown, panel.kept], **IN_TURN)
    ended = [panel.run, panel.stop, *parts.history.outputs]
    over = finished.then(end, [parts.history.runs, panel.kept], ended, **AT_ONCE)
    over.then(**refresh)
    failures = [*ended, panel.status, panel.problem]
    finished.failure(failed, [parts.history.runs, panel.kept], failures, **AT_ONCE)
    shown = [panel.slider, panel.recipe]
    finished.then(show_pair, [*pair, panel.shown], shown, **AT_ONCE)
    finished.then(None, pair, None, js=MARK_PAIR, **AT_ONCE)
    panel.stop.click(stop, None, [panel.run, panel.stop, panel.status], **AT_ONCE)
    panel.grid.click(None, pair, pair, js=PUT_RIGHT, **AT_ONCE)
    # Both change at once; what holds after the last change counts.
    chosen, latest = [panel.first.change, panel.second.change], AT_ONCE | LATEST
    gr.on(chosen, show_pair, [*pair, panel.shown], shown, **latest)
    gr.on(chosen, None, pair, None, js=MARK_PAIR, **latest)
    restored = panel.restore.click(
        restore,
        [panel.second, panel.shown, checkpoint.uploads, checkpoint.loaded],
        [wanted_state],
        **AT_ONCE,
    )
    fill_from(restored, parts, view, wanted_state)
    blocks.unload(leave)
    return over
