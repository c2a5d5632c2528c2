"""Top left of the page: choose or upload a checkpoint, and see what was found in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from .catalog import Catalog
from .messages import USER_ERRORS, error_banner, error_text, found_line, hint_line
from .models import Description, ModelHolder

CHECKPOINT_TYPES = [".pth", ".pt", ".ckpt", ".safetensors"]


@dataclass(frozen=True)
class CheckpointPanel:
    """The panel's components; `uploads` is the session's own files, name to path, `loaded` the name last found good."""

    choice: gr.Dropdown
    upload: gr.File
    found: gr.HTML
    problem: gr.HTML
    uploads: gr.State
    loaded: gr.State


@dataclass(frozen=True)
class Choice:
    """A checkpoint as a session sees it: its name, and either what it holds or why it cannot be used."""

    name: str | None
    description: Description | None
    problem: str | None


def create_checkpoint_panel(catalog: Catalog, first: Choice) -> CheckpointPanel:
    """Lay out the panel.

    Args:
        catalog: the names to choose from.
        first: the checkpoint that the page opens with.
    """
    choice = gr.Dropdown(
        choices=catalog.names(),
        value=first.name,
        label="Checkpoint",
        info="Files of the checkpoints folder, newest first.",
        elem_id="checkpoint",
    )
    upload = gr.File(
        label="Upload a checkpoint",
        show_label=False,
        file_types=CHECKPOINT_TYPES,
        elem_id="upload",
    )
    found = gr.HTML(found_html(first, catalog), elem_id="found")
    problem = gr.HTML(error_banner(first.problem) if first.problem else "", elem_id="checkpoint-problem")
    return CheckpointPanel(choice, upload, found, problem, gr.State({}), gr.State(first.name))


def choose(catalog: Catalog, holder: ModelHolder, name: str | None, uploads: Mapping[str, str]) -> Choice:
    """Look into a checkpoint; what is wrong with it becomes a message."""
    path = None
    try:
        path = catalog.resolve(name, uploads)
        return Choice(name, holder.describe(path), None)
    except USER_ERRORS as error:
        return Choice(name, None, error_text(error, path, name))


def first_choice(catalog: Catalog, holder: ModelHolder) -> Choice:
    """Look into the default checkpoint; an empty folder is no problem, it leaves the choice open."""
    name = catalog.default()
    return choose(catalog, holder, name, {}) if name else Choice(None, None, None)


def add_upload(uploads: Mapping[str, str], path: str) -> tuple[str, dict[str, str]]:
    """Return the name of an uploaded file and the session's files with it; a name used twice gets a number."""
    label = stem = f"{Path(path).name} (uploaded)"
    count = 1
    while label in uploads:
        count += 1
        label = f"{stem} {count}"
    return label, {**uploads, label: path}


def found_html(choice: Choice, catalog: Catalog) -> str:
    """Return the line below the checkpoint."""
    if choice.description is not None:
        return found_line(choice.description)
    return hint_line(catalog.empty_message() if choice.name is None else "Choose another checkpoint, or upload one.")


def dropdown_update(catalog: Catalog, uploads: Mapping[str, str], name: str | None) -> dict[str, Any]:
    """Return the list as the folder is now, with `name` chosen."""
    return gr.update(choices=catalog.names(uploads), value=name)
