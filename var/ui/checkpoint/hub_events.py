"""What happens on downloading a checkpoint from the Hugging Face Hub."""

from collections.abc import AsyncIterator
from html import escape
from pathlib import Path

import gradio as gr

from ...checkpoints.remote import download_checkpoint, peek
from ...engine.models import Loading
from ...engine.tasks import BySession, CancelledError, FewThreads, Report, StopSignals, Task
from ...engine.uploads import GB
from ...errors import USER_ERRORS, error_text
from ...hub.addresses import parse_address
from ...hub.download import Access, cached_address, download
from ...hub.known_models import find_known
from ..events import AGAIN, AT_ONCE, LATER, LATEST, QUIET, hear_of
from ..html import FAILED, error_banner
from ..options import PageOptions
from ..runs import Updates
from .card import meter_html
from .hub_panel import HubPanel, about_html, look_html, progress_html
from .panel import add_file
from .view import CheckpointView

HUB_QUEUE = "hub"
MAX_DOWNLOADS = 2  # at a time
MAX_LOOKS = 2  # into files on the Hub, at a time
MAX_ASKED = 2_000  # characters of an address
MAX_WAITING = 20  # sessions that wait for a look
MAX_ASKED = 1000  # sessions of which is known what stands in their field


def access_of(options: PageOptions) -> Access:
    """Return what a server may download."""
    max_bytes = round(options.largest_download * GB)
    return Access(not options.hub_token, max_bytes, listed_only=not options.other_models)


def wire_hub(blocks: gr.Blocks, panel: HubPanel, view: CheckpointView, options: PageOptions) -> None:
    """Connect the Hub's panel; what was downloaded is chosen."""
    checkpoint = view.panel
    access = access_of(options)
    signals = StopSignals()
    lookers = FewThreads(MAX_LOOKS, MAX_WAITING)
    asked: BySession[str | None] = BySession()  # what stands in each session's field

    def begin(request: gr.Request) -> Updates:
        signals.renew(request.session_hash)
        return {
            panel.download: gr.update(interactive=False),
            panel.cancel: gr.update(interactive=True),
            panel.progress: progress_html(0, 0),
            panel.arrived: None,
            checkpoint.problem: "",
        }

    async def run(text: str, request: gr.Request) -> AsyncIterator[Updates]:
        """Download a checkpoint and the VQVAE that belongs to it."""
        if not options.hub:
            return
        task = Task(lambda report: fetch(text or "", access, report), signals.of(request.session_hash))
        async for done, total in task.watch():
            yield {panel.progress: progress_html(done, total)}
        try:
            name, path = task.result()
        except CancelledError:
            yield {panel.progress: '<div class="progress"><p>Cancelled. What came so far is kept.</p></div>'}
            return
        except USER_ERRORS as error:
            yield {panel.progress: "", checkpoint.problem: error_banner(error_text(error))}
            return
        yield {panel.progress: meter_html("Downloaded", 1, 1), panel.arrived: (name, str(path))}

    async def choose_it(
        arrived: tuple[str, str] | None,
        uploads: dict[str, str],
        loaded: str | None,
        loading: Loading,
        request: gr.Request,
    ) -> AsyncIterator[Updates]:
        """Choose what was downloaded, in the session as it is by now."""
        if arrived is None:
            yield {checkpoint.found: gr.skip()}
            return
        name, with_file = add_file(uploads, *arrived)
        is_latest = view.begin(request.session_hash, name)
        yield {checkpoint.uploads: with_file}
        async for updates in view.take(name, with_file, loaded, loading, loading.for_another(), is_latest):
            yield updates

    def end() -> Updates:
        return {panel.download: gr.update(interactive=True), panel.cancel: gr.update(interactive=False)}

    def failed() -> Updates:
        """Whatever went wrong, one can go on."""
        return end() | {panel.progress: "", checkpoint.problem: error_banner(FAILED)}

    def cancel(request: gr.Request) -> None:
        signals.stop(request.session_hash)

    def leave(request: gr.Request) -> None:
        signals.leave(request.session_hash)
        asked.pop(request.session_hash, None)

    def tell(text: str | None, request: gr.Request) -> str:
        """Say at once what is known of a model."""
        asked.pop(request.session_hash, None)
        asked[request.session_hash] = text and text[:MAX_ASKED]
        if len(asked) > MAX_ASKED:
            del asked[next(iter(asked))]
        return about_html(text)

    async def look(text: str | None, request: gr.Request) -> Updates:
        """Ask the Hub about it, unless the session asks for another one by then."""
        if not options.hub or lookers.is_busy():
            return {panel.about: gr.skip()}
        try:
            looked = look_html(await lookers.run(lambda: peek(text or "", access)))
        except USER_ERRORS as error:
            looked = f"<p>{escape(error_text(error))}</p>"
        is_latest = asked.get(request.session_hash) == (text and text[:MAX_ASKED])
        return {panel.about: about_html(text, looked) if is_latest else gr.skip()}

    panel.model.change(tell, [panel.model], [panel.about], **AT_ONCE).then(
        look, [panel.model], [panel.about], **AT_ONCE | LATEST
    )
    hear_of([panel.download.click])
    started = panel.download.click(
        begin,
        None,
        [panel.download, panel.cancel, panel.progress, panel.arrived, checkpoint.problem],
        **AT_ONCE,
    )
    finished = started.then(
        run,
        [panel.model],
        [panel.progress, panel.arrived, checkpoint.problem],
        concurrency_id=HUB_QUEUE,
        concurrency_limit=MAX_DOWNLOADS,
        **QUIET,
    )
    finished.then(end, None, [panel.download, panel.cancel], **AT_ONCE)
    # Not in the moment in which the stream of the download is closed, see `hear_of`.
    arrived = finished.then(None, None, None, js=LATER, **AT_ONCE)
    arrived.then(choose_it, [panel.arrived, *view.session], view.outputs, **AGAIN)
    after_failure = [panel.download, panel.cancel, panel.progress, checkpoint.problem]
    finished.failure(failed, None, after_failure, **AT_ONCE)
    panel.cancel.click(cancel, None, None, **AT_ONCE)
    blocks.unload(leave)


def fetch(text: str, access: Access, report: Report) -> tuple[str, Path]:
    """Download a checkpoint and, of a published model, its VQVAE; returns a name for the list, and the file.

    Raises:
        CheckpointError: the text is no address, or the Hub does not hand out the file.
    """
    address = parse_address(text)
    path = download_checkpoint(address, report, access)
    found = cached_address(path) or address
    known = find_known(found.repo, found.path)
    if known is not None:
        download(known.vae_source, report, access)
    return f"{found.repo}/{found.path}", path
