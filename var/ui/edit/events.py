"""What happens in the tab Edit: an image comes, from a file or from one of the page, and a part of it is made anew."""

from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image, ImageOps

from ...engine.runs import Edit
from ...errors import USER_ERRORS, error_text
from ...pictures.files import open_image
from ..checkpoint.view import CheckpointView
from ..events import AT_ONCE
from ..history.kept_runs import KeptRun
from ..html import error_banner, status_line
from ..images.generate import Editing, wire_generation
from ..images.panel import replaced_updates
from ..parts import Parts
from ..runs import Updates
from ..settings.fill import fill_from
from ..settings.restore import from_recipe, varied
from .paint import kept_part, value_of

EDIT_TAB = "edit-tab"
MOST_SIDE = 1024  # of an image that is kept for a session; models make 64 to 512 pixels a side
READY = "Paint the part to generate again"
NOTHING_PAINTED = (
    "Nothing is painted. Paint over the part to generate again, or press Left, Right, …; "
    "with some scales kept, the whole image is varied."
)
GONE = "This image is no longer on the server. Generate it again."
SHOW_PAINTER = (
    """() => { setTimeout(() => document.getElementById("edit-source")?.scrollIntoView({block: "nearest"}), 100); }"""
)


def wire_edit(
    blocks: gr.Blocks, parts: Parts, view: CheckpointView, wanted_state: gr.State, tabs: gr.Tabs
) -> gr.events.Dependency:
    """Connect the tab, and the buttons elsewhere that bring an image here; returns the event of a run that is over.

    Args:
        blocks: the page.
        parts: of the page.
        view: shows another checkpoint.
        wanted_state: takes settings for the controls.
        tabs: of the right side.
    """
    panel = parts.edit
    outputs = [panel.painter, panel.source, panel.images.status, panel.images.problem, *panel.images.of_picked]
    outputs += [panel.images.gallery, panel.images.shown, panel.images.bundle]

    def show(image: Image.Image) -> Updates:
        """Show an image to edit, without what was made of the one before."""
        updates = {
            panel.painter: value_of(image),
            panel.source: image,
            panel.images.status: status_line(READY),
            panel.images.problem: "",
        }
        return updates | replaced_updates(panel.images) | {panel.images.picked: None, panel.images.gallery: None}

    def uploaded(path: str) -> Updates:
        try:
            return show(middle_square(open_image(path))) | {panel.upload: None}
        except USER_ERRORS as error:
            return {
                panel.images.problem: error_banner(error_text(error, Path(path), Path(path).name)),
                panel.upload: None,
            }
        finally:
            parts.catalog.uploads.remove(path)

    def sent(run: KeptRun, index: int, name: str | None, uploads: dict[str, str]) -> Updates:
        """Show an image of a run; its settings come along, but for the seed, which would draw the same once more."""
        try:
            updates = show(open_image(run.files[index]))
        except OSError as error:
            raise gr.Error(GONE) from error
        wanted = varied(from_recipe(run.recipes[index], parts.catalog, uploads, name))
        return updates | {tabs: gr.Tabs(selected=EDIT_TAB), wanted_state: wanted}

    panel.upload.upload(uploaded, [panel.upload], [*outputs, panel.upload], **AT_ONCE)
    for images in (parts.images, panel.images):
        where = [images.shown, images.picked, parts.checkpoint.choice, parts.checkpoint.uploads]
        arrived = images.edit.click(sent, where, [*outputs, tabs, wanted_state], **AT_ONCE)
        arrived.success(None, None, None, js=SHOW_PAINTER, **AT_ONCE)
        fill_from(arrived, parts, view, wanted_state)
    editing = Editing((panel.source, panel.painter, panel.keep_scales), read_edit)
    return wire_generation(blocks, parts, panel.images, editing)


def read_edit(image: Image.Image | None, painted: Any, keep_scales: int) -> Edit:
    """Return what is to be made of an image; raises ValueError where there is none, or nothing to be made anew.

    Nothing painted is the whole image where some scales are kept.
    """
    if image is None:
        raise ValueError("There is no image to edit. Upload one, or press Edit below one that was made here.")
    keep = kept_part(painted)
    if keep is None and not keep_scales:
        raise ValueError(NOTHING_PAINTED)
    return Edit(image, keep or Image.new("L", (1, 1)), int(keep_scales))


def middle_square(image: Image.Image) -> Image.Image:
    """Return the middle square of an image, no larger than it is kept."""
    side = min(*image.size, MOST_SIDE)
    return ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
