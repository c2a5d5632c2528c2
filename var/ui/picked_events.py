"""What can be done with an image that is made: its settings, its scales, files; and with a run of the history."""

from pathlib import Path

import gradio as gr
import torch
from PIL import Image

from ..bundle import write_bundle
from ..pictures.animation import save_animation
from ..pictures.sheets import DARK, LIGHT, film_strip
from ..pipeline import Result
from .checkpoint_events import CheckpointView
from .history import KeptRun
from .images_panel import Folder, ImagesPanel, caption, file_stem, picked_updates
from .messages import USER_ERRORS, error_banner, error_text, status_line
from .models import ModelHolder
from .parts import MODEL_QUEUE, Parts, Updates
from .restore import Wanted, from_recipe, varied
from .settings_events import fill_from

SAVE_FILE = """(file) => {
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""
IS_DARK = """(run, index) => [run, index, document.body.classList.contains("dark")]"""
SHOW_FILM = (
    """() => { setTimeout(() => document.getElementById("%sfilm")?.scrollIntoView({block: "nearest"}), 100); }"""
)
IMAGES_TAB, HISTORY_TAB = "images-tab", "history-tab"


def wire_picked(parts: Parts, view: CheckpointView, wanted_state: gr.State, panel: ImagesPanel) -> None:
    """Connect a tab's buttons for one image, and the zip of all.

    Args:
        parts: of the page.
        view: shows another checkpoint.
        wanted_state: takes settings for the controls.
        panel: the tab's.
    """
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    at_once = quiet | {"queue": False}

    def picked(run: KeptRun | None, event: gr.SelectData) -> Updates:
        return picked_updates(panel, run, event.index)

    def closed() -> Updates:
        return picked_updates(panel, None, None)

    def reuse(run: KeptRun, index: int, name: str | None, uploads: dict[str, str]) -> Wanted:
        return from_recipe(run.recipes[index], parts.catalog, uploads, name)

    def vary(run: KeptRun, index: int, name: str | None, uploads: dict[str, str]) -> Wanted:
        return varied(reuse(run, index, name, uploads))

    def show_scales(run: KeptRun | None, index: int, is_dark: bool) -> Updates:
        if run is None:  # it gave way to another one while this waited for the model
            return {panel.problem: gr.skip()}
        try:
            scales, patch_nums = film_of(parts.holder, run, index)
        except USER_ERRORS as error:
            return {panel.problem: error_banner(error_text(error, run.path, run.checkpoint))}
        stem, folder = file_stem(run.recipes[index]), Folder(panel.gallery.GRADIO_CACHE)
        strip, animation = folder.path(f"{stem}-scales.png"), folder.path(f"{stem}-scales.webp")
        film_strip(scales, patch_nums, palette=DARK if is_dark else LIGHT).save(strip)
        save_animation(animation, scales)
        return {
            panel.film: gr.update(visible=True),
            panel.strip: strip,
            panel.animation: animation,
            panel.problem: "",
        }

    def make_bundle(run: KeptRun) -> str | None:
        path = Folder(panel.gallery.GRADIO_CACHE).path(f"{file_stem(run.recipes[0])}-and-more.zip")
        images = ((Image.open(image), recipe) for image, recipe in zip(run.files, run.recipes, strict=True))
        try:
            with open(path, "wb") as file:
                write_bundle(file, images)
        except OSError as error:
            raise gr.Error("The images are no longer on the server. Generate them again.") from error
        return path

    panel.gallery.select(picked, [panel.shown], panel.of_picked, **at_once)
    panel.gallery.preview_close(closed, None, panel.of_picked, **at_once)
    where = [panel.shown, panel.picked, parts.checkpoint.choice, parts.checkpoint.uploads]
    fill_from(panel.reuse.click(reuse, where, [wanted_state], **at_once), parts, view, wanted_state)
    fill_from(panel.vary.click(vary, where, [wanted_state], **at_once), parts, view, wanted_state)
    panel.scales.click(
        show_scales,
        [panel.shown, panel.picked, panel.is_dark],
        [panel.film, panel.strip, panel.animation, panel.problem],
        js=IS_DARK,
        concurrency_id=MODEL_QUEUE,
        concurrency_limit=1,
        show_progress="minimal",
        show_progress_on=[panel.picked_text],
        api_visibility="private",
    ).then(None, None, None, js=SHOW_FILM % panel.prefix, **at_once)
    panel.bundle.click(make_bundle, [panel.shown], [panel.bundle_file], concurrency_limit=2, **quiet).success(
        None, [panel.bundle_file], None, js=SAVE_FILE, **at_once
    )


def wire_history(parts: Parts, tabs: gr.Tabs) -> None:
    """Let a click on a run of the history show it again, in the tab Images; `tabs` are those of the right side."""
    panel, history = parts.images, parts.history

    def shown_again(runs: list[KeptRun], picked: int | None, event: gr.SelectData) -> Updates:
        run = runs[event.index]
        if not all(Path(file).exists() for file in run.files):
            return {
                panel.status: status_line("These images are no longer on the server."),
                tabs: gr.Tabs(selected=IMAGES_TAB),
            }
        return shown_run(panel, run, "Shown again", picked) | {tabs: gr.Tabs(selected=IMAGES_TAB)}

    history.gallery.select(
        shown_again,
        [history.runs, panel.picked],
        [panel.gallery, panel.shown, panel.bundle, panel.status, tabs, *panel.of_picked],
        show_progress="hidden",
        api_visibility="private",
        queue=False,
    )


def shown_run(panel: ImagesPanel, run: KeptRun, words: str, picked: int | None = None) -> Updates:
    """Return the updates that show a run of the history.

    Args:
        panel: the tab's.
        run: of the history.
        words: why it is shown.
        picked: the image that is looked at; Gradio goes on with its place.
    """
    images = list(zip(run.files, map(caption, run.recipes), strict=True))
    return {
        panel.gallery: images,
        panel.shown: run,
        panel.bundle: gr.update(interactive=True),
        panel.status: status_line(words, run.seeds),
    } | picked_updates(panel, run, picked)


def film_of(holder: ModelHolder, run: KeptRun, index: int) -> tuple[list[Image.Image], tuple[int, ...]]:
    """Return an image after each of its scales, and the sides of the token maps.

    Args:
        holder: the server's model.
        run: what the image is of.
        index: which of its images.

    Raises:
        ValueError: the checkpoint is another one by now; or as `ModelHolder.use` does.
    """
    recipe, latents = run.recipes[index], run.latents[index]
    if run.path is None:
        raise ValueError(f"{run.checkpoint} is no longer in the list, so the scales cannot be made again.")
    with holder.use(run.path, run.loading) as pipeline:
        if pipeline.checkpoint_hash != recipe.checkpoint_hash:
            raise ValueError(f"{run.checkpoint} changed since the image was made, so its scales cannot be made again.")
        if latents is None and recipe.edited:
            raise ValueError(
                "The scales of this image are no longer kept, and it cannot be made again: "
                "it was made from another image. Edit that one again."
            )
        if latents is None:
            result = holder.compute(lambda: pipeline(**recipe.arguments))
        else:
            image = Image.open(run.files[index]).convert("RGB")
            tokens = torch.zeros(1, pipeline.var.config.num_tokens, dtype=torch.int64)
            result = Result([image], tokens, latents.to(pipeline.device))
        scales = holder.compute(pipeline.film, result)
        return [images[0] for images in scales], pipeline.var.config.patch_nums
