"""Top left of the page: the checkpoint's weights as files to take along."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import gradio as gr

from ...checkpoints.export import Exported
from ...text import format_bytes
from ..unchecked import Radio
from .card import meter_html
from .panel import Follower

FORMATS = [("One safetensors file", "safetensors"), ("Official .pth files", "official")]
PRECISIONS = [("As it is", ""), ("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "float16")]


@dataclass(frozen=True)
class ExportPanel:
    """The panel's components.

    Args:
        allowed: whether visitors may export.
        folder: session state, where its last export lies.
        asked: session state, what was asked for at the click.
    """

    allowed: bool
    group: gr.Accordion
    format: gr.Radio
    precision: gr.Radio
    start: gr.Button
    progress: gr.HTML
    files: gr.File
    folder: gr.State
    asked: gr.State

    @property
    def follower(self) -> Follower:
        """There is something to export once there is a checkpoint."""
        return Follower([self.group], lambda choice, is_first: {self.group: gr.update(visible=self.allowed)})


def create_export_panel(allowed: bool, there: bool, remove: Callable[[str | None], None]) -> ExportPanel:
    """Lay out the panel.

    Args:
        allowed: whether visitors may export.
        there: whether there is something to export.
        remove: is given the folder of an export that nobody wants any more.
    """
    visible = allowed and there
    with gr.Accordion("Export", open=False, visible=visible, elem_id="export", elem_classes="fold") as group:
        format_ = Radio(
            FORMATS,
            value="safetensors",
            label="Format",
            info="Weights alone, VAR and VQVAE. The official files load in the reference implementation.",
            elem_id="export-format",
        )
        precision = Radio(PRECISIONS, value="", label="Precision of the files", elem_id="export-precision")
        start = gr.Button("Export", elem_id="export-start")
        progress = gr.HTML("", elem_id="export-progress")
        files = gr.File(
            label="Exported files",
            show_label=False,
            file_count="multiple",
            interactive=False,
            elem_id="export-files",
        )
    folder = gr.State(None, delete_callback=remove)
    return ExportPanel(allowed, group, format_, precision, start, progress, files, folder, gr.State(None))


def writing_html(done: int, total: int) -> str:
    """Return how far an export is, in bytes."""
    if total and done >= total:
        return meter_html("Computing the hashes …", 0, 0)
    return meter_html(f"{format_bytes(done)} of {format_bytes(total)} written", done, total)


def exported_html(exported: Exported) -> str:
    """Return the names, sizes and hashes of what was written."""
    rows = "".join(
        f"<dt>{escape(path.name)}</dt><dd>{format_bytes(size)}<code>SHA-256 {digest}</code></dd>"
        for path, size, digest in zip(exported.paths, exported.num_bytes, exported.sha256, strict=True)
    )
    return f'<div class="exported" role="status"><dl>{rows}</dl></div>'
