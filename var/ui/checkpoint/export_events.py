"""What happens on Export."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from ...engine.exports import (
    EXPORT_QUEUE,
    ExportOrder,
    expected_bytes,
    export,
    new_folder,
    remove_folder,
    written_bytes,
)
from ...engine.models import Loading
from ...engine.tasks import Task
from ...errors import USER_ERRORS, error_text
from ..events import AT_ONCE, QUIET, hear_of
from ..html import FAILED, error_banner
from ..options import PageOptions
from ..runs import Updates
from .export_panel import ExportPanel, exported_html, writing_html
from .panel import folders_of
from .view import CheckpointView


def wire_export(panel: ExportPanel, view: CheckpointView, options: PageOptions) -> None:
    """Connect Export; a session's last export is removed when it makes another one or leaves."""

    def begin(*asked: Any) -> Updates:
        """Take down what is asked: what is chosen while it waits does not get into it."""
        return {
            panel.asked: asked,
            panel.start: gr.update(interactive=False),
            panel.files: None,
            panel.progress: writing_html(0, 0),
        }

    async def run(
        asked: tuple[str, str, dict[str, str], str | None, Loading], before: str | None
    ) -> AsyncIterator[Updates]:
        format_name, dtype, uploads, loaded, loading = asked
        remove_folder(before)
        if not options.exports:
            return
        path, folder = None, new_folder(get_upload_folder())
        yield {panel.folder: str(folder)}
        try:
            path = await asyncio.to_thread(view.catalog.resolve, loaded, uploads)
            order = ExportOrder(loaded or path.name, path, format_name, dtype, loading)
            order.check()
            whole = replace(loading, dtype=None, folders=folders_of(uploads))
            pair = await asyncio.to_thread(view.engine.open, path, whole)
            total = expected_bytes(pair, dtype)
            task = Task(lambda _: export(order, pair, folder))
            async for _ in task.watch():
                yield {panel.progress: writing_html(written_bytes(folder), total)}
            exported = task.result()
        except USER_ERRORS as error:
            remove_folder(folder)
            yield {panel.progress: error_banner(error_text(error, path, loaded))}
            return
        yield {
            panel.progress: exported_html(exported),
            panel.files: [str(file) for file in exported.paths],
        }

    def end() -> Updates:
        return {panel.start: gr.update(interactive=True)}

    def failed() -> Updates:
        """Whatever went wrong, one can go on."""
        return end() | {panel.progress: error_banner(FAILED)}

    asked = [panel.format, panel.precision, *view.session]
    hear_of([panel.start.click])
    started = panel.start.click(begin, asked, [panel.start, panel.files, panel.progress, panel.asked], **AT_ONCE)
    finished = started.then(
        run,
        [panel.asked, panel.folder],
        [panel.progress, panel.files, panel.folder],
        concurrency_id=EXPORT_QUEUE,
        concurrency_limit=1,
        **QUIET,
    )
    finished.then(end, None, [panel.start], **AT_ONCE)
    finished.failure(failed, None, [panel.start, panel.progress], **AT_ONCE)
