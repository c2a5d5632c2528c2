"""What happens on opening the page, and on choosing, uploading, reloading or unloading a checkpoint."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from ...engine.models import Loading
from ..events import AGAIN, AT_ONCE, BESIDE, hear_of
from ..html import USER_ERRORS, error_banner, hint_line
from ..parts import Parts, Updates
from .panel import (
    Choice,
    add_file,
    choose,
    details_of,
    dropdown_update,
    first_choice,
    found_html,
    kind_of,
    list_update,
)
from .view import CheckpointView

READING = "Reading"
READ_NO_MORE = """() => document.getElementById("checkpoint").removeAttribute("aria-busy")"""
# Gradio marks a line of the open list by its number, also when another file has come to stand there: open it anew,
# unless something is being typed.
MARK_THE_CHOSEN = """async (name) => {
    await new Promise(resolve => setTimeout(resolve, 50));
    const list = document.getElementById("checkpoint");
    const field = list.querySelector("input");
    const marked = list.querySelector("[role=option][aria-selected=true]");
    const isAnother = (label) => label !== name && !label.startsWith(name + " · ");
    const isWrong = marked && isAnother(marked.getAttribute("aria-label"));
    if (document.activeElement !== field || !isWrong || isAnother(field.value)) {
        list.removeAttribute("aria-busy");
        return;
    }
    field.blur();
    setTimeout(() => field.focus());
}"""


def reading_line(name: str) -> str:
    """Return that a file is being looked into."""
    return hint_line(f"{READING} {name} …")


def wire_checkpoint(blocks: gr.Blocks, parts: Parts) -> CheckpointView:
    """Connect what happens on opening the page and around the checkpoint; returns what shows a checkpoint."""
    view = CheckpointView(parts)
    panel, catalog, holder = parts.checkpoint, parts.catalog, parts.holder

    def opened() -> Updates:
        """Bring a page up to date that was laid out when the server started; the list is when it is opened."""
        catalog.look_meanwhile()
        choice = first_choice(catalog, holder)
        if choice.description is None:
            return {panel.found: gr.skip()}
        if choice != parts.first:
            return view.show(choice, {}, is_new=True, is_first=True)
        return {panel.found: found_html(choice, catalog, holder), panel.details: details_of(choice, holder)}

    def load_first(
        uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> Iterator[Updates]:
        """Load the model that the page opened with."""
        is_latest = view.begin(request.session_hash, loaded, unasked=True)
        choice = choose(catalog, holder, loaded, uploads, loading) if loaded else Choice(None, None, None)
        yield {panel.found: gr.skip()}
        if choice.description is not None and is_latest():
            yield from view.load(choice, is_latest)

    def chosen(
        name: str, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> Iterator[Updates]:
        """Look into the checkpoint that was picked, or do nothing where it is the page that shows what is there."""
        if name == loaded and not view.picked_another(request.session_hash, name):
            yield {panel.found: gr.skip()}
            return
        is_latest = view.begin(request.session_hash, name, picked=True)
        if name == loaded:  # the other one is no longer wanted
            yield loaded_now(uploads, loaded, loading)
            return
        yield {panel.found: reading_line(name)}
        yield from view.take(name, uploads, loaded, loading, replace(loading, weights=None), is_latest)

    def uploaded(
        path: str, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> Iterator[Updates]:
        """Add an uploaded file to the session's list and choose it, if it is a checkpoint."""
        try:
            catalog.uploads.checkpoint(path)
        except USER_ERRORS as error:
            yield {panel.upload: None, panel.problem: error_banner(str(error))}
            return
        name, with_upload = add_file(uploads, f"{Path(path).name} (uploaded)", path)
        is_latest = view.begin(request.session_hash, name)
        yield {panel.found: reading_line(name), panel.upload: None}
        kind = kind_of(Path(path))
        if kind == "vqvae":
            yield keep_vqvae(name, with_upload, loaded, loading)
            return
        if kind == "var":  # it stays in the list, also when something else is chosen while it is read
            yield {panel.uploads: with_upload}
        choice = choose(catalog, holder, name, with_upload, replace(loading, weights=None))
        if choice.problem is None:
            yield from view.take(name, with_upload, loaded, loading, replace(loading, weights=None), is_latest)
            return
        if kind == "other":
            catalog.uploads.remove(path)
            with_upload = uploads
        if is_latest():
            yield view.refuse(choice, with_upload, loaded, loading)
        else:
            yield {panel.problem: error_banner(choice.problem)}

    def keep_vqvae(name: str, uploads: dict[str, str], loaded: str | None, loading: Loading) -> Updates:
        """Keep a VQVAE for the session's other files, and say so."""
        before = choose(catalog, holder, loaded, uploads, loading) if loaded else Choice(None, None, None)
        news = f"{name}: a VQVAE, kept for checkpoints that come without one. Choose or upload the transformer."
        found = hint_line(news) if before.description is None else found_html(before, catalog, holder, news)
        return {
            panel.choice: dropdown_update(catalog, uploads, before.name),
            panel.found: found,
            panel.problem: "",
            panel.uploads: uploads,
        }

    def changed(
        weights: str,
        precision: str,
        uploads: dict[str, str],
        loaded: str | None,
        loading: Loading,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """Load the same checkpoint with other weights or in another precision."""
        is_latest = view.begin(request.session_hash, loaded)
        if not loaded:
            yield {panel.loading: replace(loading, dtype=precision or None)}
            return
        wanted = replace(loading, weights=weights if loading.weights or weights == "raw" else None)
        yield from view.take(loaded, uploads, loaded, loading, replace(wanted, dtype=precision or None), is_latest)

    def accepted(
        refused: tuple[str, str] | None,
        uploads: dict[str, str],
        loaded: str | None,
        loading: Loading,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """Load what did not fit, in the precision that was offered."""
        if refused is not None:
            name, dtype = refused
            is_latest = view.begin(request.session_hash, name)
            yield {panel.found: reading_line(name)}
            yield from view.take(name, uploads, loaded, loading, Loading(dtype=dtype), is_latest)

    def loaded_now(uploads: dict[str, str], loaded: str | None, loading: Loading) -> Updates:
        """Show what the model takes after a run."""
        choice = choose(catalog, holder, loaded, uploads, loading) if loaded else Choice(None, None, None)
        if choice.problem:
            return {panel.found: found_html(choice, catalog, holder)}
        return {panel.found: found_html(choice, catalog, holder), panel.details: details_of(choice, holder)}

    def read_at_last(shown: str, uploads: dict[str, str], loaded: str | None, loading: Loading) -> Updates:
        """Say no more that a file is being read."""
        return loaded_now(uploads, loaded, loading) if READING in shown else {panel.found: gr.skip()}

    def listed(uploads: dict[str, str]) -> dict[str, Any]:
        """Read the folder again. What new files are is found out for the next time: the list opens in this moment."""
        update = list_update(catalog, uploads)
        catalog.look_meanwhile(uploads)
        return update

    def leave(request: gr.Request) -> None:
        view.leave(request.session_hash)

    blocks.unload(leave)
    hear_of([panel.choice.change, panel.upload.upload, panel.weights.input, panel.precision.input, panel.offer.click])
    view.opened = blocks.load(opened, None, view.outputs, **AT_ONCE)
    view.opened.then(load_first, view.session, [panel.found, panel.details], **BESIDE)
    new_list = panel.found.click(listed, [panel.uploads], [panel.choice], **AT_ONCE)
    new_list.then(None, [panel.choice], None, js=MARK_THE_CHOSEN, **AT_ONCE)
    new_list.failure(None, None, None, js=READ_NO_MORE, **AT_ONCE)
    # Not `input`, of which Gradio tells twice at once: of two answers a slow browser may lose one.
    looked_into = panel.choice.change(chosen, [panel.choice, *view.session], view.outputs, **AGAIN)
    looked_into.then(read_at_last, [panel.found, *view.session], [panel.found, panel.details], **AT_ONCE)
    view.uploaded = panel.upload.upload(uploaded, [panel.upload, *view.session], view.outputs, **AGAIN)
    for control in (panel.weights, panel.precision):
        control.input(changed, [panel.weights, panel.precision, *view.session], view.outputs, **AGAIN)
    panel.offer.click(accepted, [panel.refused, *view.session], view.outputs, **AGAIN)
    unloaded = panel.unload.click(holder.unload, None, None, **AT_ONCE)
    unloaded.then(loaded_now, view.session, [panel.found, panel.details], **AT_ONCE)
    panel.details_group.expand(loaded_now, view.session, [panel.found, panel.details], **AT_ONCE)
    return view


def wire_changed_file(parts: Parts, view: CheckpointView) -> None:
    """Let Generate look whether the file changed; after the runs are wired, for those take down first what is asked."""
    panel, catalog, holder = parts.checkpoint, parts.catalog, parts.holder

    def look_again(
        uploads: dict[str, str], loaded: str | None, loading: Loading, version: Any, request: gr.Request
    ) -> Updates:
        """Say so when the file changed since it was described: a training goes on, and its newest state is used."""
        choice = choose(catalog, holder, loaded, uploads, loading) if loaded else Choice(None, None, None)
        if choice.path is None or choice.problem or holder.version(choice.path) == version:
            return {panel.found: gr.skip()}  # of a problem whoever generates is told
        view.begin(request.session_hash, loaded)  # what is being loaded was the file before
        return view.show(choice, uploads, is_new=False, news=f"{Path(choice.name).name} changed: read again.")

    for images in (parts.images, parts.edit.images):
        images.generate.click(look_again, [*view.session, panel.version], view.outputs, **AT_ONCE)
