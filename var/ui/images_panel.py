"""Right of the page: Generate and Stop, what is going on, and the images."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL.Image import Image
from PIL.PngImagePlugin import PngInfo

from .messages import status_line


@dataclass(frozen=True)
class ImagesPanel:
    """The panel's components."""

    generate: gr.Button
    stop: gr.Button
    status: gr.HTML
    problem: gr.HTML
    gallery: gr.Gallery


def create_images_panel(*, ready: bool) -> ImagesPanel:
    """Lay out the panel; `ready` where a checkpoint is loaded."""
    with gr.Row(elem_id="actions"):
        generate = gr.Button("Generate", variant="primary", elem_id="generate")
        stop = gr.Button("Stop", elem_id="stop", interactive=False)
    status = gr.HTML(status_line("Ready" if ready else "Choose a checkpoint first"), elem_id="status")
    problem = gr.HTML("", elem_id="problem")
    gallery = gr.Gallery(
        label="Images",
        show_label=False,
        format="png",
        columns=4,
        object_fit="contain",
        buttons=["download", "download_all", "fullscreen"],
        interactive=False,
        elem_id="images",
    )
    return ImagesPanel(generate, stop, status, problem, gallery)


def caption(class_name: str, seed: int) -> str:
    """Return the two lines below an image: enough to make it again."""
    return f"{class_name}\nseed {seed}"


def write_pngs(
    folder: Path, images: Sequence[Image], class_names: Sequence[str], seeds: Sequence[int], settings: str
) -> list[tuple[str, str]]:
    """Write images as PNG files that say in their names and inside how they were made.

    Args:
        folder: where to.
        images: the images.
        class_names: class of each image.
        seeds: seed of each image.
        settings: checkpoint and sampling settings, for the files' "Description".

    Returns:
        Path and caption of each image.
    """
    files = []
    for image, class_name, seed in zip(images, class_names, seeds, strict=True):
        word = re.sub(r"[^a-z0-9]+", "-", class_name.lower()).strip("-") or "class"
        details = PngInfo()
        details.add_itxt("Title", f"{class_name}, seed {seed}")
        details.add_itxt("Description", settings)
        path = folder / f"{word[:40]}-seed-{seed}.png"
        image.save(path, pnginfo=details)
        files.append((str(path), caption(class_name, seed)))
    return files
