"""Top left of the page: choose, upload or download a checkpoint, and see what was found in it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from ...checkpoints.folder import describe_entry
from ...engine.catalog import Catalog
from ...engine.description import Description
from ...engine.engine import Engine
from ...engine.models import Loading, TooLargeError
from ...errors import USER_ERRORS, error_text
from ..html import error_banner, hint_line, status_line
from ..static import read_script
from ..unchecked import Dropdown, Radio
from .card import details_html, summary_html

MAX_SHOWN = 100  # that Gradio's open list has
FOLD = "Change, upload, details, export"
WEIGHTS = [("EMA", "ema"), ("Raw", "raw")]
PRECISIONS = [("Auto", ""), ("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "float16")]

# The training's arguments stay unfolded when the facts are written anew.
KEEP_UNFOLDED = """let open = false;
element.addEventListener("click", event => {
  if (event.target.closest("summary")) open = !event.target.closest(".arguments").open;
});
new MutationObserver(() => {
  const fold = element.querySelector(".arguments");
  if (fold && fold.open !== open) fold.open = open;
}).observe(element, {childList: true, subtree: true, attributes: true, attributeFilter: ["open"]});"""


@dataclass(frozen=True)
class CheckpointPanel:
    """The panel's components and what it knows of a session.

    Args:
        found: the lines below; a click, which its script makes, asks for the list as it is now.
        uploads: the session's own files, name to path: uploaded, or downloaded from the Hub.
        loaded: the name last found good.
        loading: how that one is loaded.
        refused: the name that did not fit into memory.
        version: of the file that is described, to see when it changes.
        fold: holds all but the line that says what is chosen, and what went wrong; others add to it.
    """

    choice: gr.Dropdown
    upload: gr.File
    found: gr.HTML
    problem: gr.HTML
    offer: gr.Button
    details_group: gr.Accordion
    details: gr.HTML
    weights: gr.Radio
    heads: gr.Number
    precision: gr.Radio
    unload: gr.Button
    uploads: gr.State
    loaded: gr.State
    loading: gr.State
    refused: gr.State
    version: gr.State
    fold: gr.Accordion


@dataclass(frozen=True)
class Choice:
    """A checkpoint as a session sees it: its name, and either what it holds or why it cannot be used; or none.

    Args:
        name: as the list has it.
        description: what it holds.
        problem: why it cannot be used.
        offer: a lower precision that fits, where it is too large for the memory.
        path: its file, as far as it is there.
        loading: how it was asked for.
    """

    name: str | None = None
    description: Description | None = None
    problem: str | None = None
    offer: str | None = None
    path: Path | None = None
    loading: Loading = Loading()


@dataclass(frozen=True)
class Follower:
    """A part of another panel that depends on the checkpoint.

    Args:
        components: all that `updates` changes.
        updates: gets another checkpoint, and whether it is the session's first; returns what the components become.
        always: whether it follows also where the same checkpoint is loaded otherwise, or its file changed.
    """

    components: Sequence[gr.blocks.Block]
    updates: Callable[[Choice, bool], dict[gr.blocks.Block, Any]]
    always: bool = False


def tab_follower(status: gr.HTML, problem: gr.HTML) -> Follower:
    """Return what a tab says of a checkpoint: that it is ready, and no more what went wrong with the one before."""

    def updates(choice: Choice, is_first: bool) -> dict[gr.blocks.Block, Any]:
        return {problem: "", **({status: status_line("Ready")} if is_first else {})}

    return Follower([status, problem], updates)


def create_checkpoint_panel(catalog: Catalog, engine: Engine, first: Choice, uploads: bool) -> CheckpointPanel:
    """Lay out the panel.

    Args:
        catalog: the names to choose from.
        engine: describes and loads them.
        first: the checkpoint that the page opens with.
        uploads: whether visitors may upload.
    """
    there = first.description is not None
    choices = catalog.choices()
    found = gr.HTML(found_html(first, catalog, engine), js_on_load=read_script("list"), elem_id="found")
    problem = gr.HTML(error_banner(first.problem) if first.problem else "", elem_id="checkpoint-problem")
    offer = gr.Button("", visible=False, elem_id="offer")
    with gr.Accordion(FOLD, open=not there, elem_id="change-checkpoint", elem_classes="fold") as fold:
        choice = Dropdown(
            choices=choices,
            value=first.name,
            label="Checkpoint",
            info=list_note(len(choices)),
            elem_id="checkpoint",
        )
        upload = gr.File(
            label="Upload a checkpoint",
            show_label=False,
            visible=uploads,
            elem_id="upload",
            elem_classes="drop-line",
        )
        with gr.Accordion(
            "Details", open=False, visible=there, elem_id="details", elem_classes="fold"
        ) as details_group:
            details = gr.HTML(details_of(first, engine), js_on_load=KEEP_UNFOLDED, elem_id="facts")
            weights = Radio(
                WEIGHTS, label="Weights", info="The file has both.", elem_id="weights", **weights_field(first)
            )
            heads = gr.Number(
                label="Attention heads",
                info="The file does not tell their number. Where images come out as noise, type the right one.",
                precision=0,
                elem_id="heads",
                **heads_field(first),
            )
            precision = Radio(
                PRECISIONS,
                value="",
                label="Precision",
                info="Of the transformer. Lower takes less memory.",
                elem_id="precision",
            )
            unload = gr.Button("Unload from memory", size="sm", elem_id="unload")
    return CheckpointPanel(
        choice,
        upload,
        found,
        problem,
        offer,
        details_group,
        details,
        weights,
        heads,
        precision,
        unload,
        uploads=gr.State({}),
        loaded=gr.State(first.name if there else None),
        loading=gr.State(Loading()),
        refused=gr.State(None),
        version=gr.State(engine.version(first.path) if first.path else None),
        fold=fold,
    )


def weights_field(choice: Choice) -> dict[str, Any]:
    """Return what the choice of weights shows: only where the file has both kinds."""
    weights = choice.description.weights if choice.description else None
    return {"visible": weights is not None, "value": weights or "ema"}


def heads_field(choice: Choice) -> dict[str, Any]:
    """Return what the field of the attention heads shows: only where the file does not tell their number."""
    description, given = choice.description, choice.loading.num_heads
    if description is None or not (description.heads_assumed or given):
        return {"visible": False, "value": None}
    return {"visible": True, "value": given, "placeholder": "" if given else f"{description.num_heads} (assumed)"}


def choose(
    catalog: Catalog, engine: Engine, name: str | None, uploads: Mapping[str, str], loading: Loading | None = None
) -> Choice:
    """Look into a checkpoint; what is wrong with it becomes a message."""
    loading = replace(loading or Loading(), folders=folders_of(uploads))
    path = None
    try:
        path = catalog.resolve(name, uploads)
        return Choice(name, engine.describe(path, loading), None, None, path, loading)
    except USER_ERRORS as error:
        text = error_text(error, path, name)
        for folder in loading.folders:  # where uploads lie means nothing to the user
            text = text.replace(f", in {folder}", "").replace(f"{folder}/", "")
        offer = error.offer if isinstance(error, TooLargeError) else None
        return Choice(name, None, text, offer, path, loading)


async def look_into(
    catalog: Catalog, engine: Engine, name: str | None, uploads: Mapping[str, str], loading: Loading | None = None
) -> Choice:
    """Look into a checkpoint as `choose` does, beside whatever else the server does."""
    return await asyncio.to_thread(choose, catalog, engine, name, uploads, loading)


def first_choice(catalog: Catalog, engine: Engine) -> Choice:
    """Look into the default checkpoint; an empty folder is no problem, it leaves the choice open."""
    name = catalog.default()
    return choose(catalog, engine, name, {}) if name else Choice()


def add_file(uploads: Mapping[str, str], name: str, path: str) -> tuple[str, dict[str, str]]:
    """Return the name of a session's new file and all its files with it; a name used for another file gets a number."""
    label, count = name, 1
    while uploads.get(label, path) != path:
        count += 1
        label = f"{name} {count}"
    return label, {**{key: value for key, value in uploads.items() if key != label}, label: path}


def folders_of(uploads: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders of a session's own files, where a VQVAE may lie that fits another one."""
    return tuple(dict.fromkeys(Path(path).parent for path in uploads.values()))


def kind_of(path: Path) -> str:
    """Return what a file is: "var", "vqvae" or "other"."""
    try:
        return describe_entry(path).kind
    except OSError:
        return "other"


def found_html(choice: Choice, catalog: Catalog, engine: Engine, news: str = "") -> str:
    """Return the lines below the checkpoint."""
    news = news or catalog.coming
    if choice.description is not None:
        return summary_html(choice.description, engine.resident(choice.path, choice.loading), news, choice.name or "")
    todo = catalog.empty_message() if choice.name is None else "Choose another checkpoint, or upload one."
    return hint_line(news or todo)


def details_of(choice: Choice, engine: Engine) -> str:
    """Return everything that is known of the checkpoint."""
    if choice.description is None:
        return ""
    return details_html(choice.description, engine.resident(choice.path, choice.loading), engine.free_bytes())


def dropdown_update(catalog: Catalog, uploads: Mapping[str, str], name: str | None) -> dict[str, Any]:
    """Return the list as the folder is now, with `name` chosen."""
    return list_update(catalog, uploads) | {"value": name}


def list_update(catalog: Catalog, uploads: Mapping[str, str]) -> dict[str, Any]:
    """Return the list as the folder is now; what is chosen stays."""
    choices = catalog.choices(uploads)
    return gr.update(choices=choices, info=list_note(len(choices)))


def list_note(num_choices: int) -> str:
    """Return what stands above the list: in which order it is, and that Gradio shows no more than some of very many."""
    note = "Files of the checkpoints folder, newest first."
    if num_choices <= MAX_SHOWN:
        return note
    return f"{note} {num_choices:,} are there, the list shows {MAX_SHOWN}: type a part of a name to find the others."
