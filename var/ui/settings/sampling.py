"""The controls of how tokens are drawn: guidance, top-k, top-p, temperature; their ranges; the presets for them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from ...engine.description import Description
from ...sampling.options import CFG_CURVES, option_names
from ...sampling.presets import PRESETS, Preset
from ..unchecked import Radio, Slider
from .bars import own_values, value_of

MOST_GUIDANCE = 10
GUIDANCE_STEP = 0.1
MOST_TEMPERATURE = 2
LEAST_TEMPERATURE = TEMPERATURE_STEP = 0.05
USUAL_PATCH_NUMS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
USUAL_VOCAB_SIZE = 4096
LABELS = {
    "cfg_scale": "Guidance",
    "top_k": "Top-k",
    "top_p": "Top-p",
    "temperature": "Temperature",
    "cfg_start": "Start guidance after scale",
    "cfg_end": "Stop guidance after scale",
}
OPTION_NAMES = re.compile(rf"\b({'|'.join(LABELS)})\b")
CURVE_CONTROLS = ("cfg_curve", "cfg_start", "cfg_end")
CURVE_NAMES = {"ramp": "Rising", "constant": "Constant"}


def create_sampling_controls(description: Description | None, values: Mapping[str, Any]) -> dict[str, Component]:
    """Lay out the controls that presets fill."""
    return {
        "cfg_scale": Slider(
            0,
            MOST_GUIDANCE,
            value=values["cfg_scale"],
            step=GUIDANCE_STEP,
            label=LABELS["cfg_scale"],
            info="Higher keeps closer to the class, lower varies more. 0 is off.",
            elem_id="guidance",
            buttons=[],
        ),
        "top_k": Slider(
            value=values["top_k"],
            **top_k_range(description),
            step=1,
            label=LABELS["top_k"],
            info="Draws each token from the k likeliest. 0 is off.",
            elem_id="top-k",
            buttons=[],
        ),
        "top_p": Slider(
            0,
            1,
            value=values["top_p"],
            step=0.01,
            label=LABELS["top_p"],
            info="Draws from the likeliest tokens that make up this probability. 0 is off.",
            elem_id="top-p",
            buttons=[],
        ),
        "temperature": Slider(
            LEAST_TEMPERATURE,
            MOST_TEMPERATURE,
            value=values["temperature"],
            step=TEMPERATURE_STEP,
            label=LABELS["temperature"],
            info="Below 1 is safer, above 1 more varied.",
            elem_id="temperature",
            buttons=[],
        ),
        "more_smooth": gr.Checkbox(
            values["more_smooth"],
            label="More smooth",
            info="Blends tokens instead of picking one (Gumbel softmax): softer images.",
            elem_id="more-smooth",
        ),
    }


def create_guidance_controls(description: Description | None, values: Mapping[str, Any]) -> dict[str, Component]:
    """Lay out how guidance goes over the scales."""
    return {
        "cfg_curve": Radio(
            [(CURVE_NAMES[curve], curve) for curve in CFG_CURVES],
            value=values["cfg_curve"],
            label="Guidance schedule",
            info="Rising from 0 at the first scale, as in the paper, or the same at all scales.",
            elem_id="cfg-curve",
        ),
        "cfg_start": Slider(
            value=values["cfg_start"],
            **scale_range(description),
            step=1,
            label=LABELS["cfg_start"],
            info="0 starts with the first scale.",
            elem_id="cfg-start",
            buttons=[],
        ),
        "cfg_end": Slider(
            value=values["cfg_end"],
            **scale_range(description),
            step=1,
            label=LABELS["cfg_end"],
            info="0 never stops. Stopping early saves up to half of the time.",
            elem_id="cfg-end",
            buttons=[],
        ),
    }


def sampling_values(preset: Preset, description: Description | None) -> dict[str, Any]:
    """Return the value of every control of sampling that a preset stands for."""
    settings = preset.settings(vocab_size_of(description))
    return settings | {"by_scale": bars(description, settings)}


def bars(
    description: Description | None, values: Mapping[str, Any], own: Mapping[str, Sequence[float]] | None = None
) -> dict[str, Any]:
    """Return what the bars show; arguments as of `by_scale.value_of`."""
    limits = {
        "cfg_scale": (0, MOST_GUIDANCE, GUIDANCE_STEP),
        "temperature": (LEAST_TEMPERATURE, MOST_TEMPERATURE, TEMPERATURE_STEP),
        "top_k": (0, vocab_size_of(description), 1),
    }
    return value_of(patch_nums_of(description), limits, values, own)


def sampling_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return how tokens are drawn as the controls say it: arguments of `VARPipeline.stream`."""
    own = own_values(values["by_scale"])
    beside = CURVE_CONTROLS if "cfg_scale" in own else ()  # drawn guidance has no curve
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
    if own_values(values["by_scale"]):
        return None
    for preset in presets_of(description):
        settings = preset.settings(vocab_size_of(description))
        if all(values[name] == value for name, value in settings.items()):
            return preset.key
    return None


def in_words(text: str) -> str:
    """Return a message with the controls called as the page calls them."""
    return OPTION_NAMES.sub(lambda match: LABELS[match[0]], text)


def vocab_size_of(description: Description | None) -> int:
    """Return the size of the vocabulary; the usual one where there is no checkpoint yet."""
    return description.vocab_size if description else USUAL_VOCAB_SIZE


def patch_nums_of(description: Description | None) -> tuple[int, ...]:
    """Return the sides of the token maps; the usual ones where there is no checkpoint yet."""
    return (description.patch_nums if description else ()) or USUAL_PATCH_NUMS


def top_k_range(description: Description | None) -> dict[str, int]:
    """Return the slider's limits; its top is the vocabulary."""
    return {"minimum": 0, "maximum": vocab_size_of(description)}


def scale_range(description: Description | None) -> dict[str, int]:
    """Return the limits of the sliders that name a scale."""
    return {"minimum": 0, "maximum": max(1, len(patch_nums_of(description)) - 1)}


def ranges(description: Description) -> dict[str, dict[str, int]]:
    """Return the limits of the controls that depend on the checkpoint, by name."""
    top_k, scale = top_k_range(description), scale_range(description)
    return {"top_k": top_k, "cfg_start": scale, "cfg_end": scale}


def limits() -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of every control whose range is the same for all checkpoints, by name."""
    return {
        "cfg_scale": (0, MOST_GUIDANCE),
        "top_p": (0, 1),
        "temperature": (LEAST_TEMPERATURE, MOST_TEMPERATURE),
    }
