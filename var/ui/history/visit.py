"""What a visit keeps when its page is loaded again: its runs, uploads and settings, as its browser tab tells them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..checkpoint.panel import dropdown_update
from ..events import AT_ONCE
from ..images.picked import shown_run
from ..parts import Parts
from ..runs import Updates
from ..settings.fill import values_from
from ..settings.links import link_values, to_query
from .remembered import from_text, to_text

KEY = "var-visit"
TELL = f'(told, choice) => [sessionStorage.getItem("{KEY}") ?? "", choice]'
REMEMBER = f'(text) => {{ try {{ sessionStorage.setItem("{KEY}", text); }} catch {{ /* no room: then not */ }} }}'
SHOWN_AGAIN = "From before this page was loaded"


def wire_reload(parts: Parts, opened: gr.events.Dependency) -> gr.events.Dependency:
    """Bring runs and uploads back after the page was loaded again; settings follow where links are read.

    Args:
        parts: of the page.
        opened: the event of a page that is brought up to date.

    Returns:
        The event after which they are back.
    """
    checkpoint, history, images = parts.checkpoint, parts.history, parts.images

    def remember(text: str, choice: str | None) -> Updates:
        runs, uploads = from_text(text, parts.catalog, Path(history.gallery.GRADIO_CACHE))
        updates = {checkpoint.uploads: uploads, history.told: text}
        if uploads:
            updates[checkpoint.choice] = dropdown_update(parts.catalog, uploads, choice)
        if runs:
            updates |= history.updates(runs) | shown_run(images, runs[0], SHOWN_AGAIN)
        return updates

    outputs = [checkpoint.uploads, checkpoint.choice, history.told, *history.outputs]
    outputs += [images.gallery, images.shown, images.bundle, images.status, *images.of_picked]
    return opened.then(
        remember,
        [history.told, checkpoint.choice],
        outputs,
        js=TELL,
        **AT_ONCE,
    )


def wire_memory(parts: Parts, events: Sequence[gr.events.Dependency]) -> None:
    """Let the browser's tab remember runs, uploads and settings after each of these events."""

    def tell(data: dict[gr.blocks.Block, Any]) -> str:
        query = to_query(data[choice], link_values(values_from(data, parts.settings.controls)))
        return to_text(data[history.runs], data[uploads], query, data[parts.settings.controls["new_seed"]])

    history = parts.history
    choice, uploads = parts.checkpoint.choice, parts.checkpoint.uploads
    asked = {history.runs, choice, uploads, *parts.settings.controls.values()}
    for event in events:
        told = event.then(tell, asked, [history.told], **AT_ONCE)
        told.then(None, [history.told], None, js=REMEMBER, **AT_ONCE)
