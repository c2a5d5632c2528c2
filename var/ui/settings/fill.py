"""Settings from elsewhere are put into the controls: of an image, of a link, of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from ...engine.engine import Engine
from ...engine.models import Loading
from ..checkpoint.panel import choose
from ..checkpoint.view import CheckpointView
from ..events import AT_ONCE, EACH
from ..html import hint_line, notice_banner, status_line
from ..runs import Updates
from . import panel as settings_panel
from . import sampling as sampling_controls
from .bars import untouched
from .panel import SettingsPanel
from .restore import Wanted, fitted


class Fill:
    """Fills the controls with settings.

    Args:
        view: shows another checkpoint, where the settings are of one.
        panel: of the settings.
        statuses: where tabs say that settings were restored.
        problems: where they say what could not be.

    Attributes:
        wanted: session state that takes settings, as `Wanted`.
    """

    def __init__(
        self, view: CheckpointView, panel: SettingsPanel, statuses: Sequence[gr.HTML], problems: Sequence[gr.HTML]
    ) -> None:
        self._view, self._panel, self._statuses, self._problems = view, panel, statuses, problems
        self.wanted = gr.State(None)

    def after(self, event: gr.events.Dependency, wanted: gr.State | None = None) -> gr.events.Dependency:
        """Fill the controls after an event that put settings into `wanted`, or a state of its own; returns the last."""
        state, checkpoint = wanted or self.wanted, self._view.panel
        selected = event.then(self._select, [state, *self._view.session], self._view.outputs, **AT_ONCE | EACH)
        asked = {state, checkpoint.choice, checkpoint.uploads, *self._panel.controls.values()}
        told = [self._panel.note, *self._problems, *self._statuses]
        return selected.then(partial(self._fill, state), asked, [*self._panel.shown(), *told, state], **AT_ONCE | EACH)

    def _select(
        self, wanted: Wanted | None, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> Updates:
        """Choose the checkpoint of the settings, unless it is chosen; it is loaded when it is used."""
        view = self._view
        nothing: Updates = {view.panel.found: gr.skip()}
        if wanted is None or wanted.checkpoint is None:
            return nothing
        weights = "raw" if wanted.weights == "raw" else None
        description = view.describe(wanted.checkpoint, uploads)
        dtype = dtype_for(wanted, view.engine, loading, description.num_parameters if description else 0)
        asked = replace(loading, weights=weights, dtype=dtype, num_heads=wanted.num_heads)
        if wanted.checkpoint == loaded and asked == loading:
            return nothing
        view.begin(request.session_hash, wanted.checkpoint)  # whatever is being looked into is no longer wanted
        choice = choose(view.catalog, view.engine, wanted.checkpoint, uploads, asked)
        if choice.problem:
            return view.refuse(choice, uploads, loaded, loading)
        return view.show(choice, uploads, is_new=True, is_first=loaded is None)

    def _told_beside(self, wanted: Wanted) -> Updates:
        """Say on the right side, too, what came of it: the note below the settings may be out of sight."""
        if wanted.note:
            return dict.fromkeys(self._problems, notice_banner(wanted.note))
        return {} if wanted.silent else dict.fromkeys(self._statuses, status_line("Settings restored"))

    def _fill(self, state: gr.State, data: dict[gr.blocks.Block, Any]) -> Updates:
        wanted, view, panel = data[state], self._view, self._panel
        description = view.describe(data[view.panel.choice], data[view.panel.uploads])
        if wanted is None or description is None:
            return {state: None}
        wanted = fitted(wanted, description, view.engine.placement().device)
        values = dict(wanted.values)
        kept = panel.kept.updates(values.pop("kept")) if "kept" in values else {}
        held = values_from(data, panel.controls) | values
        drawn = untouched(data[panel.controls["by_scale"]], values, len(description.patch_nums))
        bars = sampling_controls.bars(description, held, {**drawn, **values.get("by_scale", {})})
        updates = settings_panel.value_updates(panel, {**values, "by_scale": bars}) | kept
        note = wanted.note or ("Settings restored." if values and not wanted.silent else "")
        updates |= self._told_beside(wanted)
        preset = sampling_controls.matching_preset({**held, "by_scale": bars}, description)
        return updates | {panel.presets: preset, panel.note: hint_line(note), state: None}


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


def values_from(data: Mapping[gr.blocks.Block, Any], controls: Mapping[str, gr.blocks.Block]) -> dict[str, Any]:
    """Return the value of every control by its name."""
    return {name: data[control] for name, control in controls.items()}
