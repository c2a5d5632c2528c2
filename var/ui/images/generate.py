"""What happens on Generate and on Stop, in the tabs Images and Edit."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import gradio as gr

from ...engine.events import Done, Failed, Scale
from ...engine.runs import MOST_IMAGES, Edit, Order
from ..checkpoint.panel import Choice, look_into
from ..checkpoint.view import CheckpointView
from ..events import AGAIN, AT_ONCE, EACH, hear_of
from ..history.kept_runs import KeptRun, keep
from ..history.panel import HistoryPanel
from ..html import FAILED, STOPPED, error_banner, finished_line, progress_line, status_line, stopped_line
from ..reception import Reception
from ..runs import RefusedError, SessionRun, TabRuns, Updates
from ..settings.classes import choices, to_labels, with_recent
from ..settings.counters import num_images_of, total_of
from ..settings.fill import values_from
from ..settings.panel import LARGEST_SEED, SettingsPanel, roll_seed
from ..settings.sampling import in_words, sampling_of
from .gallery import Shown, ShownImages
from .panel import Folder, ImagesPanel, picked_updates, replaced_updates, shown_updates

# On a phone Generate floats over all, and in the tab Edit the images lie below the painter.
# Gradio would show the new image at the place of the one that is looked at in large; a run is seen as a whole.
SHOW_IMAGES = """(...values) => {
  document.querySelector('#%simages .preview button[aria-label="Close"]')?.click();
  const images = document.getElementById("%simages");
  // What stays in sight does not scroll; below it come the images, or the wall that gives way to them.
  if (matchMedia("(max-width: 760px)").matches) (images.closest("#stage") ?? images).scrollIntoView();
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
OF_LINK = "from the link, "
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
    blocks: gr.Blocks,
    panel: ImagesPanel,
    view: CheckpointView,
    settings: SettingsPanel,
    history: HistoryPanel,
    reception: Reception,
    editing: Editing | None = None,
) -> gr.events.Dependency:
    """Connect Generate and Stop of a tab; returns the event of a run that is over.

    Args:
        blocks: the page.
        panel: the tab's.
        view: shows the checkpoint.
        settings: say what is made.
        history: takes what was made.
        reception: takes orders, and hands out what becomes of them.
        editing: where the tab's runs begin with an image: what its components say of it.
    """
    checkpoint = view.panel
    runs = Generation(panel, view, settings, history, reception, editing)

    asked = {checkpoint.choice, checkpoint.uploads, checkpoint.loading}
    asked |= {panel.shown, panel.made, panel.picked, panel.of_link}
    asked |= {settings.kept.kept, *settings.controls.values(), *(editing.components if editing else ())}
    outputs = [settings.controls["seed"], panel.generate, panel.stop, panel.status, panel.problem, panel.made]
    outputs += [panel.of_link, panel.gallery, panel.shown, panel.bundle, *panel.of_picked]
    hear_of([panel.generate.click])
    finished = panel.generate.click(runs.run, asked, outputs, js=SHOW_IMAGES % (panel.prefix, panel.prefix), **AGAIN)
    # By then the page may have another history, and another image may be looked at, than at the click.
    told = {panel.made, panel.shown, panel.picked, history.runs, settings.recent, *settings.controls.values()}
    told |= {checkpoint.choice, checkpoint.uploads}
    ended = [panel.generate, settings.controls["classes"], settings.recent, *history.outputs, *panel.of_picked]
    over = finished.then(runs.end, told, ended, **AT_ONCE | EACH)
    panel.stop.click(runs.stop, None, [panel.stop], **AT_ONCE)
    blocks.unload(runs.leave)
    return over


class Generation(TabRuns):
    """What the tab Images or Edit does for the runs of its visitors; arguments as of `wire_generation`."""

    def __init__(
        self,
        panel: ImagesPanel,
        view: CheckpointView,
        settings: SettingsPanel,
        history: HistoryPanel,
        reception: Reception,
        editing: Editing | None,
    ) -> None:
        super().__init__(view.engine, reception, panel.status, panel.problem, panel.generate, panel.stop)
        self._panel, self._view, self._settings = panel, view, settings
        self._history, self._editing = history, editing

    def begin(self, data: Updates) -> Updates:
        """Let nothing be done with the images before, which give way."""
        return {self._panel.of_link: False} | picked_updates(self._panel, None, None)

    async def make(self, data: Updates, run: SessionRun) -> AsyncIterator[Updates]:
        """Make the images and show them as they grow."""
        panel, controls, checkpoint = self._panel, self._settings.controls, self._view.panel
        name, uploads, loading = (data[part] for part in (checkpoint.choice, checkpoint.uploads, checkpoint.loading))
        choice = await look_into(self._view.catalog, self.engine, name, uploads, loading)
        rolls = data[controls["new_seed"]] or data[controls["seed"]] in (None, ANY_SEED)
        seed = {controls["seed"]: roll_seed()} if rolls else {}
        order = self._order_of(choice, data | seed)
        yield seed | {panel.status: gr.skip()}
        images = ShownImages(Folder(panel.gallery.GRADIO_CACHE))
        scale, ended = None, None
        async for event in self.follow(run, order):
            if not isinstance(event, Scale):
                if isinstance(event, dict):
                    yield event
                ended = event
                continue
            scale = event
            shown = await asyncio.to_thread(images.update, scale)
            if scale.last or run.is_stopped:
                continue
            updates: Updates = {panel.status: progress_of(scale)}
            if shown is not None:
                updates |= {panel.gallery: shown, **replaced_updates(panel)}
            yield updates
            await asyncio.sleep(LEAST_SECONDS)  # what comes meanwhile comes together
        problem = {}
        if isinstance(ended, Failed):
            if not images.finished:
                raise RefusedError(ended.sentence)
            problem = {panel.problem: error_banner(in_words(ended.sentence or FAILED))}
        if scale is None:
            yield {panel.status: status_line(STOPPED)}
        elif images.finished:
            kept = await asyncio.to_thread(images.kept_run, order)
            seconds = ended.seconds if isinstance(ended, Done) else None
            status = status_of(scale, seconds, data[panel.of_link])
            yield (
                {panel.status: status, panel.made: (kept, *data[panel.made][:1])} | shown_updates(panel, kept) | problem
            )
        else:
            yield {panel.status: status_of(scale, None)} | self._unfinished(images.previews(scale), data[panel.shown])

    def _order_of(self, choice: Choice, data: Updates) -> Order:
        """Return what the controls ask for; raises ValueError where something is missing or out of range."""
        if choice.problem is not None:
            raise ValueError(choice.problem)
        values = values_from(data, self._settings.controls)
        if isinstance(values["seed"], int | float) and values["seed"] > LARGEST_SEED:
            raise ValueError(f"The seed must be at most {LARGEST_SEED} here: browsers know no larger whole numbers.")
        edit, kept = None, data[self._settings.kept.kept]
        if self._editing is not None:
            edit, kept = self._editing.read(*(data[component] for component in self._editing.components)), None
        order = Order(
            choice.path,
            choice.name,
            to_labels(values["classes"]),
            num_images_of(values),
            values["seed"],
            sampling_of(values),
            choice.loading,
            edit,
            branch=kept and kept.branch,
            checkpoint_hash=kept.checkpoint_hash if kept else "",
        )
        order.check_for(len(choice.description.class_names), choice.description.patch_nums)
        return order

    def _unfinished(self, previews: Shown, before: KeptRun | None) -> Updates:
        """Leave what was seen last where nothing is finished: previews, else the images before."""
        if previews or before is None:
            return {self._panel.gallery: previews}
        return shown_updates(self._panel, before)

    def end(self, data: Updates) -> Updates:
        """Take a finished run into the history, and let something be done with the image that is looked at."""
        panel, history, settings, checkpoint = self._panel, self._history, self._settings, self._view.panel
        runs, recent = data[history.runs], data[settings.recent]
        updates: Updates = {}
        for made in reversed(data[panel.made]):
            if made not in runs:
                runs, recent = keep(runs, made), with_recent(recent, [recipe.class_label for recipe in made.recipes])
                updates |= {settings.recent: recent, **history.updates(runs)}
        description = self._view.describe(data[checkpoint.choice], data[checkpoint.uploads])
        updates[settings.controls["classes"]] = gr.update(choices=choices(description, recent))
        if total_of(values_from(data, settings.controls)) > MOST_IMAGES:  # chosen while it went on
            updates[panel.generate] = gr.update(interactive=False)
        if data[panel.picked] is None:
            return updates
        return updates | picked_updates(panel, data[panel.shown], data[panel.picked])


def progress_of(scale: Scale) -> str:
    """Return how far a run is."""
    first, total = scale.num_finished, len(scale.recipes)
    growing = (first + 1, min(first + scale.num_growing, total)) if scale.num_growing < total else None
    return progress_line(scale.patch_nums, scale.scale_index, growing, total, scale.remaining)


def status_of(scale: Scale, seconds: float | None, of_link: bool = False) -> str:
    """Return what came of a run.

    Args:
        scale: its last.
        seconds: that it took; None where it did not come to its end.
        of_link: whether nobody but the page's address asked for it.
    """
    if scale.last and seconds is not None:
        made_from = OF_LINK if of_link else ""
        return finished_line(scale.num_finished, made_from + seeds_of(scale), seconds)
    return stopped_line(scale.scale_index, len(scale.patch_nums), scale.num_finished, len(scale.recipes))


def seeds_of(scale: Scale) -> str:
    """Return the seeds of a run in words."""
    first, last = scale.recipes[0].seed, scale.recipes[-1].seed
    return f"seed {first}" if first == last else f"seeds {first} to {last}"
