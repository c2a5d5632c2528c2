"""Settings from elsewhere are put into the controls: of an image, of a link, of a comparison."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from ...engine.description import Description
from ...engine.engine import Engine
from ...engine.models import Loading
from ..checkpoint.panel import choose
from ..checkpoint.view import CheckpointView
from ..events import AT_ONCE
from ..html import hint_line, notice_banner, status_line
from ..parts import Parts
from ..runs import Updates
from . import panel as settings_panel
from . import sampling as sampling_controls
from .restore import Wanted, fitted


def fill_from(event: gr.events.Dependency, parts: Parts, view: CheckpointView, wanted_state: gr.State) -> Any:
    """Fill the controls, after an event that put settings into `wanted_state`; returns the last event."""
    panel = parts.settings

    def select(
        wanted: Wanted | None, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> Updates:
        """Choose the checkpoint of the settings, unless it is chosen; it is loaded when it is used."""
        nothing = {parts.checkpoint.found: gr.skip()}
        if wanted is None or wanted.checkpoint is None:
            return nothing
        weights = "raw" if wanted.weights == "raw" else None
        description = describe(parts, wanted.checkpoint, uploads)
        dtype = dtype_for(wanted, parts.engine, loading, description.num_parameters if description else 0)
        asked = replace(loading, weights=weights, dtype=dtype, num_heads=wanted.num_heads)
        if wanted.checkpoint == loaded and asked == loading:
            return nothing
        view.begin(request.session_hash, wanted.checkpoint)  # whatever is being looked into is no longer wanted
        choice = choose(parts.catalog, parts.engine, wanted.checkpoint, uploads, asked)
        if choice.problem:
            return view.refuse(choice, uploads, loaded, loading)
        return view.show(choice, uploads, is_new=True, is_first=loaded is None)

    def told_beside(wanted: Wanted) -> Updates:
        """Say on the right side, too, what came of it: the note below the settings may be out of sight."""
        if wanted.note:
            return {problem: notice_banner(wanted.note) for problem in parts.problems}
        return {} if wanted.silent else {status: status_line("Settings restored") for status in parts.statuses}

    def fill(data: dict[gr.blocks.Block, Any]) -> Updates:
        wanted = data[wanted_state]
        description = describe(parts, data[parts.checkpoint.choice], data[parts.checkpoint.uploads])
        if wanted is None or description is None:
            return {wanted_state: None}
        wanted = fitted(wanted, description, parts.engine.placement().device)
        held = values_from(data, panel.controls) | wanted.values
        bars = sampling_controls.bars(description, held, wanted.values.get("by_scale"))
        updates = settings_panel.value_updates(panel, {**wanted.values, "by_scale": bars})
        note = wanted.note or ("Settings restored." if wanted.values and not wanted.silent else "")
        updates |= told_beside(wanted)
        preset = sampling_controls.matching_preset({**held, "by_scale": bars}, description)
        return updates | {panel.presets: preset, panel.note: hint_line(note), wanted_state: None}

    selected = event.then(select, [wanted_state, *view.session], view.outputs, **AT_ONCE)
    asked = {wanted_state, parts.checkpoint.choice, parts.checkpoint.uploads, *panel.controls.values()}
    told = [panel.note, *parts.problems, *parts.statuses]
    return selected.then(fill, asked, [*panel.shown(), *told, wanted_state], **AT_ONCE)


def dtype_for(wanted: Wanted, engine: Engine, loading: Loading, num_parameters: int) -> str | None:
    """Return the precision of `Loading` that makes an image again; the one of now where that does, or none can.

    Args:
        wanted: device and precision of the image.
        engine: makes it.
        loading: how the checkpoint of now is loaded.
        num_parameters: of the checkpoint that made the image.
    """
    here = engine.placement(loading, num_parameters)
    if wanted.device != here.device or wanted.dtype in (None, here.dtype):
        return loading.dtype
    return None if wanted.dtype == engine.placement(None, num_parameters).dtype else wanted.dtype


def describe(parts: Parts, name: str | None, uploads: Mapping[str, str]) -> Description | None:
    """Return what is known of a checkpoint; None where it cannot be used."""
    return choose(parts.catalog, parts.engine, name, uploads).description


def values_from(data: Mapping[gr.blocks.Block, Any], controls: Mapping[str, gr.blocks.Block]) -> dict[str, Any]:
    """Return the value of every control by its name."""
    return {name: data[control] for name, control in controls.items()}
