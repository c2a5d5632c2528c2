"""What happens on Generate and on Stop, in the tabs Images and Edit."""

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ...engine.queue import RunControl
from ...engine.runs import Edit, Frame, Order, carry_out
from ...sampling.stopping import StopSignal
from ..checkpoint.panel import Choice, choose
from ..events import AT_ONCE, BESIDE, IN_TURN, hear_of
from ..history.kept_runs import KeptRun, keep
from ..html import (
    FAILED,
    NOTHING,
    STOPPED,
    USER_ERRORS,
    error_banner,
    error_text,
    finished_line,
    progress_line,
    status_line,
    stopped_line,
    waiting_line,
)
from ..parts import Parts, Updates
from ..settings.classes import choices, to_labels, with_recent
from ..settings.counters import num_images_of
from ..settings.fill import values_from
from ..settings.panel import LARGEST_SEED, roll_seed
from ..settings.sampling import in_words, sampling_of
from .gallery import Shown, ShownImages
from .panel import Folder, ImagesPanel, picked_updates, replaced_updates, shown_updates

# On a phone Generate floats over all, and in the tab Edit the images lie below the painter.
# Gradio would show the new image at the place of the one that is looked at in large; a run is seen as a whole.
SHOW_IMAGES = """(...values) => {
  document.querySelector('#%simages .preview button[aria-label="Close"]')?.click();
  const [status, images] = ["status", "images"].map((part) => document.getElementById("%s" + part));
  if (matchMedia("(max-width: 760px)").matches) status.scrollIntoView();
  else images.scrollIntoView({block: "nearest", behavior: "smooth"});
  return values;
}"""
# What is being typed counts: a field tells its value when the focus leaves it.
SHORTCUT = """() => {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const ids = "#generate, #edit-generate, #compare-run";
    const button = [...document.querySelectorAll(ids)].find((button) => button.offsetParent && !button.disabled);
    if (!button) return;
    event.preventDefault();
    event.stopPropagation(); // else an open list takes the Enter as a choice
    if (event.repeat) return;
    document.activeElement?.blur();
    setTimeout(() => button.click(), 50);
  }, true);
}"""
# Between two pictures of a run: eyes see no more, and to show them takes a browser on the same machine time, too.
LEAST_SECONDS = 0.1
ANY_SEED = -1  # as people type it elsewhere; so is an empty field


@dataclass(frozen=True)
class Editing:
    """Where a tab's runs begin with an image.

    Args:
        components: what says which image, and which part of it.
        read: gets their values, and returns what to make; raises ValueError where something is missing.
    """

    components: tuple[gr.blocks.Block, ...]
    read: Callable[..., Edit]


def wire_shortcut(blocks: gr.Blocks) -> None:
    """Let Ctrl+Enter press the button of the tab that is open."""
    blocks.load(None, None, None, js=SHORTCUT, show_progress="hidden", api_visibility="private")


def wire_generation(
    blocks: gr.Blocks, parts: Parts, panel: ImagesPanel, editing: Editing | None = None
) -> gr.events.Dependency:
    """Connect Generate and Stop of a tab; returns the event of a run that is over.

    Args:
        blocks: the page.
        parts: of the page.
        panel: the tab's.
        editing: where the tab's runs begin with an image: what its components say of it.
    """
    settings, checkpoint, history = parts.settings, parts.checkpoint, parts.history
    runs = Generation(parts, panel, editing)

    asked = {checkpoint.choice, checkpoint.uploads, checkpoint.loading, panel.shown, panel.picked}
    asked |= {*settings.controls.values(), *(editing.components if editing else ())}
    begun = [settings.controls["seed"], panel.generate, panel.stop, panel.status, panel.problem, panel.made]
    hear_of([panel.generate.click])
    started = panel.generate.click(
        runs.begin,
        asked,
        begun + panel.of_picked,
        js=SHOW_IMAGES % (panel.prefix, panel.prefix),
        **AT_ONCE,
    )
    started.then(runs.wait, None, [panel.status], **BESIDE)
    shown = [panel.gallery, panel.status, panel.problem, panel.shown, panel.made, panel.bundle]
    buttons = [component for component in panel.of_picked if component is not panel.picked]
    finished = started.then(runs.run, None, [*shown, *buttons], **IN_TURN)
    told = {panel.made, history.runs, settings.recent, checkpoint.choice, checkpoint.uploads}
    ended = [panel.generate, panel.stop, settings.controls["classes"], settings.recent, *history.outputs]
    over = finished.then(runs.end, told, ended, **AT_ONCE)
    failed = finished.failure(runs.fail, told, [*ended, panel.status, panel.problem], **AT_ONCE)
    for event in (over, failed):
        event.then(runs.enable, [panel.shown, panel.picked], panel.of_picked, **AT_ONCE)
    panel.stop.click(
        runs.stop,
        [panel.shown, panel.picked],
        [panel.generate, panel.stop, panel.status, *panel.of_picked],
        **AT_ONCE,
    )
    blocks.unload(runs.leave)
    return over


class Generation:
    """What a tab does for the runs of its visitors.

    Args:
        parts: of the page.
        panel: the tab's.
        editing: where the tab's runs begin with an image: what its components say of it.
    """

    def __init__(self, parts: Parts, panel: ImagesPanel, editing: Editing | None) -> None:
        self._parts, self._panel, self._editing = parts, panel, editing
        self._control: RunControl[dict[gr.blocks.Block, Any]] = RunControl(parts.line, panel.prefix or "images")

    def begin(self, data: dict[gr.blocks.Block, Any], request: gr.Request) -> Updates:
        """Take down what is asked, and enter the line."""
        panel, controls = self._panel, self._parts.settings.controls
        rolled = {}
        if data[controls["new_seed"]] or data[controls["seed"]] in (None, ANY_SEED):
            rolled = {controls["seed"]: roll_seed()}
        before = self._control.begin(request.session_hash, data | rolled)
        return (
            rolled
            | {
                panel.generate: gr.update(interactive=False),
                panel.stop: gr.update(interactive=True),
                panel.status: waiting_line(before),
                panel.problem: "",
                panel.made: None,
            }
            | picked_updates(panel, None, None)
        )

    async def wait(self, request: gr.Request) -> AsyncIterator[Any]:
        """Show how many come first."""
        async for before in self._control.wait(request.session_hash):
            yield waiting_line(before)
        yield gr.skip()  # what comes last is sent once more when this ends, after the run's own lines

    def run(self, request: gr.Request) -> Iterator[Updates]:
        """Make the images and show them as they grow."""
        with self._control.turn(request.session_hash) as turn:
            if turn is None:  # called off while it waited
                yield {self._panel.status: gr.skip()}
            else:
                yield from self._make(*turn)

    def _make(self, data: dict[gr.blocks.Block, Any], stop: StopSignal) -> Iterator[Updates]:
        parts, panel, checkpoint = self._parts, self._panel, self._parts.checkpoint
        name = data[checkpoint.choice]
        choice = choose(parts.catalog, parts.holder, name, data[checkpoint.uploads], data[checkpoint.loading])
        frame, images, told = None, None, -math.inf
        try:
            order = self._order_of(choice, data)
            with closing(carry_out(parts.holder, order, stop, parts.pace)) as frames:
                for frame in frames:
                    images = images or ShownImages(Folder(panel.gallery.GRADIO_CACHE), frame)
                    if frame.last or stop.is_set() or time.perf_counter() - told < LEAST_SECONDS:
                        continue
                    updates = {panel.status: progress_of(frame)}
                    if (shown := images.update(frame)) is not None:
                        updates |= {panel.gallery: shown, **replaced_updates(panel)}
                    yield updates
                    told = time.perf_counter()
        except USER_ERRORS as error:
            text = in_words(error_text(error, choice.path, name))
            yield {panel.status: status_line(NOTHING), panel.problem: error_banner(text)}
            return
        if frame is None:
            yield {panel.status: status_line(STOPPED)}
        elif frame.finished:
            kept = images.kept_run(frame, order, name)
            yield {panel.status: status_of(frame), panel.made: kept} | shown_updates(panel, kept)
        else:
            yield {panel.status: status_of(frame)} | self._unfinished(images.previews(frame), data[panel.shown])

    def _order_of(self, choice: Choice, data: dict[gr.blocks.Block, Any]) -> Order:
        """Return what the controls ask for; raises ValueError where something is missing."""
        if choice.problem is not None:
            raise ValueError(choice.problem)
        values = values_from(data, self._parts.settings.controls)
        if isinstance(values["seed"], int | float) and values["seed"] > LARGEST_SEED:
            raise ValueError(f"The seed must be at most {LARGEST_SEED} here: browsers know no larger whole numbers.")
        edit = None
        if self._editing is not None:
            edit = self._editing.read(*(data[component] for component in self._editing.components))
        return Order(
            choice.path,
            to_labels(values["classes"]),
            num_images_of(values),
            values["seed"],
            sampling_of(values),
            choice.loading,
            edit,
        )

    def _unfinished(self, previews: Shown, before: KeptRun | None) -> Updates:
        """Leave what was seen last where nothing is finished: previews, else the images before."""
        if previews or before is None:
            return {self._panel.gallery: previews}
        return shown_updates(self._panel, before)

    def end(self, data: dict[gr.blocks.Block, Any]) -> Updates:
        """Take a finished run into the history, and let the next one begin."""
        parts, panel, history, settings = self._parts, self._panel, self._parts.history, self._parts.settings
        made, recent = data[panel.made], data[settings.recent]
        updates = {panel.generate: gr.update(interactive=True), panel.stop: gr.update(interactive=False)}
        if made is not None:
            recent = with_recent(recent, [recipe.class_label for recipe in made.recipes])
            updates |= {settings.recent: recent, **history.updates(keep(data[history.runs], made))}
        name, uploads = data[parts.checkpoint.choice], data[parts.checkpoint.uploads]
        description = choose(parts.catalog, parts.holder, name, uploads).description
        updates[settings.controls["classes"]] = gr.update(choices=choices(description, recent))
        return updates

    def enable(self, shown: KeptRun | None, picked: int | None) -> Updates:
        """Let something be done with the image that is looked at, which may be another one by now than at the end."""
        panel = self._panel
        return {panel.picked: gr.skip()} if picked is None else picked_updates(panel, shown, picked)

    def fail(self, data: dict[gr.blocks.Block, Any], request: gr.Request) -> Updates:
        """Whatever went wrong, let the next run begin."""
        self._control.leave(request.session_hash)
        banner = {self._panel.status: status_line(NOTHING), self._panel.problem: error_banner(FAILED)}
        return self.end(data) | banner

    def stop(self, shown: KeptRun | None, picked: int | None, request: gr.Request) -> Updates:
        """End the run at its next block; one that waits is called off at once."""
        panel = self._panel
        updates = {panel.stop: gr.update(interactive=False)}
        if self._control.stop(request.session_hash):
            updates |= {panel.generate: gr.update(interactive=True), panel.status: status_line(STOPPED)}
            updates |= self.enable(shown, picked)
        return updates

    def leave(self, request: gr.Request) -> None:
        """The session is over."""
        self._control.leave(request.session_hash)


def progress_of(frame: Frame) -> str:
    """Return how far a run is."""
    first, total = len(frame.finished), len(frame.recipes)
    growing = (first + 1, min(first + frame.num_growing, total)) if frame.num_growing < total else None
    return progress_line(frame.patch_nums, frame.scale_index, growing, total, frame.remaining)


def status_of(frame: Frame) -> str:
    """Return what came of a run; `frame` is its last."""
    if frame.last:
        return finished_line(len(frame.finished), seeds_of(frame), frame.seconds)
    return stopped_line(frame.scale_index, len(frame.patch_nums), len(frame.finished), len(frame.recipes))


def seeds_of(frame: Frame) -> str:
    """Return the seeds of a run in words."""
    first, last = frame.recipes[0].seed, frame.recipes[-1].seed
    return f"seed {first}" if first == last else f"seeds {first} to {last}"
