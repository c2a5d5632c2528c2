"""What can be done with an image that is made: its settings, its scales, files; and with a run of the history."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import gradio as gr
from PIL import Image

from ...engine.events import Failed, FilmFrame, Waiting
from ...engine.films import FilmOrder
from ...errors import USER_ERRORS, error_text
from ...outputs.enlarged import save_enlarged
from ...outputs.zip import write_bundle
from ...pictures.animation import save_animation
from ...pictures.sheets import DARK, LIGHT, film_strip
from ..checkpoint.view import CheckpointView
from ..events import AT_ONCE, BESIDE, EACH, hear_of
from ..history.kept_runs import KeptRun
from ..history.panel import HistoryPanel
from ..html import FAILED, error_banner, runs_before, status_line
from ..reception import Reception
from ..runs import Updates
from ..settings.fill import Fill
from ..settings.restore import Wanted, branched, from_recipe, varied
from .panel import Folder, ImagesPanel, file_stem, film_updates, picked_html, picked_updates, shown_updates
from .scrubber import Film

CLOSE_LARGE = """(...values) => {
  document.querySelector('#images .preview button[aria-label="Close"]')?.click();
  return values;
}"""
SAVE_FILE = """(file) => {
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""
HOW_IT_LOOKS = """(run, index, filmed) => [
  run, index, filmed, document.body.classList.contains("dark"), matchMedia("(max-width: 1100px)").matches
]"""
GONE = "The images are no longer on the server. Generate them again."
COLUMNS_ON_A_PHONE = 3  # of the film strip, so that its labels can be read
SHOW_FILM = (
    """() => { setTimeout(() => document.getElementById("%sscrubber")?.scrollIntoView({block: "nearest"}), 100); }"""
)
PRESS_GENERATE = """() => document.getElementById("%sgenerate").click()"""
IMAGES_TAB, HISTORY_TAB = "images-tab", "history-tab"


def wire_picked(panel: ImagesPanel, view: CheckpointView, fill: Fill, reception: Reception, tabs: gr.Tabs) -> None:
    """Connect a tab's buttons for one image, and the zip of all.

    Args:
        panel: the tab's.
        view: shows the checkpoint.
        fill: fills the controls.
        reception: takes the orders of films.
        tabs: of the right side.
    """

    def picked(run: KeptRun | None, event: gr.SelectData) -> Updates:
        return picked_updates(panel, run, event.index)

    def closed() -> Updates:
        return picked_updates(panel, None, None)

    def reuse(run: KeptRun, index: int, name: str | None, uploads: dict[str, str]) -> Wanted:
        return from_recipe(run.recipes[index], view.catalog, uploads, name)

    def vary(run: KeptRun, index: int, name: str | None, uploads: dict[str, str]) -> Wanted:
        return varied(reuse(run, index, name, uploads))

    def branch(
        run: KeptRun, index: int, film: Film, name: str | None, uploads: dict[str, str], event: gr.EventData
    ) -> Updates:
        """Set the page to new images that keep the scales up to the one that is looked at."""
        wanted = branched(reuse(run, index, name, uploads), film.kept(event.scale))
        return {fill.wanted: wanted, tabs: gr.Tabs(selected=IMAGES_TAB)}

    panel.gallery.select(picked, [panel.shown], panel.of_picked, **AT_ONCE | EACH)
    panel.gallery.preview_close(closed, None, panel.of_picked, **AT_ONCE | EACH)
    where = [panel.shown, panel.picked, view.panel.choice, view.panel.uploads]
    fill.after(panel.reuse.click(reuse, where, [fill.wanted], **AT_ONCE))
    varied_settings = fill.after(panel.vary.click(vary, where, [fill.wanted], **AT_ONCE))
    varied_settings.then(None, None, None, js=PRESS_GENERATE % panel.prefix, **AT_ONCE)
    of_film = [panel.shown, panel.picked, panel.filmed, *where[2:]]
    branching = fill.after(panel.scrubber.click(branch, of_film, [fill.wanted, tabs], **AT_ONCE))
    branching.then(None, None, None, js=PRESS_GENERATE % "", **AT_ONCE)
    wire_film(panel, reception)
    wire_files(panel)


def wire_film(panel: ImagesPanel, reception: Reception) -> None:
    """Connect the button that shows an image after each of its scales; arguments as of `wire_picked`."""

    async def show_scales(
        run: KeptRun | None,
        index: int | None,
        filmed: Film | None,
        is_dark: bool,
        is_narrow: bool,
        request: gr.Request,
    ) -> AsyncIterator[Updates]:
        """Show the scales of the image, or hide them where they are shown."""
        if run is None or index is None or is_of(filmed, run, index):
            yield film_updates(panel, None)
            return
        scales: list[Image.Image] = []
        try:
            job = reception.submit(await asyncio.to_thread(film_order, run, index), request)
        except USER_ERRORS as error:
            yield {panel.problem: error_banner(error_text(error))}
            return
        try:
            async for event in reception.events(job, request.session_hash):
                if isinstance(event, Waiting) and event.before:
                    text = f"Scales wait: {runs_before(event.before, event.seconds)}"
                    yield {panel.picked_text: picked_html(text)}
                elif isinstance(event, FilmFrame):
                    scales.append(event.image)
                    text = f"Decoding scale {len(scales)} of {len(event.patch_nums)} …"
                    yield {panel.picked_text: picked_html(text)}
                    patch_nums, tokens = event.patch_nums, event.tokens
        finally:
            reception.engine.stop(job)
        if isinstance(event, Failed):
            yield {panel.problem: error_banner(event.sentence or FAILED)}
            return
        stem, folder = file_stem(run.recipes[index]), Folder(panel.gallery.GRADIO_CACHE)
        strip, animation = folder.path(f"{stem}-scales.png"), folder.path(f"{stem}-scales.webp")
        columns = COLUMNS_ON_A_PHONE if is_narrow else None
        frames = [folder.path(f"{stem}-scale-{number}.png") for number in range(1, len(scales))] + [run.files[index]]

        def write() -> None:
            for image, frame in zip(scales[:-1], frames, strict=False):
                image.save(frame)
            film_strip(scales, patch_nums, columns, DARK if is_dark else LIGHT).save(strip)
            save_animation(animation, scales)

        await asyncio.to_thread(write)
        film = Film(run.files[index], run.recipes[index], frames, patch_nums, tokens)
        yield film_updates(panel, film, strip, animation) | {panel.problem: ""}

    def show_film_of_picked(run: KeptRun | None, index: int | None, filmed: Film | None) -> Updates:
        """Name the image that is looked at; a film of another one, which was looked at before, is not shown."""
        text: Updates = {panel.picked_text: picked_updates(panel, run, index)[panel.picked_text]}
        if run is not None and index is not None and is_of(filmed, run, index):
            return text
        return text | film_updates(panel, None)

    hear_of([panel.scales.click])
    panel.scales.click(
        show_scales,
        [panel.shown, panel.picked, panel.filmed, panel.is_dark, panel.is_narrow],
        [*panel.of_film, panel.problem, panel.picked_text],
        js=HOW_IT_LOOKS,
        **BESIDE,
    ).then(
        show_film_of_picked,
        [panel.shown, panel.picked, panel.filmed],
        [*panel.of_film, panel.picked_text],
        **AT_ONCE,
    ).then(None, None, None, js=SHOW_FILM % panel.prefix, **AT_ONCE)


def wire_files(panel: ImagesPanel) -> None:
    """Connect the buttons that save an image enlarged, and all as a zip; `panel` as of `wire_picked`."""

    def enlarge(run: KeptRun, index: int, event: gr.EventData) -> str:
        """Write the image enlarged."""
        recipe, factor = run.recipes[index], event.factor
        path = Folder(panel.gallery.GRADIO_CACHE).path(f"{file_stem(recipe)}-x{factor}.png")
        try:
            with Image.open(run.files[index]) as image:
                save_enlarged(path, image.convert("RGB"), recipe, factor)
        except OSError as error:
            raise gr.Error(GONE) from error
        return path

    def make_bundle(run: KeptRun) -> str | None:
        path = Folder(panel.gallery.GRADIO_CACHE).path(f"{file_stem(run.recipes[0])}-and-more.zip")
        images = ((Image.open(image), recipe) for image, recipe in zip(run.files, run.recipes, strict=True))
        try:
            with open(path, "wb") as file:
                write_bundle(file, images, run.labels)
        except OSError as error:
            raise gr.Error(GONE) from error
        return path

    enlarged = panel.larger.click(enlarge, [panel.shown, panel.picked], [panel.saved], **AT_ONCE)
    enlarged.success(None, [panel.saved], None, js=SAVE_FILE, **AT_ONCE)
    bundled = panel.bundle.click(make_bundle, [panel.shown], [panel.saved], **AT_ONCE)
    bundled.success(None, [panel.saved], None, js=SAVE_FILE, **AT_ONCE)


def wire_history(history: HistoryPanel, panel: ImagesPanel, tabs: gr.Tabs) -> None:
    """Show a run of the history again that is clicked, or an image of its tree, in the tab Images.

    Args:
        history: the panel.
        panel: of the tab Images.
        tabs: of the right side.
    """

    def shown_again(runs: list[KeptRun], event: gr.SelectData) -> Updates:
        return show(runs[event.index])

    def shown_large(runs: list[KeptRun], event: gr.EventData) -> Updates:
        return show(runs[event.run], event.image)

    def show(run: KeptRun, index: int | None = None) -> Updates:
        """Show a run, or one of its images in large."""
        if not all(Path(file).exists() for file in run.files):
            return {
                panel.status: status_line("These images are no longer on the server."),
                tabs: gr.Tabs(selected=IMAGES_TAB),
            }
        updates = shown_run(panel, run, "Shown again") | {tabs: gr.Tabs(selected=IMAGES_TAB)}
        if index is not None:
            updates |= picked_updates(panel, run, index) | {panel.gallery: gr.Gallery(run.shown, selected_index=index)}
        return updates

    outputs = [panel.gallery, panel.shown, panel.bundle, panel.status, tabs, *panel.of_picked]
    history.gallery.select(shown_again, [history.runs], outputs, js=CLOSE_LARGE, **AT_ONCE | EACH)
    history.tree.click(shown_large, [history.runs], outputs, js=CLOSE_LARGE, **AT_ONCE | EACH)


def shown_run(panel: ImagesPanel, run: KeptRun, words: str) -> Updates:
    """Return the updates that show a run of the history, all of its images.

    Args:
        panel: the tab's.
        run: of the history.
        words: why it is shown.
    """
    updates = shown_updates(panel, run) | {panel.status: status_line(words, run.seeds)}
    return updates | picked_updates(panel, run, None)


def film_order(run: KeptRun, index: int) -> FilmOrder:
    """Return the order for an image after each of its scales.

    Args:
        run: what the image is of.
        index: which of its images.

    Raises:
        ValueError: its checkpoint is no longer in the list.
        OSError: the image is no longer on the server.
    """
    recipe, tokens, source = run.recipes[index], run.tokens[index], run.sources[index]
    if source.path is None:
        raise ValueError(f"{source.checkpoint} is no longer in the list, so the scales cannot be made again.")
    with Image.open(run.files[index]) as image:
        return FilmOrder(source.path, source.checkpoint, image.convert("RGB"), recipe, tokens, source.loading)


def is_of(film: Film | None, run: KeptRun, index: int) -> bool:
    """Whether a film is that of an image of a run."""
    return film is not None and film.file == run.files[index]
