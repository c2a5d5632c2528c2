"""Left of the page: which classes, how many images, which seed, and how tokens are drawn."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ...engine.description import Description
from ...engine.runs import MOST_IMAGES
from ..checkpoint.panel import Choice, Follower
from ..unchecked import Radio, Slider
from . import classes
from . import counters as counts
from . import sampling as sampling_controls
from .bars import create_by_scale
from .counters import MOST_IMAGES_A_CLASS
from .kept import KeptRow, create_kept_row
from .picker import create_picker
from .sampling import (
    create_guidance_controls,
    create_sampling_controls,
    preset_choices,
    presets_of,
    sampling_values,
)

LARGEST_SEED = 2**53 - 1  # JavaScript's numbers are exact up to there
LARGEST_RANDOM_SEED = 2**31 - 1
LABELS = sampling_controls.LABELS | {"num_images": "Images per class", "seed": "Seed"}
LINK_BUTTON = "Copy link"
KEPT_CONTROLS = ("classes", "num_images", "seed", "new_seed")  # another checkpoint does not reset them


@dataclass(frozen=True)
class SettingsPanel:
    """The panel's components.

    Args:
        controls: what a run is made of, by name: `classes`, `num_images`, `counts`, which hold where `by_class` is on,
            `seed`, `new_seed`, whether each run rolls it, the options of sampling, and `by_scale`, the bars of what
            holds at each scale.
        presets: names of settings that go well together.
        random_count: how many classes `random_classes` draws.
        random_classes, all_classes, no_class: buttons below the list of classes.
        class_note: why these are not all.
        dice: rolls the seed.
        restore: takes a PNG made here.
        copy_link: copies the page's address with these settings; it is rendered where the images are.
        note: what restoring or copying came to.
        recent: session state, the classes used lately.
        link: not shown, the link to copy.
        kept: the line that says what new images keep of another one; it is rendered where the images are.
    """

    controls: dict[str, Any]
    presets: gr.Radio
    random_count: gr.Number
    random_classes: gr.Button
    all_classes: gr.Button
    no_class: gr.Button
    class_note: gr.HTML
    dice: gr.Button
    restore: gr.File
    copy_link: gr.Button
    note: gr.HTML
    recent: gr.State
    link: gr.Textbox
    kept: KeptRow

    def shown(self) -> list[gr.blocks.Block]:
        """All that the follower and `value_updates` change."""
        return [*self.controls.values(), self.presets, self.recent, *self.kept.outputs]

    @property
    def follower(self) -> Follower:
        """Another checkpoint has its own classes, ranges and settings."""

        def updates(choice: Choice, is_first: bool) -> dict[gr.blocks.Block, Any]:
            assert choice.description is not None, "it can be used"
            return settings_updates(self, choice.description)

        return Follower(self.shown(), updates)


def create_settings_panel(description: Description | None) -> SettingsPanel:
    """Lay out the panel for the checkpoint that the page opens with."""
    values = first_values(description)
    controls: dict[str, Any] = {}
    controls["classes"] = create_picker(classes.choices(description), values["classes"])
    with gr.Row(elem_id="class-buttons", elem_classes="chips"):
        random_count = gr.Number(
            value=classes.NUM_FIRST_CLASSES,
            precision=0,
            minimum=1,
            maximum=MOST_IMAGES,
            label="How many random classes",
            show_label=False,
            container=False,
            min_width=0,
            elem_id="random-count",
        )
        random_classes = gr.Button("Random", size="sm", elem_id="random-classes")
        all_classes = gr.Button("All", size="sm", elem_id="all-classes")
        no_class = gr.Button("No class", size="sm", elem_id="no-class")
    class_note = gr.HTML("", elem_id="class-note")
    presets = Radio(
        preset_choices(description),
        value=preset_choices(description)[0][1],
        label="Preset",
        info="How images are drawn; Sampling, below, has each setting.",
        elem_id="presets",
    )
    controls["num_images"] = Slider(
        1,
        MOST_IMAGES_A_CLASS,
        value=values["num_images"],
        step=1,
        label=LABELS["num_images"],
        info=f"1 to {MOST_IMAGES_A_CLASS}; at most {MOST_IMAGES} images in all.",
        elem_id="num-images",
        buttons=[],
    )
    controls["by_class"] = gr.Checkbox(False, label="Set the number for each class", elem_id="by-class")
    with gr.Column(elem_id="own-counts"):
        controls["counts"] = counts.create_counts()
    with gr.Row(elem_id="seed-row"):
        controls["seed"] = gr.Number(
            value=values["seed"],
            label=LABELS["seed"],
            info="First image's seed; each further image adds 1.",
            elem_id="seed",
        )
        dice = gr.Button("Random seed", elem_id="dice")
    controls["new_seed"] = gr.Checkbox(values["new_seed"], label="New seed for each run", elem_id="new-seed")
    with gr.Accordion("Sampling", open=False, elem_id="sampling", elem_classes="fold"):
        controls |= create_sampling_controls(description, values)
    with gr.Accordion("Advanced", open=False, elem_id="advanced", elem_classes="fold"):
        controls |= create_guidance_controls(description, values)
        controls["by_scale"] = create_by_scale(values["by_scale"])
    restore = gr.File(
        label="Restore the settings of an image",
        show_label=False,
        file_types=["image"],
        elem_id="restore",
        elem_classes="drop-line",
    )
    note = gr.HTML("", elem_id="settings-note")
    copy_link = gr.Button(LINK_BUTTON, size="sm", elem_id="copy-link", render=False)
    link = gr.Textbox(visible=False, label="Link")
    return SettingsPanel(
        controls,
        presets,
        random_count,
        random_classes,
        all_classes,
        no_class,
        class_note,
        dice,
        restore,
        copy_link,
        note,
        gr.State([]),
        link,
        create_kept_row(),
    )


def first_values(description: Description | None) -> dict[str, Any]:
    """Return the value of every control for a checkpoint that was just chosen."""
    values = {"classes": classes.first_choice(description), "num_images": 2, "by_class": False}
    values |= {"seed": 0, "new_seed": True}
    return values | sampling_values(presets_of(description)[0], description)


def limits(description: Description) -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of every control that has numbers, by name."""
    own = {"num_images": (1, MOST_IMAGES_A_CLASS), "seed": (0, LARGEST_SEED)}
    return own | sampling_controls.limits(description)


def settings_updates(panel: SettingsPanel, description: Description) -> dict[gr.blocks.Block, Any]:
    """Return the updates of the panel for another checkpoint: its classes, its ranges, its own settings.

    Args:
        panel: the panel.
        description: of the checkpoint.
    """
    values = first_values(description)
    sampling = {name: value for name, value in values.items() if name not in KEPT_CONTROLS}
    updates = value_updates(panel, sampling, sampling_controls.limits(description))
    updates[panel.controls["classes"]] = gr.update(choices=classes.choices(description), value=values["classes"])
    updates[panel.recent] = []
    updates |= panel.kept.updates(None)  # tokens of one checkpoint mean something else to another
    updates[panel.presets] = gr.update(choices=preset_choices(description), value=preset_choices(description)[0][1])
    return updates


def value_updates(
    panel: SettingsPanel, values: Mapping[str, Any], new_limits: Mapping[str, tuple[float, float]] | None = None
) -> dict[gr.blocks.Block, Any]:
    """Return the updates that fill controls.

    Args:
        panel: the panel.
        values: by the controls' names; controls that are not named stay as they are.
        new_limits: the least and the largest value of sliders that have others now, by the controls' names.
    """
    updates = {}
    for name, value in values.items():
        least, most = (new_limits or {}).get(name, (None, None))
        changed: dict[str, Any] = {} if least is None else {"minimum": least, "maximum": most}
        updates[panel.controls[name]] = gr.update(value=value, **changed)
    return updates


def roll_seed() -> int:
    """Return a random seed."""
    return random.randint(0, LARGEST_RANDOM_SEED)
