"""What happens in the tab Edit: an image comes, from a file or from one of the page, and a part of it is made anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image, ImageOps

from ...engine.runs import Edit
from ...errors import USER_ERRORS, error_text
from ...pictures.files import open_image
from ..checkpoint.view import CheckpointView
from ..events import AT_ONCE, EACH
from ..history.kept_runs import KeptRun
from ..html import error_banner, status_line
from ..images.generate import Editing
from ..images.panel import ImagesPanel, replaced_updates
from ..runs import Updates
from ..settings.fill import Fill
from ..settings.restore import from_recipe, varied
from .paint import kept_part, painter_value
from .panel import EditPanel

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
    panel: EditPanel, sources: Sequence[ImagesPanel], view: CheckpointView, fill: Fill, tabs: gr.Tabs
) -> None:
    """Connect what brings an image to the tab: an upload, and the button Edit of an image that was made.

    Args:
        panel: of the tab.
        sources: the panels that have such a button.
        view: shows the checkpoint.
        fill: fills the controls.
        tabs: of the right side.
    """
    outputs = [panel.painter, panel.source, panel.images.status, panel.images.problem, *panel.images.of_picked]
    outputs += [panel.images.gallery, panel.images.shown, panel.images.bundle]

    def show(image: Image.Image) -> Updates:
        """Show an image to edit, without what was made of the one before."""
        updates = {
            panel.painter: painter_value(image),
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
            view.catalog.uploads.remove(path)

    def sent(run: KeptRun, index: int, name: str | None, uploads: dict[str, str]) -> Updates:
        """Show an image of a run; its settings come along, but for the seed, which would draw the same once more."""
        try:
            updates = show(open_image(run.files[index]))
        except OSError as error:
            raise gr.Error(GONE) from error
        wanted = varied(from_recipe(run.recipes[index], view.catalog, uploads, name))
        return updates | {tabs: gr.Tabs(selected=EDIT_TAB), fill.wanted: wanted}

    panel.upload.upload(uploaded, [panel.upload], [*outputs, panel.upload], **AT_ONCE | EACH)
    for images in sources:
        where = [images.shown, images.picked, view.panel.choice, view.panel.uploads]
        arrived = images.edit.click(sent, where, [*outputs, tabs, fill.wanted], **AT_ONCE)
        arrived.success(None, None, None, js=SHOW_PAINTER, **AT_ONCE)
        fill.after(arrived)


def editing_of(panel: EditPanel) -> Editing:
    """Return where the runs of the tab begin."""
    return Editing((panel.source, panel.painter, panel.keep_scales), read_edit)


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
