"""What happens on opening the page, and on choosing, uploading, reloading or unloading a checkpoint."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from ...engine.models import Loading
from ...errors import USER_ERRORS
from ..events import AGAIN, AT_ONCE, BESIDE, LATEST, hear_of
from ..html import error_banner, hint_line
from ..runs import Updates
from .panel import Choice, add_file, dropdown_update, first_choice, found_html, kind_of, list_update, look_into
from .view import CheckpointView

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
    return hint_line(f"Reading {name} …")


def wire_checkpoint(
    blocks: gr.Blocks, view: CheckpointView, first: Choice
) -> tuple[gr.events.Dependency, gr.events.Dependency]:
    """Connect what happens on opening the page and around the checkpoint.

    Args:
        blocks: the page.
        view: shows a checkpoint.
        first: the checkpoint that the page was laid out for.

    Returns:
        The event of a page that is brought up to date, and that of an upload that was looked into.
    """
    panel, events = view.panel, CheckpointEvents(view, first)
    blocks.unload(events.leave)
    typed_heads = [panel.heads.submit, panel.heads.blur]
    chosen_loading = [panel.weights.input, panel.precision.input, *typed_heads]
    hear_of([panel.choice.change, panel.upload.upload, *chosen_loading, panel.offer.click])
    lines = [panel.found, panel.details]
    opened = blocks.load(events.open, None, view.outputs, **AT_ONCE)
    opened.then(events.load_first, view.session, lines, **BESIDE)
    new_list = panel.found.click(events.list_anew, [panel.uploads], [panel.choice], **AT_ONCE)
    new_list.then(None, [panel.choice], None, js=MARK_THE_CHOSEN, **AT_ONCE)
    new_list.failure(None, None, None, js=READ_NO_MORE, **AT_ONCE)
    # Not `input`, of which Gradio tells twice at once: of two answers a slow browser may lose one.
    panel.choice.change(events.choose, [panel.choice, *view.session], view.outputs, **AGAIN)
    uploaded = panel.upload.upload(events.take_upload, [panel.upload, *view.session], view.outputs, **AGAIN)
    for control in (panel.weights, panel.precision):
        asked = [panel.weights, panel.precision, *view.session]
        control.input(events.choose_loading, asked, view.outputs, **AGAIN)
    gr.on(typed_heads, events.choose_heads, [panel.heads, *view.session], view.outputs, **AGAIN)
    panel.offer.click(events.accept_offer, [panel.refused, *view.session], view.outputs, **AGAIN)
    unloaded = panel.unload.click(events.unload, None, None, **AT_ONCE)
    unloaded.then(events.tell, view.session, lines, **AT_ONCE)
    panel.details_group.expand(events.tell, view.session, lines, **AT_ONCE)
    return opened, uploaded


class CheckpointEvents:
    """What happens around the checkpoint; handlers get `uploads`, `loaded` and `loading` as a session has them.

    Args:
        view: shows a checkpoint.
        first: the checkpoint that the page was laid out for.
    """

    def __init__(self, view: CheckpointView, first: Choice) -> None:
        self._view, self._first = view, first
        self._panel, self._catalog, self._engine = view.panel, view.catalog, view.engine

    def open(self) -> Updates:
        """Bring a page up to date that was laid out when the server started; the list is when it is opened."""
        self._catalog.look_meanwhile()
        choice = first_choice(self._catalog, self._engine)
        if choice.description is None:
            return {self._panel.found: gr.skip()}
        if choice != self._first:
            return self._view.show(choice, {}, is_new=True, is_first=True)
        return self._view.lines(choice)

    async def load_first(
        self, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Load the model that the page opened with."""
        is_latest = self._view.begin(request.session_hash, loaded, unasked=True)
        yield {self._panel.found: gr.skip()}
        if not loaded:
            return
        choice = await look_into(self._catalog, self._engine, loaded, uploads, loading)
        if choice.description is not None and is_latest():
            async for updates in self._view.load(choice, is_latest):
                yield updates

    async def choose(
        self, name: str, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Look into the checkpoint that was picked, or do nothing where it is the page that shows what is there."""
        view = self._view
        if name == loaded and not view.picked_another(request.session_hash, name):
            yield {self._panel.found: gr.skip()}
            return
        is_latest = view.begin(request.session_hash, name, picked=True)
        if name == loaded:  # the other one is no longer wanted
            yield await asyncio.to_thread(self.tell, uploads, loaded, loading)
            return
        yield {self._panel.found: reading_line(name)}
        async for updates in view.take(name, uploads, loaded, loading, loading.for_another(), is_latest):
            yield updates

    async def take_upload(
        self, path: str, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Add an uploaded file to the session's list and choose it, if it is a checkpoint."""
        view, panel = self._view, self._panel
        try:
            self._catalog.uploads.checkpoint(path)
        except USER_ERRORS as error:
            yield {panel.upload: None, panel.problem: error_banner(str(error))}
            return
        name, with_upload = add_file(uploads, f"{Path(path).name} (uploaded)", path)
        is_latest = view.begin(request.session_hash, name)
        yield {panel.found: reading_line(name), panel.upload: None}
        kind = await asyncio.to_thread(kind_of, Path(path))
        if kind == "vqvae":
            yield await asyncio.to_thread(self._keep_vqvae, name, with_upload, loaded, loading)
            return
        if kind == "var":  # it stays in the list, also when something else is chosen while it is read
            yield {panel.uploads: with_upload}
        unlike_before = loading.for_another()
        choice = await look_into(self._catalog, self._engine, name, with_upload, unlike_before)
        if choice.problem is None:
            async for updates in view.take(name, with_upload, loaded, loading, unlike_before, is_latest):
                yield updates
            return
        if kind == "other":
            self._catalog.uploads.remove(path)
            with_upload = uploads
        if is_latest():
            yield await asyncio.to_thread(view.refuse, choice, with_upload, loaded, loading)
        else:
            yield {panel.problem: error_banner(choice.problem)}

    def _keep_vqvae(self, name: str, uploads: dict[str, str], loaded: str | None, loading: Loading) -> Updates:
        """Keep a VQVAE for the session's other files, and say so."""
        panel, before = self._panel, self._view.kept(uploads, loaded, loading)
        news = f"{name}: a VQVAE, kept for checkpoints that come without one. Choose or upload the transformer."
        found = found_html(before, self._catalog, self._engine, news) if before.description else hint_line(news)
        return {
            panel.choice: dropdown_update(self._catalog, uploads, before.name),
            panel.found: found,
            panel.problem: "",
            panel.uploads: uploads,
        }

    async def choose_loading(
        self,
        weights: str,
        precision: str,
        uploads: dict[str, str],
        loaded: str | None,
        loading: Loading,
        request: gr.Request,
    ) -> AsyncIterator[Updates]:
        """Load the same checkpoint with other weights or in another precision."""
        is_latest = self._view.begin(request.session_hash, loaded)
        if not loaded:
            yield {self._panel.loading: replace(loading, dtype=precision or None)}
            return
        of_file = weights if loading.weights or weights == "raw" else None
        wanted = replace(loading, weights=of_file, dtype=precision or None)
        async for updates in self._view.take(loaded, uploads, loaded, loading, wanted, is_latest):
            yield updates

    async def choose_heads(
        self, num_heads: int | None, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> AsyncIterator[Updates]:
        """Load the same checkpoint with another number of heads; with none, as is assumed."""
        if not loaded or num_heads == loading.num_heads:
            yield {self._panel.found: gr.skip()}
            return
        is_latest, wanted = self._view.begin(request.session_hash, loaded), replace(loading, num_heads=num_heads)
        async for updates in self._view.take(loaded, uploads, loaded, loading, wanted, is_latest):
            yield updates

    async def accept_offer(
        self,
        refused: tuple[str, str] | None,
        uploads: dict[str, str],
        loaded: str | None,
        loading: Loading,
        request: gr.Request,
    ) -> AsyncIterator[Updates]:
        """Load what did not fit, in the precision that was offered."""
        if refused is not None:
            name, dtype = refused
            is_latest = self._view.begin(request.session_hash, name)
            yield {self._panel.found: reading_line(name)}
            async for updates in self._view.take(name, uploads, loaded, loading, Loading(dtype=dtype), is_latest):
                yield updates

    def tell(self, uploads: dict[str, str], loaded: str | None, loading: Loading) -> Updates:
        """Say what the checkpoint is and takes by now."""
        choice = self._view.kept(uploads, loaded, loading)
        lines = self._view.lines(choice)
        return {self._panel.found: lines[self._panel.found]} if choice.problem else lines

    async def unload(self) -> None:
        """Give memory back once nobody computes; no thread waits for that."""
        try:
            await self._engine.unload().over()
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def list_anew(self, uploads: dict[str, str]) -> dict[str, Any]:
        """Read the folder again. What new files are is found out for the next time: the list opens in this moment."""
        update = list_update(self._catalog, uploads)
        self._catalog.look_meanwhile(uploads)
        return update

    def leave(self, request: gr.Request) -> None:
        """The session is over."""
        self._view.leave(request.session_hash)


def wire_changed_file(view: CheckpointView, runs: Sequence[gr.events.Dependency]) -> None:
    """Look whether the file changed, after each run; the run itself has used its newest state."""
    panel = view.panel

    def look_again(
        uploads: dict[str, str], loaded: str | None, loading: Loading, version: Any, request: gr.Request
    ) -> Updates:
        """Say so when the file changed since it was described: a training goes on, and its newest state is used."""
        choice = view.kept(uploads, loaded, loading)
        if choice.path is None or choice.problem or view.engine.version(choice.path) == version:
            return {panel.found: gr.skip()}  # of a problem whoever generates is told
        view.begin(request.session_hash, loaded)  # what is being loaded was the file before
        return view.show(choice, uploads, is_new=False, news=f"{Path(choice.name).name} changed: read again.")

    for run in runs:
        run.then(look_again, [*view.session, panel.version], view.outputs, **AT_ONCE | LATEST)
