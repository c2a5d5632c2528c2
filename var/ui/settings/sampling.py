"""The controls of how tokens are drawn: guidance, top-k, top-p, temperature; their ranges; the presets for them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from ...engine.description import Description
from ...sampling.options import BY_SCALE, DECLARATIONS, option_names
from ...sampling.presets import CURVE_OPTIONS, PRESETS, Preset
from ..unchecked import Radio, Slider
from .bars import bars_value, for_controls, own_values

USUAL_PATCH_NUMS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
USUAL_VOCAB_SIZE = 4096
LABELS = {name: said.title for name, said in DECLARATIONS.items()}
OPTION_NAMES = re.compile(rf"\b({'|'.join(LABELS)})\b")
CURVE_NAMES = {"ramp": "Rising", "constant": "Constant"}
ELEMENT_IDS = {"cfg_scale": "guidance"}  # where it is not the option's name


def create_sampling_controls(description: Description | None, values: Mapping[str, Any]) -> dict[str, Component]:
    """Lay out the controls that presets fill."""
    names = [name for name in DECLARATIONS if name not in CURVE_OPTIONS]
    return {name: create_control(name, description, values[name]) for name in names}


def create_guidance_controls(description: Description | None, values: Mapping[str, Any]) -> dict[str, Component]:
    """Lay out how guidance goes over the scales."""
    return {name: create_control(name, description, values[name]) for name in CURVE_OPTIONS}


def create_control(name: str, description: Description | None, value: Any) -> Component:
    """Lay out the control of an option: a box, a choice or a slider."""
    said = DECLARATIONS[name]
    about: dict[str, Any] = {"label": said.title, "info": f"{said.help[0].upper()}{said.help[1:]}."}
    about["elem_id"] = ELEMENT_IDS.get(name, name.replace("_", "-"))
    if said.is_switch:
        return gr.Checkbox(value, **about)
    if said.choices:
        return Radio([(CURVE_NAMES[choice], choice) for choice in said.choices], value=value, **about)
    least, most = limits(description)[name]
    return Slider(least, most, value=value, step=said.step, buttons=[], **about)


def sampling_values(preset: Preset, description: Description | None) -> dict[str, Any]:
    """Return the value of every control of sampling that a preset stands for."""
    settings = for_controls(preset.settings(vocab_size_of(description)))
    return settings | {"by_scale": bars(description, settings, settings["by_scale"])}


def bars(
    description: Description | None, values: Mapping[str, Any], own: Mapping[str, Sequence[float]] | None = None
) -> dict[str, Any]:
    """Return what the bars show; arguments as of `bars_value`."""
    ranges = limits(description)
    steps = {name: (*ranges[name], DECLARATIONS[name].step) for name in BY_SCALE}
    return bars_value(patch_nums_of(description), steps, values, own)


def sampling_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return how tokens are drawn as the controls say it: arguments of `VARPipeline.stream`."""
    own = own_values(values["by_scale"])
    beside = CURVE_OPTIONS if "cfg_scale" in own else ()  # drawn guidance has no curve
    return {name: own.get(name, values[name]) for name in option_names() if name not in beside}


def presets_of(description: Description | None) -> tuple[Preset, ...]:
    """Return the presets for a checkpoint, the one to begin with first."""
    if description is None or not description.defaults:
        return PRESETS
    own = Preset("own", "This checkpoint", "As its authors sample it", description.defaults)
    return (own, *PRESETS)


def preset_choices(description: Description | None) -> list[tuple[str, str]]:
    """Return the names and keys of the presets."""
    return [(preset.name, preset.key) for preset in presets_of(description)]


def find_preset(key: str, description: Description | None) -> Preset:
    """Return a preset; the first where there is none of this key."""
    presets = presets_of(description)
    return next((preset for preset in presets if preset.key == key), presets[0])


def matching_preset(values: Mapping[str, Any], description: Description | None) -> str | None:
    """Return the key of the preset that the controls stand for; None where they stand for none."""
    asked = sampling_of(values)
    matching = (
        preset.key for preset in presets_of(description) if sampling_of(sampling_values(preset, description)) == asked
    )
    return next(matching, None)


def in_words(text: str) -> str:
    """Return a message with the controls called as the page calls them."""
    return OPTION_NAMES.sub(lambda match: LABELS[match[0]], text)


def vocab_size_of(description: Description | None) -> int:
    """Return the size of the vocabulary; the usual one where there is no checkpoint yet."""
    return description.vocab_size if description else USUAL_VOCAB_SIZE


def patch_nums_of(description: Description | None) -> tuple[int, ...]:
    """Return the sides of the token maps; the usual ones where there is no checkpoint yet."""
    return (description.patch_nums if description else ()) or USUAL_PATCH_NUMS


def scale_range(description: Description | None) -> dict[str, Any]:
    """Return the limits of the sliders that name a scale."""
    return {"minimum": 0, "maximum": max(1, len(patch_nums_of(description)) - 1)}


def limits(description: Description | None) -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of every control of numbers for a checkpoint, by name."""
    last_scale, found = scale_range(description)["maximum"], {}
    for name, said in DECLARATIONS.items():
        if said.is_switch or said.choices:
            continue
        most = last_scale if said.names_scale else said.most or said.offered or vocab_size_of(description)
        found[name] = (said.step if said.above else said.least, most)
    return found
