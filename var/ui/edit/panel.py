"""Right of the page, second tab: an image, the part of it to make anew, and what comes of it."""

from dataclasses import dataclass

import gradio as gr

from ...engine.description import Description
from ..checkpoint.panel import Choice, Follower
from ..html import hint_line
from ..images.panel import ImagesPanel, create_images_panel
from ..runs import Updates
from ..settings.sampling import scale_range
from ..unchecked import Slider
from .paint import create_painter

EXPLANATION = "What you paint is generated again, with the classes and settings on this page. The rest stays as it is."
NO_IMAGE = "Choose an image first"


@dataclass(frozen=True)
class EditPanel:
    """The panel's components.

    Args:
        upload: takes an image.
        painter: shows it, and takes the part to make anew.
        source: session state, the image itself: RGB, square; None where there is none.
        keep_scales: how many scales stay as they are.
        images: the runs.
    """

    upload: gr.File
    painter: gr.HTML
    source: gr.State
    keep_scales: gr.Slider
    images: ImagesPanel

    @property
    def follower(self) -> Follower:
        """Another checkpoint may have other scales; what went wrong with the one before is past."""

        def updates(choice: Choice, is_first: bool) -> Updates:
            scales = gr.update(value=0, **scale_range(choice.description))
            return {self.keep_scales: scales, self.images.problem: ""}

        return Follower([self.keep_scales, self.images.problem], updates)


def create_edit_panel(description: Description | None, num_images: int) -> EditPanel:
    """Lay out the panel for the checkpoint that the page opens with; `num_images` as of `create_images_panel`."""
    with gr.Column(elem_id="edit-source"):
        with gr.Row(elem_id="edit-head"):
            gr.HTML(hint_line(EXPLANATION), elem_id="edit-note")
            upload = gr.File(
                label="Upload an image to edit",
                show_label=False,
                file_types=["image"],
                elem_id="edit-upload",
                elem_classes="drop-line",
            )
        painter = create_painter()
        keep_scales = Slider(
            value=0,
            **scale_range(description),
            step=1,
            label="Kept scales",
            info="Keeps the first scales, and so the layout, everywhere. With nothing painted, all of it is varied.",
            elem_id="keep-scales",
            buttons=[],
        )
    images = create_images_panel(NO_IMAGE, num_images, "edit-")
    return EditPanel(upload, painter, gr.State(None), keep_scales, images)
