"""Right of the page, second tab: an image, the part of it to make anew, and what comes of it."""

from dataclasses import dataclass

import gradio as gr

from .images_panel import ImagesPanel, create_images_panel
from .messages import hint_line
from .painter import create_painter

EXPLANATION = (
    "What you paint is made anew, by the classes and settings at the side. The rest stays, as the VQVAE sees it."
)
NO_IMAGE = "Choose an image first"


@dataclass(frozen=True)
class EditPanel:
    """The panel's components.

    Args:
        upload: takes an image.
        painter: shows it, and takes the part to make anew.
        source: session state, the image itself: RGB, square; None where there is none.
        images: the runs.
    """

    upload: gr.File
    painter: gr.HTML
    source: gr.State
    images: ImagesPanel


def create_edit_panel() -> EditPanel:
    """Lay out the panel."""
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
    images = create_images_panel(NO_IMAGE, "edit-")
    return EditPanel(upload, painter, gr.State(None), images)
