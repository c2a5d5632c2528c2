"""What happens on the bars of what holds at each scale, and on the controls that they tell of."""

from functools import partial
from typing import Any

import gradio as gr

from ..options import CFG_CURVES
from ..recipe import option_names
from .by_scale import CONTROLS, followed, own_values
from .fill_events import values_from
from .parts import Updates
from .sampling_controls import CURVE_CONTROLS
from .settings_panel import SettingsPanel
from .wiring import AT_ONCE, LATEST


def wire_by_scale(panel: SettingsPanel) -> None:
    """Connect the bars with the controls that hold for all scales: what was touched last holds."""
    controls, bars = panel.controls, panel.controls["by_scale"]
    at_once = AT_ONCE | LATEST
    told = {name: controls[name] for name in option_names()}
    curve = [controls[name] for name in CURVE_CONTROLS]

    def follow(control: str, data: dict[gr.blocks.Block, Any]) -> Updates:
        values = values_from(data, told)
        updates = {bars: followed(data[bars], control, values)}
        if control in CONTROLS["cfg_scale"] and values["cfg_curve"] is None:  # it was drawn
            updates[controls["cfg_curve"]] = CFG_CURVES[0]
        return updates

    def drawn(value: Any) -> Updates:
        updates = {panel.presets: None}
        if "cfg_scale" in own_values(value):
            updates |= {controls["cfg_curve"]: None, controls["cfg_start"]: 0, controls["cfg_end"]: 0}
        return updates

    def reset(data: dict[gr.blocks.Block, Any], event: gr.EventData) -> Updates:
        return follow(event.row, data) if event.row in CONTROLS else {panel.presets: None}

    asked = {bars, *told.values()}
    for name in sorted({control for row in CONTROLS.values() for control in row}):
        controls[name].input(partial(follow, name), asked, [bars, controls["cfg_curve"]], **at_once)
    bars.input(drawn, [bars], [panel.presets, *curve], **at_once)
    bars.click(reset, asked, [panel.presets, bars, controls["cfg_curve"]], **at_once)
