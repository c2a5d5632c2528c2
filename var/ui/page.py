"""The page: the panels put together, and what happens when something is clicked."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from .api import add_endpoints
from .catalog import Catalog
from .checkpoint_panel import (
    CheckpointPanel,
    Choice,
    add_upload,
    choose,
    create_checkpoint_panel,
    dropdown_update,
    first_choice,
    found_html,
)
from .images_panel import ImagesPanel, caption, create_images_panel, write_pngs
from .messages import (
    USER_ERRORS,
    error_banner,
    error_text,
    finished_line,
    hint_line,
    progress_line,
    status_line,
    stopped_line,
)
from .models import ModelHolder
from .runs import Frame, Order, StopSignals, carry_out
from .settings_panel import SettingsPanel, create_settings_panel, roll_seed, settings_updates
from .theme import STYLE_SHEET, create_theme

TITLE = "VAR · images, scale by scale"
MODEL_QUEUE = "model"
# Enough for a trainer's file of depth 24, optimizer included; larger ones are put into the checkpoints folder.
LARGEST_UPLOAD = "16gb"
HEADER = """
<header id="masthead">
  <span class="mark" aria-hidden="true"><i></i><i></i><i></i><i></i></span>
  <div><h1>VAR</h1><p>Images that grow scale by scale, from coarse to fine.</p></div>
</header>
"""
# There the images lie below the settings, and Generate floats over both.
SHOW_IMAGES_ON_A_PHONE = """() => {
  if (matchMedia("(max-width: 760px)").matches) document.getElementById("status").scrollIntoView();
}"""
Updates = dict[gr.blocks.Block, Any]


@dataclass(frozen=True)
class Page:
    """What the handlers need: the server's parts, and the panels."""

    catalog: Catalog
    holder: ModelHolder
    signals: StopSignals
    checkpoint: CheckpointPanel
    settings: SettingsPanel
    images: ImagesPanel
    first: Choice


def create_page(checkpoints: Path, device: str | None = None) -> gr.Blocks:
    """Lay out the page and load the model it opens with.

    Args:
        checkpoints: folder of checkpoints; may be empty or missing, the page says what to do then.
        device: "cpu", "cuda", "cuda:1", "mps"; None: the best that the machine has.

    Returns:
        The page, to be launched with `launch_options()`.
    """
    catalog = Catalog(checkpoints)
    holder = ModelHolder(checkpoints, device)
    first = first_choice(catalog, holder)
    day = 24 * 60 * 60
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(day, day)) as blocks:
        gr.HTML(HEADER)
        with gr.Row(elem_id="columns", equal_height=False):
            with gr.Column(elem_id="left", min_width=300):
                with gr.Group(elem_classes="card"):
                    checkpoint_panel = create_checkpoint_panel(catalog, first)
                with gr.Group(elem_classes="card"):
                    settings_panel = create_settings_panel(first.description)
            with gr.Column(elem_id="right", min_width=300):
                images_panel = create_images_panel(ready=first.description is not None)
        page = Page(catalog, holder, StopSignals(), checkpoint_panel, settings_panel, images_panel, first)
        # First, for a private handler's name would be taken from an endpoint that comes after it.
        add_endpoints(catalog, holder, MODEL_QUEUE)
        wire_checkpoint(blocks, page)
        wire_generation(blocks, page)
    return blocks


def launch_options() -> dict[str, Any]:
    """Return how the page is launched, apart from host and port."""
    return {
        "theme": create_theme(),
        "css_paths": [STYLE_SHEET],
        "footer_links": ["api", "settings"],
        "run_history": False,
        "max_file_size": LARGEST_UPLOAD,
    }


def wire_checkpoint(blocks: gr.Blocks, page: Page) -> None:
    """Connect what happens on opening the page, on choosing and on uploading a checkpoint."""
    panel, settings = page.checkpoint, page.settings
    shown = [panel.choice, panel.upload, panel.found, panel.problem, panel.uploads, panel.loaded]
    shown += [settings.classes, settings.top_k, page.images.status]
    session = [panel.uploads, panel.loaded]
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    # Not in the queue of the model: a checkpoint that is known is shown at once, even while images are being made.
    at_once = {"concurrency_limit": None}

    def show(choice: Choice, uploads: dict[str, str]) -> Updates:
        classes, top_k = settings_updates(choice.description)
        return {
            panel.choice: dropdown_update(page.catalog, uploads, choice.name),
            panel.found: found_html(choice, page.catalog),
            panel.problem: "",
            panel.loaded: choice.name,
            settings.classes: classes,
            settings.top_k: top_k,
            page.images.status: status_line("Ready"),
        }

    def refuse(problem: str, uploads: dict[str, str], loaded: str | None) -> Updates:
        """Say what is wrong, and leave the checkpoint that was there before in place."""
        before = choose(page.catalog, page.holder, loaded, uploads) if loaded else page.first
        return {
            panel.choice: dropdown_update(page.catalog, uploads, before.name),
            panel.found: found_html(before, page.catalog),
            panel.problem: error_banner(problem),
        }

    def opened() -> Updates:
        """Bring a page up to date that was laid out when the server started."""
        choice = first_choice(page.catalog, page.holder)
        if choice.description is not None and choice != page.first:
            return show(choice, {})
        return {panel.choice: gr.update(choices=page.catalog.names())}

    def chosen(name: str, uploads: dict[str, str], loaded: str | None) -> Iterator[Updates]:
        """Look into the checkpoint that was chosen."""
        yield {panel.found: hint_line(f"Reading {name} …")}
        choice = choose(page.catalog, page.holder, name, uploads)
        yield refuse(choice.problem, uploads, loaded) if choice.problem else show(choice, uploads)

    def uploaded(path: str, uploads: dict[str, str], loaded: str | None) -> Iterator[Updates]:
        """Add an uploaded file to the session's list and choose it, if it is a checkpoint."""
        name, with_upload = add_upload(uploads, path)
        yield {panel.found: hint_line(f"Reading {name} …"), panel.upload: None}
        choice = choose(page.catalog, page.holder, name, with_upload)
        if choice.problem:
            Path(path).unlink(missing_ok=True)
            yield refuse(choice.problem, uploads, loaded)
        else:
            yield show(choice, with_upload) | {panel.uploads: with_upload}

    def listed(uploads: dict[str, str]) -> dict[str, Any]:
        """Read the folder again."""
        return gr.update(choices=page.catalog.names(uploads))

    blocks.load(opened, None, shown, **quiet, **at_once)
    panel.choice.focus(listed, [panel.uploads], [panel.choice], queue=False, **quiet)
    panel.choice.input(chosen, [panel.choice, *session], shown, **quiet, **at_once)
    panel.upload.upload(uploaded, [panel.upload, *session], shown, **quiet, **at_once)
    settings.dice.click(roll_seed, None, [settings.seed], queue=False, **quiet)


def wire_generation(blocks: gr.Blocks, page: Page) -> None:
    """Connect Generate and Stop."""
    panel, settings = page.images, page.settings
    quiet = {"show_progress": "hidden", "api_visibility": "private"}

    def begin(request: gr.Request) -> Updates:
        page.signals.renew(request.session_hash)
        return {
            panel.generate: gr.update(interactive=False),
            panel.stop: gr.update(interactive=True),
            panel.status: status_line("Waiting for the model …"),
            panel.problem: "",
        }

    def run(
        name: str | None,
        uploads: dict[str, str],
        class_labels: list[int],
        num_images: int,
        seed: int,
        cfg_scale: float,
        top_k: int,
        top_p: float,
        more_smooth: bool,
        request: gr.Request,
    ) -> Iterator[Updates]:
        stop = page.signals.of(request.session_hash)
        path, frame = None, None
        try:
            path = page.catalog.resolve(name, uploads)
            order = Order(path, class_labels, num_images, seed, cfg_scale, top_k, top_p, more_smooth)
            with closing(carry_out(page.holder, order, stop)) as frames:
                for frame in frames:
                    if not frame.last:
                        yield show_preview(frame, order)
        except USER_ERRORS as error:
            yield {
                panel.status: status_line("Nothing made"),
                panel.problem: error_banner(error_text(error, path, name)),
            }
            return
        if frame is None:
            yield {panel.status: status_line("Stopped")}
            return
        if not frame.last:
            yield {panel.status: stopped_line(frame.scale_index, len(frame.patch_nums))}
            return
        with TemporaryDirectory() as folder:
            files = write_pngs(
                Path(folder), frame.images, frame.class_names, order.image_seeds, order.settings_text(path.name)
            )
            yield {panel.gallery: files, panel.status: finished_line(len(frame.images), order.seed, frame.seconds)}

    def show_preview(frame: Frame, order: Order) -> Updates:
        captions = map(caption, frame.class_names, order.image_seeds)
        return {
            # The first images may come before the others, where memory is too small for all at once.
            panel.gallery: list(zip(frame.images, captions, strict=False)),
            panel.status: progress_line(frame.patch_nums, frame.scale_index),
        }

    def end() -> Updates:
        return {panel.generate: gr.update(interactive=True), panel.stop: gr.update(interactive=False)}

    def stop(request: gr.Request) -> Updates:
        page.signals.stop(request.session_hash)
        return {panel.stop: gr.update(interactive=False)}

    def leave(request: gr.Request) -> None:
        page.signals.leave(request.session_hash)

    asked = [page.checkpoint.choice, page.checkpoint.uploads, settings.classes, settings.num_images, settings.seed]
    asked += [settings.cfg_scale, settings.top_k, settings.top_p, settings.more_smooth]
    started = panel.generate.click(
        begin,
        None,
        [panel.generate, panel.stop, panel.status, panel.problem],
        queue=False,
        js=SHOW_IMAGES_ON_A_PHONE,
        **quiet,
    )
    finished = started.then(
        run,
        asked,
        [panel.gallery, panel.status, panel.problem],
        concurrency_id=MODEL_QUEUE,
        concurrency_limit=1,
        **quiet,
    )
    finished.then(end, None, [panel.generate, panel.stop], queue=False, **quiet)
    panel.stop.click(stop, None, [panel.stop], queue=False, **quiet)
    blocks.unload(leave)
