"""What happens on opening the page, and on choosing, uploading, reloading or unloading a checkpoint."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from .checkpoint_panel import (
    Choice,
    add_file,
    choose,
    details_of,
    dropdown_update,
    first_choice,
    found_html,
    kind_of,
)
from .messages import USER_ERRORS, error_banner, hint_line, status_line
from .models import Loading
from .parts import Parts, Updates
from .sampling_controls import scale_range
from .settings_panel import settings_updates

READING = "Reading"
QUIET = {"show_progress": "hidden", "api_visibility": "private"}
# Not in the queue of the model: what a checkpoint holds is shown at once, even while images are being made.
AT_ONCE = {"concurrency_limit": None}
# Nor does another choice wait until the one before is loaded.
AGAIN = {"trigger_mode": "multiple", **AT_ONCE}


def reading_line(name: str) -> str:
    """Return that a file is being looked into."""
    return hint_line(f"{READING} {name} …")


class CheckpointView:
    """Shows a session its checkpoint: what the panel's components become.

    Args:
        parts: what handlers share.

    Attributes:
        opened: the event of a page that is brought up to date; others follow it.
        uploaded: the event of a file that was looked into.
    """

    opened: gr.events.Dependency
    uploaded: gr.events.Dependency

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._asked: dict[str, object] = {}
        panel, settings = parts.checkpoint, parts.settings
        self.session = [panel.uploads, panel.loaded, panel.loading]
        self.outputs = [panel.choice, panel.upload, panel.found, panel.problem, panel.offer, panel.details_group]
        self.outputs += [panel.details, panel.weights, panel.precision, panel.version, panel.refused, *self.session]
        self.outputs += [parts.export.group, *settings.shown(), *parts.statuses, *parts.problems]
        self.outputs += [parts.edit.keep_scales]

    def begin(self, session: str, unasked: bool = False) -> Callable[[], bool]:
        """Begin to look into a checkpoint; returns whether the session has asked for no other one since.

        Args:
            session: its hash.
            unasked: it is the page that looks; what the session asked for before goes on.
        """
        if unasked and session in self._asked:
            return lambda: False
        mark = self._asked[session] = object()
        return lambda: self._asked.get(session) is mark

    def leave(self, session: str) -> None:
        """The session is over."""
        self._asked.pop(session, None)

    def take(
        self,
        name: str,
        uploads: dict[str, str],
        loaded: str | None,
        before: Loading,
        loading: Loading,
        is_latest: Callable[[], bool],
    ) -> Iterator[Updates]:
        """Look into a checkpoint, show it, and load it unless the model is busy; or say why not.

        Args:
            name: of the checkpoint.
            uploads: the session's own files.
            loaded: the name last found good.
            before: how that one is loaded.
            loading: how this one is wanted.
            is_latest: of `begin`.
        """
        parts = self._parts
        choice = choose(parts.catalog, parts.holder, name, uploads, loading)
        if not is_latest():
            return
        if choice.problem:
            yield self.refuse(choice, uploads, loaded, before)
            return
        yield self.show(choice, uploads, is_new=name != loaded, is_first=loaded is None)
        yield from self.load(choice, is_latest)

    def load(self, choice: Choice, is_latest: Callable[[], bool]) -> Iterator[Updates]:
        """Load a checkpoint ahead of its use, unless the model is busy, and show what it takes."""
        panel, parts = self._parts.checkpoint, self._parts
        if parts.holder.resident(choice.path, choice.loading) is not None:
            return
        try:
            parts.holder.prepare(choice.path, choice.loading)
        except USER_ERRORS:
            return  # it changed in this moment; whoever generates with it is told
        if is_latest():
            yield {
                panel.found: found_html(choice, parts.catalog, parts.holder),
                panel.details: details_of(choice, parts.holder),
            }
            parts.holder.practise(choice.path, choice.loading)
            yield {panel.found: gr.skip()}  # what comes last is sent once more when this ends

    def show(
        self, choice: Choice, uploads: dict[str, str], is_new: bool, is_first: bool = False, news: str = ""
    ) -> Updates:
        """Show a checkpoint that can be used.

        Args:
            choice: the checkpoint.
            uploads: the session's own files.
            is_new: it is another one than before; the settings follow.
            is_first: there was none before.
            news: what happened to it; "" for nothing.
        """
        parts, panel, settings = self._parts, self._parts.checkpoint, self._parts.settings
        updates = {
            panel.choice: dropdown_update(parts.catalog, uploads, choice.name),
            panel.found: found_html(choice, parts.catalog, parts.holder, news),
            panel.problem: "",
            panel.offer: gr.update(visible=False),
            panel.details_group: gr.update(visible=True),
            panel.details: details_of(choice, parts.holder),
            panel.weights: gr.update(
                visible=choice.description.weights is not None, value=choice.description.weights or "ema"
            ),
            panel.precision: choice.loading.dtype or "",
            panel.uploads: uploads,
            panel.loaded: choice.name,
            panel.loading: choice.loading,
            panel.refused: None,
            panel.version: parts.holder.version(choice.path),
            parts.export.group: gr.update(visible=parts.export.allowed),
        }
        if is_new:
            updates |= settings_updates(settings, choice.description)
            updates |= {problem: "" for problem in parts.problems}
            updates[parts.edit.keep_scales] = gr.update(value=0, **scale_range(choice.description))
        if is_first:
            updates |= {status: status_line("Ready") for status in parts.statuses}
        return updates

    def refuse(self, choice: Choice, uploads: dict[str, str], loaded: str | None, before: Loading) -> Updates:
        """Say what is wrong, and leave the checkpoint that was there before in place."""
        parts, panel = self._parts, self._parts.checkpoint
        kept = choose(parts.catalog, parts.holder, loaded, uploads, before) if loaded else Choice(None, None, None)
        return {
            panel.choice: dropdown_update(parts.catalog, uploads, kept.name),
            panel.found: found_html(kept, parts.catalog, parts.holder),
            panel.problem: error_banner(choice.problem),
            panel.offer: gr.update(visible=choice.offer is not None, value=f"Load in {choice.offer}"),
            panel.refused: (choice.name, choice.offer),
            panel.weights: gr.update(value=(kept.description and kept.description.weights) or "ema"),
            panel.precision: before.dtype or "",
            panel.uploads: uploads,
        }


def wire_checkpoint(blocks: gr.Blocks, parts: Parts) -> CheckpointView:
    """Connect what happens on opening the page and around the checkpoint; returns what shows a checkpoint."""
    view = CheckpointView(parts)
    panel, catalog, holder = parts.checkpoint, parts.catalog, parts.holder

    def opened() -> Updates:
        """Bring a page up to date that was laid out when the server started."""
        choice = first_choice(catalog, holder)
        if choice.description is None:
            return {panel.choice: gr.update(choices=catalog.choices())}
        if choice != parts.first:
            return view.show(choice, {}, is_new=True, is_first=True)
        return {panel.found: found_html(choice, catalog, holder), panel.details: details_of(choice, holder)}

    def load_first(
        uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> Iterator[Updates]:
        """Load the model that the page opened with."""
        is_latest = view.begin(request.session_hash, unasked=True)
        choice = choose(catalog, holder, loaded, uploads, loading) if loaded else Choice(None, None, None)
        yield {panel.choice: gr.update(choices=catalog.choices(uploads))}
        if choice.description is not None and is_latest():
            yield from view.load(choice, is_latest)
        if any([*catalog.look(uploads)]):
            yield {panel.choice: gr.update(choices=catalog.choices(uploads))}

    def chosen(
        name: str, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> Iterator[Updates]:
        """Look into the checkpoint that was chosen."""
        is_latest = view.begin(request.session_hash)
        yield {panel.found: reading_line(name)}
        yield from view.take(name, uploads, loaded, loading, replace(loading, weights=None), is_latest)

    def uploaded(
        path: str, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> Iterator[Updates]:
        """Add an uploaded file to the session's list and choose it, if it is a checkpoint."""
        is_latest = view.begin(request.session_hash)
        name, with_upload = add_file(uploads, f"{Path(path).name} (uploaded)", path)
        yield {panel.found: reading_line(name), panel.upload: None}
        kind = kind_of(Path(path))
        if kind == "vqvae":
            yield keep_vqvae(name, with_upload, loaded, loading)
            return
        choice = choose(catalog, holder, name, with_upload, replace(loading, weights=None))
        if choice.problem is None:
            yield from view.take(name, with_upload, loaded, loading, replace(loading, weights=None), is_latest)
            return
        if kind == "other":
            Path(path).unlink(missing_ok=True)
            with_upload = uploads
        yield view.refuse(choice, with_upload, loaded, loading)

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
        is_latest = view.begin(request.session_hash)
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
        is_latest = view.begin(request.session_hash)
        if refused is not None:
            name, dtype = refused
            yield {panel.found: reading_line(name)}
            yield from view.take(name, uploads, loaded, loading, Loading(dtype=dtype), is_latest)

    def looked_again(
        uploads: dict[str, str], loaded: str | None, loading: Loading, version: Any, request: gr.Request
    ) -> Updates:
        """Say so when the file changed since it was described: a training goes on, and its newest state is used."""
        choice = choose(catalog, holder, loaded, uploads, loading) if loaded else Choice(None, None, None)
        if choice.path is None or choice.problem or holder.version(choice.path) == version:
            return {panel.found: gr.skip()}  # of a problem whoever generates is told
        view.begin(request.session_hash)  # what is being loaded was the file before
        return view.show(choice, uploads, is_new=False, news=f"{Path(choice.name).name} changed: read again.")

    def loaded_now(uploads: dict[str, str], loaded: str | None, loading: Loading) -> Updates:
        """Show what the model takes after a run."""
        choice = choose(catalog, holder, loaded, uploads, loading) if loaded else Choice(None, None, None)
        if choice.problem:
            return {panel.found: found_html(choice, catalog, holder)}
        return {panel.found: found_html(choice, catalog, holder), panel.details: details_of(choice, holder)}

    def read_at_last(shown: str, uploads: dict[str, str], loaded: str | None, loading: Loading) -> Updates:
        """Say no more that a file is being read."""
        return loaded_now(uploads, loaded, loading) if READING in shown else {panel.found: gr.skip()}

    def listed(uploads: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Read the folder again. What new files are is found out for the next time: no line moves in an open list."""
        yield gr.update(choices=catalog.choices(uploads))
        for _ in catalog.look(uploads):
            pass

    def leave(request: gr.Request) -> None:
        view.leave(request.session_hash)

    blocks.unload(leave)
    view.opened = blocks.load(opened, None, view.outputs, **QUIET, **AT_ONCE)
    view.opened.then(load_first, view.session, [panel.choice, panel.found, panel.details], **QUIET, **AT_ONCE)
    panel.choice.focus(listed, [panel.uploads], [panel.choice], **QUIET, **AT_ONCE)
    # Gradio tells of a choice twice, and what the first one says at first may come last.
    looked_into = panel.choice.input(chosen, [panel.choice, *view.session], view.outputs, **QUIET, **AGAIN)
    looked_into.then(read_at_last, [panel.found, *view.session], [panel.found, panel.details], **QUIET, **AT_ONCE)
    view.uploaded = panel.upload.upload(uploaded, [panel.upload, *view.session], view.outputs, **QUIET, **AGAIN)
    for control in (panel.weights, panel.precision):
        control.input(changed, [panel.weights, panel.precision, *view.session], view.outputs, **QUIET, **AGAIN)
    panel.offer.click(accepted, [panel.refused, *view.session], view.outputs, **QUIET, **AGAIN)
    unloaded = panel.unload.click(holder.unload, None, None, **QUIET, **AT_ONCE)
    unloaded.then(loaded_now, view.session, [panel.found, panel.details], **QUIET, **AT_ONCE)
    panel.details_group.expand(loaded_now, view.session, [panel.found, panel.details], **QUIET, **AT_ONCE)
    for images in (parts.images, parts.edit.images):
        images.generate.click(looked_again, [*view.session, panel.version], view.outputs, **QUIET, **AT_ONCE)
    return view
