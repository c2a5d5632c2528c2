"""What happens on the bars of what holds at each scale, and on the controls that they tell of."""

from functools import partial
from typing import Any

import gradio as gr

from ...sampling.options import CFG_CURVES, option_names
from ...sampling.presets import CURVE_OPTIONS
from ..events import AT_ONCE, LATEST
from ..runs import Updates
from .bars import CONTROLS, followed
from .fill import values_from
from .panel import SettingsPanel

# Guidance that is drawn is its own curve: the controls of the curve say so at once.
DRAWN = "(bars, ...curve) => [null, ...(bars?.rows?.cfg_scale?.own ? [null, 0, 0] : curve)]"


def wire_by_scale(panel: SettingsPanel) -> None:
    """Connect the bars with the controls that hold for all scales: what was touched last holds."""
    controls, bars = panel.controls, panel.controls["by_scale"]
    at_once = AT_ONCE | LATEST
    told = {name: controls[name] for name in option_names()}
    curve = [controls[name] for name in CURVE_OPTIONS]

    def follow(control: str, data: dict[gr.blocks.Block, Any]) -> Updates:
        values = values_from(data, told)
        updates = {bars: followed(data[bars], control, values)}
        if control in CONTROLS["cfg_scale"] and values["cfg_curve"] is None:  # it was drawn
            updates[controls["cfg_curve"]] = CFG_CURVES[0]
        return updates

    def reset(data: dict[gr.blocks.Block, Any], event: gr.EventData) -> Updates:
        return follow(event.row, data) if event.row in CONTROLS else {panel.presets: None}

    asked = {bars, *told.values()}
    for name in sorted({control for row in CONTROLS.values() for control in row}):
        controls[name].input(partial(follow, name), asked, [bars, controls["cfg_curve"]], **at_once)
    bars.input(None, [bars, *curve], [panel.presets, *curve], js=DRAWN, **AT_ONCE)
    bars.click(reset, asked, [panel.presets, bars, controls["cfg_curve"]], **at_once)
