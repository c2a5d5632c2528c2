"""What a visit keeps when its page is loaded again: its runs, uploads and settings, as its browser tab tells them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..checkpoint.panel import dropdown_update
from ..checkpoint.view import CheckpointView
from ..events import AT_ONCE, LATEST
from ..images.panel import ImagesPanel
from ..images.picked import shown_run
from ..runs import Updates
from ..settings.fill import values_from
from ..settings.links import link_values, to_query
from ..settings.panel import SettingsPanel
from .kept_runs import MOST_RUNS, KeptRun
from .panel import HistoryPanel
from .remembered import from_text, to_text

KEY = "var-visit"
TELL = f'(told, ...others) => [sessionStorage.getItem("{KEY}") ?? "", ...others]'
REMEMBER = f'(text) => {{ try {{ sessionStorage.setItem("{KEY}", text); }} catch {{ /* no room: then not */ }} }}'
SHOWN_AGAIN = "From before this page was loaded"


def wire_reload(
    opened: gr.events.Dependency, view: CheckpointView, history: HistoryPanel, images: ImagesPanel
) -> gr.events.Dependency:
    """Bring runs and uploads back after the page was loaded again; settings follow where links are read.

    Args:
        opened: the event of a page that is brought up to date.
        view: shows the checkpoint.
        history: takes the runs.
        images: shows the last of them.

    Returns:
        The event after which they are back.
    """
    checkpoint = view.panel

    def remember(text: str, choice: str | None, new_uploads: dict[str, str], new_runs: list[KeptRun]) -> Updates:
        """Put what was there before to what came since the page was opened, which may be slow."""
        runs, uploads = from_text(text, view.catalog, Path(history.gallery.GRADIO_CACHE))
        updates: Updates = {history.told: text}
        if uploads:
            uploads |= new_uploads
            updates |= {checkpoint.uploads: uploads, checkpoint.choice: dropdown_update(view.catalog, uploads, choice)}
        if runs:
            updates |= history.updates([*new_runs, *runs][:MOST_RUNS])
            if not new_runs:
                updates |= shown_run(images, runs[0], SHOWN_AGAIN)
        return updates

    outputs = [checkpoint.uploads, checkpoint.choice, history.told, *history.outputs]
    outputs += [images.gallery, images.shown, images.bundle, images.status, *images.of_picked]
    return opened.then(
        remember,
        [history.told, checkpoint.choice, checkpoint.uploads, history.runs],
        outputs,
        js=TELL,
        **AT_ONCE,
    )


def wire_memory(
    events: Sequence[gr.events.Dependency], view: CheckpointView, history: HistoryPanel, settings: SettingsPanel
) -> None:
    """Let the browser's tab remember runs, uploads and settings after each of these events."""
    choice, uploads, controls = view.panel.choice, view.panel.uploads, settings.controls

    def tell(data: dict[gr.blocks.Block, Any]) -> str:
        query = to_query(data[choice], link_values(values_from(data, controls)))
        return to_text(data[history.runs], data[uploads], query, data[controls["new_seed"]])

    asked = {history.runs, choice, uploads, *controls.values()}
    for event in events:
        told = event.then(tell, asked, [history.told], **AT_ONCE | LATEST)
        told.then(None, [history.told], None, js=REMEMBER, **AT_ONCE)
