"""The wall of classes: a picture of each, which a click generates; it and the picker of classes are one choice."""

import shutil
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from ...engine.description import Description
from ...outputs.class_sheet import ClassSheet, read_class_sheet
from ..compare.grid import file_address
from ..static import read_script

TEMPLATE = """<div class="head"><p><b></b> <span id="wall-hint">Click one and watch it grow. ✓ or Shift collects
several.</span></p>
<input type="search" placeholder="Find a class" aria-label="Find a class on the wall" autocomplete="off"></div>
<ul aria-label="Classes to generate" aria-describedby="wall-hint"></ul>
<p class="none" role="status"></p>"""


def create_wall(description: Description | None, path: Path | None) -> gr.HTML:
    """Make the wall, to be rendered where it stands; arguments as of `value_of`."""
    return gr.HTML(
        value_of(description, path),
        html_template=TEMPLATE,
        js_on_load=read_script("wall"),
        apply_default_css=False,
        elem_id="wall",
        render=False,
    )


def value_of(description: Description | None, path: Path | None) -> dict[str, Any]:
    """Return what the wall shows of a checkpoint, beside the names, which the picker has.

    Args:
        description: of the checkpoint; None for none.
        path: its file.

    Returns:
        `first`, the classes that come first where not all are trained, and `sheet`: where the pictures are, how many
        stand beside one another, and how many there are; None where there are none.
    """
    sheet = description and path and read_class_sheet(path, description.file_hash)
    trained = list(description.trained_classes or ()) if description else []
    if not sheet:
        return {"first": trained, "sheet": None}
    address = file_address(str(served(sheet)))
    return {"first": trained, "sheet": {"address": address, "columns": sheet.columns, "count": sheet.count}}


def served(sheet: ClassSheet) -> Path:
    """Return a copy of a sheet among the files that Gradio serves."""
    copy = Path(get_upload_folder()) / "classes" / f"{sheet.checkpoint_hash}.webp"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sheet.path, copy)
    return copy
