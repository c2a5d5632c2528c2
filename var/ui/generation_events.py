"""What happens on Generate and on Stop, in the tabs Images and Edit."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from .checkpoint_panel import choose
from .classes import choices, to_labels, with_recent
from .counts import num_images_of
from .history import KeptRun, keep, thumbnail
from .images_panel import Folder, ImagesPanel, caption, picked_updates, replaced_updates
from .messages import (
    USER_ERRORS,
    error_banner,
    error_text,
    finished_line,
    progress_line,
    status_line,
    stopped_line,
    waiting_line,
)
from .parts import MODEL_QUEUE, Parts, Updates
from .runs import Edit, Frame, Order, carry_out
from .sampling_controls import sampling_of
from .settings_events import values_from
from .settings_panel import roll_seed
from .turns import RunControl

# There the images lie below the settings, and Generate floats over both.
SHOW_IMAGES_ON_A_PHONE = """(...values) => {
  if (matchMedia("(max-width: 760px)").matches) document.getElementById("%sstatus").scrollIntoView();
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
LOOK_AT_LINE = 0.3  # seconds between two looks at who waits


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
    settings, checkpoint = parts.settings, parts.checkpoint
    control = RunControl(parts.line, panel.prefix or "images")
    quiet = {"show_progress": "hidden", "api_visibility": "private"}

    def begin(new_seed: bool, picked: int | None, request: gr.Request) -> Updates:
        before = control.begin(request.session_hash)
        return {
            settings.controls["seed"]: roll_seed() if new_seed else gr.skip(),
            panel.generate: gr.update(interactive=False),
            panel.stop: gr.update(interactive=True),
            panel.status: waiting_line(before),
            panel.problem: "",
        } | picked_updates(panel, None, picked)

    async def wait(request: gr.Request) -> AsyncIterator[Any]:
        """Show how many come first."""
        shown = 0
        while (before := control.before(request.session_hash)) is not None:
            if before != shown:
                yield waiting_line(before)
            shown = before
            await asyncio.sleep(LOOK_AT_LINE)
        yield gr.skip()  # what comes last is sent once more when this ends, after the run's own lines

    def run(data: dict[gr.blocks.Block, Any], request: gr.Request) -> Iterator[Updates]:
        name = data[checkpoint.choice]
        choice = choose(parts.catalog, parts.holder, name, data[checkpoint.uploads], data[checkpoint.loading])
        frame, images = None, None
        with control.turn(request.session_hash) as stop:
            try:
                if choice.problem is not None:
                    raise ValueError(choice.problem)
                edit = editing.read(*(data[component] for component in editing.components)) if editing else None
                order = order_of(choice, values_from(data, settings.controls), edit)
                with closing(carry_out(parts.holder, order, stop)) as frames:
                    for frame in frames:
                        replaced = {} if images else replaced_updates(panel)
                        images = images or ShownImages(Folder(panel.gallery.GRADIO_CACHE), frame)
                        if frame.last or stop.is_set():
                            continue
                        yield images.update(frame, panel.gallery) | replaced | {panel.status: progress_of(frame)}
            except USER_ERRORS as error:
                yield {
                    panel.status: status_line("Nothing made"),
                    panel.problem: error_banner(error_text(error, choice.path, name)),
                }
                return
        if frame is None:
            yield {panel.status: status_line("Stopped")}
            return
        yield end_of(frame, images, order, data)

    def end_of(frame: Frame, images: "ShownImages", order: Order, data: dict[gr.blocks.Block, Any]) -> Updates:
        """Show what is done and keep it; where nothing is, leave what was seen last."""
        if frame.last:
            status = finished_line(len(frame.finished), seeds_of(frame), frame.seconds)
        else:
            done, asked = len(frame.finished), len(frame.recipes)
            status = stopped_line(frame.scale_index, len(frame.patch_nums), done, asked)
        if not frame.finished:
            return {panel.status: status}
        kept = images.kept_run(frame, order, data[checkpoint.choice])
        runs = keep(data[parts.history.runs], kept)
        recent = with_recent(data[settings.recent], data[settings.controls["classes"]])
        description = parts.holder.describe(order.path, order.loading)
        return {
            panel.gallery: gr.update(value=list(zip(kept.files, map(caption, kept.recipes), strict=True))),
            panel.status: status,
            panel.shown: kept,
            panel.bundle: gr.update(interactive=True),
            settings.recent: recent,
            settings.controls["classes"]: gr.update(choices=choices(description, recent)),
        } | parts.history.updates(runs)

    def end(shown: KeptRun | None, picked: int | None) -> Updates:
        buttons = {panel.generate: gr.update(interactive=True), panel.stop: gr.update(interactive=False)}
        return buttons | picked_updates(panel, shown, picked)

    def stop(request: gr.Request) -> Updates:
        control.stop(request.session_hash)
        return {panel.stop: gr.update(interactive=False)}

    def leave(request: gr.Request) -> None:
        control.leave(request.session_hash)

    asked = {checkpoint.choice, checkpoint.uploads, checkpoint.loading, settings.recent, parts.history.runs}
    asked |= set(editing.components if editing else ())
    started = panel.generate.click(
        begin,
        [settings.controls["new_seed"], panel.picked],
        [settings.controls["seed"], panel.generate, panel.stop, panel.status, panel.problem, *panel.of_picked],
        queue=False,
        js=SHOW_IMAGES_ON_A_PHONE % panel.prefix,
        **quiet,
    )
    started.then(wait, None, [panel.status], concurrency_limit=None, **quiet)
    finished = started.then(
        run,
        asked | set(settings.controls.values()),
        [
            panel.gallery,
            panel.status,
            panel.problem,
            panel.shown,
            panel.bundle,
            *[component for component in panel.of_picked if component is not panel.picked],
            settings.recent,
            settings.controls["classes"],
            *parts.history.outputs,
        ],
        concurrency_id=MODEL_QUEUE,
        concurrency_limit=1,
        **quiet,
    )
    ended = [panel.generate, panel.stop, *panel.of_picked]
    finished.then(end, [panel.shown, panel.picked], ended, queue=False, **quiet)
    panel.stop.click(stop, None, [panel.stop], queue=False, **quiet)
    blocks.unload(leave)
    return finished


def order_of(choice: Any, values: dict[str, Any], edit: Edit | None) -> Order:
    """Return what the controls ask for.

    Args:
        choice: the checkpoint, as it was found.
        values: of all controls, by their names.
        edit: what the images are made from, if from another image.
    """
    return Order(
        choice.path,
        to_labels(values["classes"]),
        num_images_of(values),
        values["seed"],
        sampling_of(values),
        choice.loading,
        edit,
    )


def progress_of(frame: Frame) -> str:
    """Return how far a run is."""
    return progress_line(frame.patch_nums, frame.scale_index, len(frame.finished), len(frame.recipes), frame.remaining)


def seeds_of(frame: Frame) -> str:
    """Return the seeds of a run in words."""
    first, last = frame.recipes[0].seed, frame.recipes[-1].seed
    return f"seed {first}" if first == last else f"seeds {first} to {last}"


class ShownImages:
    """The files of a run in progress: finished images, previews, and places for what is not begun.

    Args:
        folder: for the files.
        frame: the first of the run.
    """

    def __init__(self, folder: Folder, frame: Frame) -> None:
        self._folder = folder
        self._finished: list[str] = []
        self._previews: list[str] = []
        self._begun = False
        self._empty = folder.write_empty(frame.recipes[0].image_size)

    def update(self, frame: Frame, gallery: gr.Gallery) -> Updates:
        """Return the gallery as it is now; nothing where nothing new is to be seen."""
        num_before = len(self._finished)
        self._write_finished(frame)
        if len(self._finished) == num_before and not frame.previews and self._begun:
            return {}
        coming = frame.recipes[len(self._finished) :]
        new = [
            self._folder.write_preview(image, recipe, frame.scale_index)
            for image, recipe in zip(frame.previews, coming, strict=False)
        ]
        # An image for which there was no time this time stays as it was.
        self._previews = new + self._previews[len(new) :] if len(self._finished) == num_before else []
        self._begun = True
        files = self._finished + self._previews
        files += [self._empty] * (len(frame.recipes) - len(files))
        return {gallery: list(zip(files, map(caption, frame.recipes), strict=True))}

    def kept_run(self, frame: Frame, order: Order, checkpoint: str) -> KeptRun:
        """Write what is finished, and return what is kept of it; `checkpoint` is its name in the list."""
        self._write_finished(frame)
        path = self._folder.path("thumbnail.jpg")
        thumbnail([finished.image for finished in frame.finished]).save(path)
        return KeptRun(
            checkpoint,
            order.path,
            order.loading,
            tuple(self._finished),
            tuple(finished.recipe for finished in frame.finished),
            tuple(finished.latents for finished in frame.finished),
            path,
        )

    def _write_finished(self, frame: Frame) -> None:
        for finished in frame.finished[len(self._finished) :]:
            self._finished.append(self._folder.write_image(finished.image, finished.recipe))
