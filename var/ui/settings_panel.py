"""Left of the page: which classes, how many images, which seed, and how tokens are drawn."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from .models import Description

LARGEST_SEED = 2**31 - 1
MOST_IMAGES_A_CLASS = 16
NUM_FIRST_CLASSES = 4
DEFAULT_TOP_K = 900


@dataclass(frozen=True)
class SettingsPanel:
    """The panel's components."""

    classes: gr.Dropdown
    num_images: gr.Slider
    seed: gr.Number
    dice: gr.Button
    cfg_scale: gr.Slider
    top_k: gr.Slider
    top_p: gr.Slider
    more_smooth: gr.Checkbox


def create_settings_panel(description: Description | None) -> SettingsPanel:
    """Lay out the panel for the checkpoint that the page opens with."""
    names = description.class_names if description else ()
    classes = gr.Dropdown(
        choices=class_choices(names),
        value=first_classes(len(names)),
        multiselect=True,
        label="Classes",
        info="Type to search by name or number.",
        elem_id="classes",
    )
    num_images = gr.Slider(
        1, MOST_IMAGES_A_CLASS, value=2, step=1, label="Images per class", elem_id="num-images", buttons=[]
    )
    with gr.Row(elem_id="seed-row"):
        seed = gr.Number(
            value=0,
            precision=0,
            minimum=0,
            maximum=LARGEST_SEED,
            label="Seed",
            info="Of the first image; each further one adds 1.",
            elem_id="seed",
        )
        dice = gr.Button("Random seed", elem_id="dice")
    with gr.Accordion("Sampling", open=True, elem_id="sampling"):
        cfg_scale = gr.Slider(
            0,
            10,
            value=4.0,
            step=0.1,
            label="Guidance",
            info="Higher keeps closer to the class, lower varies more. 0 is off.",
            elem_id="guidance",
            buttons=[],
        )
        top_k = gr.Slider(
            value=0 if description is None else default_top_k(description.vocab_size),
            **top_k_range(description),
            step=1,
            label="Top-k",
            info="Draw each token from the k likeliest. 0 is off.",
            elem_id="top-k",
            buttons=[],
        )
        top_p = gr.Slider(
            0,
            1,
            value=0.95,
            step=0.01,
            label="Top-p",
            info="Draw from the likeliest tokens that make up this share. 0 is off.",
            elem_id="top-p",
            buttons=[],
        )
        more_smooth = gr.Checkbox(
            False,
            label="More smooth",
            info="Blends tokens instead of picking one: softer images.",
            elem_id="more-smooth",
        )
    return SettingsPanel(classes, num_images, seed, dice, cfg_scale, top_k, top_p, more_smooth)


def class_choices(names: Sequence[str]) -> list[tuple[str, int]]:
    """Return what the class list shows, name and index, with the index as value."""
    return [(f"{name} · {index}", index) for index, name in enumerate(names)]


def first_classes(num_classes: int) -> list[int]:
    """Return the classes chosen at first: a few, spread over all."""
    count = min(NUM_FIRST_CLASSES, num_classes)
    return [index * num_classes // count for index in range(count)]


def default_top_k(vocab_size: int) -> int:
    """Return the usual top-k, as far as the vocabulary allows."""
    return min(DEFAULT_TOP_K, vocab_size)


def top_k_range(description: Description | None) -> dict[str, int]:
    """Return the slider's limits; its top is the vocabulary."""
    return {"minimum": 0, "maximum": description.vocab_size if description else 4096}


def settings_updates(description: Description) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the class list and the top-k slider for another checkpoint."""
    names = description.class_names
    classes = gr.update(choices=class_choices(names), value=first_classes(len(names)))
    return classes, gr.update(value=default_top_k(description.vocab_size), **top_k_range(description))


def roll_seed() -> int:
    """Return a random seed."""
    return random.randint(0, LARGEST_SEED)
