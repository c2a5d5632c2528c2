"""Guidance, temperature and top-k scale by scale: the bars that show what holds at each, and that are drawn over."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import gradio as gr

from ...sampling.declaration import is_real
from ...sampling.options import BY_SCALE, DECLARATIONS, SamplingOptions
from ..static import read_script

ROWS = {name: DECLARATIONS[name].title for name in ("cfg_scale", "temperature", "top_k")}  # in the order shown
# Of which controls each row tells until it is drawn over.
CONTROLS = {
    "cfg_scale": ("cfg_scale", "cfg_curve", "cfg_start", "cfg_end"),
    "temperature": ("temperature",),
    "top_k": ("top_k",),
}


def template() -> str:
    """Return the HTML of the bars."""
    rows = "".join(
        f'<div class="row" data-name="{name}"><p><b>{title}</b> <span></span>'
        f'<button type="button" hidden aria-label="{title}: as the controls say it">Reset</button></p>'
        f'<div class="bars" role="group" aria-label="{title} at each scale"></div></div>'
        for name, title in ROWS.items()
    )
    return f'<p class="head"><b>By scale</b><span>Draw over the bars to change one.</span></p>{rows}<ol></ol>'


def create_by_scale(value: dict[str, Any]) -> gr.HTML:
    """Lay out the bars; `value` as of `bars_value`."""
    return gr.HTML(
        value,
        html_template=template(),
        js_on_load=read_script("by_scale"),
        apply_default_css=False,
        elem_id="by-scale",
    )


def bars_value(
    patch_nums: Sequence[int],
    limits: Mapping[str, tuple[float, float, float]],
    values: Mapping[str, Any],
    own: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, Any]:
    """Return what the bars show.

    Args:
        patch_nums: side of the token map of each scale.
        limits: least value, largest value and step of each row.
        values: of the controls that hold for all scales, by their names.
        own: the rows that are drawn, with a value for each scale.
    """
    own = own or {}
    rows = {}
    for name in ROWS:
        held = own.get(name) or held_values(name, values, len(patch_nums))
        rows[name] = {"values": list(held), "own": name in own, "limits": list(limits[name])}
    return {"patch_nums": list(patch_nums), "rows": rows}


def held_values(name: str, values: Mapping[str, Any], num_scales: int) -> list[float]:
    """Return what the controls say of a row at each scale; what they cannot say, for one is empty, is the default."""
    told = {control: values[control] for control in CONTROLS[name] if values.get(control) is not None}
    options = SamplingOptions((None,), **told)
    attribute = "guidance" if name == "cfg_scale" else name
    return [getattr(options.at_scale(scale, num_scales), attribute) for scale in range(num_scales)]


def followed(value: Any, control: str, values: Mapping[str, Any]) -> Any:
    """Return the bars after one of the controls was touched: its row tells of the controls again.

    Args:
        value: of the bars, from a browser.
        control: its name.
        values: of the controls, by their names.
    """
    name = next(name for name, controls in CONTROLS.items() if control in controls)
    num_scales = len(value["patch_nums"])
    row = {**value["rows"][name], "values": held_values(name, values, num_scales), "own": False}
    return {**value, "rows": {**value["rows"], name: row}}


def own_values(value: Any) -> dict[str, list[float]]:
    """Return the rows that are drawn, by name; `value` comes from a browser and may be anything."""
    rows = value.get("rows") if isinstance(value, dict) else None
    own = {}
    for name, row in rows.items() if isinstance(rows, dict) else ():
        numbers = row.get("values") if name in BY_SCALE and isinstance(row, dict) and row.get("own") is True else None
        if isinstance(numbers, list) and all(map(is_real, numbers)):
            own[name] = [round(number) if name == "top_k" else float(number) for number in numbers]
    return own


def untouched(value: Any, filled: Container[str], num_scales: int) -> dict[str, list[float]]:
    """Return the rows that are drawn and stay when controls are filled, by name.

    Args:
        value: of the bars, from a browser.
        filled: names of the controls that get other values.
        num_scales: of the checkpoint.
    """
    return {
        name: numbers
        for name, numbers in own_values(value).items()
        if len(numbers) == num_scales and not any(control in filled for control in CONTROLS[name])
    }


def for_controls(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as values of the controls: what has one for each scale goes to `by_scale`.

    The control has what holds at the first scale then, and that of guidance, which grows, what holds at the last.

    Args:
        values: by the options' names, and others.
    """
    own = {name: list(values[name]) for name in ROWS if isinstance(values.get(name), list | tuple)}
    drawn = {"cfg_curve": None, "cfg_start": 0, "cfg_end": 0} if "cfg_scale" in own else {}
    ends = {name: numbers[-1 if name == "cfg_scale" else 0] for name, numbers in own.items()}
    return {**values, **ends, **drawn, "by_scale": own}
