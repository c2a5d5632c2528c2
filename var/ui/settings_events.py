"""What happens in the settings: presets, the buttons of the classes, the seed, links, and settings from an image."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ..device import DTYPES
from ..options import CFG_CURVES
from ..recipe import from_png
from . import classes, counts, sampling_controls, settings_panel
from .by_scale import CONTROLS, followed, own_values
from .checkpoint_events import CheckpointView
from .checkpoint_panel import choose
from .description import Description
from .links import from_query, to_query
from .messages import USER_ERRORS, error_text, hint_line
from .models import Loading, ModelHolder
from .parts import Parts, Updates
from .restore import Wanted, fitted, from_recipe
from .runs import MOST_IMAGES

# Without a secure connection browsers have no clipboard; then the link stands in the address bar alone.
COPY_LINK = """(query) => {
  const address = location.origin + location.pathname + "?" + query;
  history.replaceState(null, "", address);
  navigator.clipboard?.writeText(address);
}"""
SAMPLING_CONTROLS = ("cfg_scale", "top_k", "top_p", "temperature", "more_smooth", "cfg_curve", "cfg_start", "cfg_end")


def wire_settings(blocks: gr.Blocks, parts: Parts, view: CheckpointView) -> gr.State:
    """Connect the settings.

    Args:
        blocks: the page.
        parts: of the page.
        view: shows another checkpoint.

    Returns:
        Session state in which other panels put settings, as `Wanted`; `fill_from` then fills the controls with them.
    """
    panel, controls = parts.settings, parts.settings.controls
    where = [parts.checkpoint.choice, parts.checkpoint.uploads]
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    at_once = quiet | {"queue": False}

    def preset_chosen(key: str, name: str | None, uploads: dict[str, str]) -> Updates:
        description = describe(parts, name, uploads)
        preset = sampling_controls.find_preset(key, description)
        return settings_panel.value_updates(panel, sampling_controls.sampling_values(preset, description))

    def some_classes(count: int | None, name: str | None, uploads: dict[str, str]) -> Updates:
        description = describe(parts, name, uploads)
        if description is None:
            return {panel.class_note: ""}
        count = min(max(count or classes.NUM_FIRST_CLASSES, 1), MOST_IMAGES)
        return {controls["classes"]: classes.random_choice(description, count), panel.class_note: ""}

    def every_class(num_images: int, name: str | None, uploads: dict[str, str]) -> Updates:
        description = describe(parts, name, uploads)
        if description is None:
            return {panel.class_note: ""}
        every = classes.offered(description)
        some = list(every[: MOST_IMAGES // max(1, int(num_images))])
        note = f"The first {len(some)} of {len(every)}: at most {MOST_IMAGES} images are made at a time."
        return {controls["classes"]: some, panel.class_note: hint_line(note) if len(some) < len(every) else ""}

    def only_no_class() -> Updates:
        return {controls["classes"]: [classes.NO_CLASS], panel.class_note: ""}

    def count_rows(
        on: bool, chosen: list[int], value: Any, usual: int, name: str | None, uploads: dict[str, str]
    ) -> Updates:
        description = describe(parts, name, uploads)
        if not on or description is None:
            return {panel.own_counts: gr.update(visible=False)}
        chosen = classes.known_classes(description, chosen)
        rows = counts.rows(description, chosen, counts.numbers_of(value), usual)
        return {controls["counts"]: rows, panel.own_counts: gr.update(visible=True)}

    def same_count(on: bool, *others: Any) -> Updates:
        """The slider sets the number of every class."""
        chosen, _, *rest = others
        return count_rows(on, chosen, None, *rest)

    def link(data: dict[gr.blocks.Block, Any]) -> tuple[str, str]:
        values = values_from(data, controls)
        values["num_images"] = counts.num_images_of(values)
        values["classes"] = classes.to_labels(values["classes"])
        return to_query(data[parts.checkpoint.choice], values), hint_line("Link copied.")

    def read_png(path: str, name: str | None, uploads: dict[str, str]) -> tuple[Wanted | None, str, None]:
        try:
            wanted = from_recipe(from_png(path), parts.catalog, uploads, name)
            return wanted, "", None
        except USER_ERRORS as error:
            return None, hint_line(error_text(error, Path(path))), None
        finally:
            Path(path).unlink(missing_ok=True)

    def read_link(uploads: dict[str, str], request: gr.Request) -> Wanted | None:
        wanted = from_query(dict(request.query_params))
        if wanted is None or wanted.checkpoint is None or wanted.checkpoint in parts.catalog.names(uploads):
            return wanted
        note = f"The link's checkpoint {wanted.checkpoint[:80]} is not in the list. {wanted.note}"
        return Wanted(wanted.values, note=note)

    wanted_state = gr.State(None)
    panel.presets.input(preset_chosen, [panel.presets, *where], panel.shown(), **at_once)
    for name in SAMPLING_CONTROLS:
        controls[name].input(None, None, [panel.presets], js="() => null", **at_once)
    wire_by_scale(panel)
    counted = [controls[name] for name in ("by_class", "classes", "counts", "num_images")] + where
    shown = [controls["counts"], panel.own_counts]
    controls["by_class"].input(count_rows, counted, shown, **at_once)
    controls["classes"].input(count_rows, counted, shown, **at_once, trigger_mode="always_last")
    controls["classes"].input(None, None, [panel.class_note], js="() => ''", **at_once)
    controls["num_images"].input(same_count, counted, shown, **at_once, trigger_mode="always_last")
    for button, choose_classes, inputs in (
        (panel.random_classes, some_classes, [panel.random_count, *where]),
        (panel.all_classes, every_class, [controls["num_images"], *where]),
        (panel.no_class, only_no_class, None),
    ):
        chosen = button.click(choose_classes, inputs, [controls["classes"], panel.class_note], **at_once)
        chosen.then(count_rows, counted, shown, **at_once)
    seed = [controls["seed"], controls["new_seed"]]
    panel.dice.click(lambda: (settings_panel.roll_seed(), False), None, seed, **at_once)
    controls["seed"].input(None, None, [controls["new_seed"]], js="() => false", **at_once)
    copied = panel.copy_link.click(
        link, {parts.checkpoint.choice, *controls.values()}, [panel.link, panel.note], **at_once
    )
    copied.then(None, [panel.link], None, js=COPY_LINK, **at_once)
    read = panel.restore.upload(
        read_png, [panel.restore, *where], [wanted_state, panel.note, panel.restore], **quiet, concurrency_limit=None
    )
    fill_from(read, parts, view, wanted_state)
    of_link = gr.State(None)  # of its own, so that a page that opens takes nothing from who is quicker
    opened = view.opened.then(read_link, [parts.checkpoint.uploads], [of_link], **at_once)
    fill_from(opened, parts, view, of_link)
    return wanted_state


def wire_by_scale(panel: settings_panel.SettingsPanel) -> None:
    """Connect the bars with the controls that hold for all scales: what was touched last holds."""
    controls, bars = panel.controls, panel.controls["by_scale"]
    at_once = {"show_progress": "hidden", "api_visibility": "private", "queue": False, "trigger_mode": "always_last"}
    curve = [controls[name] for name in sampling_controls.CURVE_CONTROLS]

    def follow(control: str, data: dict[gr.blocks.Block, Any]) -> Updates:
        values = values_from(data, {name: controls[name] for name in SAMPLING_CONTROLS})
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

    asked = {bars, *(controls[name] for name in SAMPLING_CONTROLS)}
    for name in sorted({control for row in CONTROLS.values() for control in row}):
        controls[name].input(partial(follow, name), asked, [bars, controls["cfg_curve"]], **at_once)
    bars.input(drawn, [bars], [panel.presets, *curve], **at_once)
    bars.click(reset, asked, [panel.presets, bars, controls["cfg_curve"]], **at_once)


def fill_from(event: gr.events.Dependency, parts: Parts, view: CheckpointView, wanted_state: gr.State) -> Any:
    """Fill the controls, after an event that put settings into `wanted_state`; returns the last event."""
    panel = parts.settings
    quiet = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}

    def select(
        wanted: Wanted | None, uploads: dict[str, str], loaded: str | None, loading: Loading, request: gr.Request
    ) -> Updates:
        """Choose the checkpoint of the settings, unless it is chosen; it is loaded when it is used."""
        nothing = {parts.checkpoint.found: gr.skip()}
        if wanted is None or wanted.checkpoint is None:
            return nothing
        weights = "raw" if wanted.weights == "raw" else None
        asked = replace(loading, weights=weights, dtype=dtype_for(wanted, parts.holder, loading))
        if wanted.checkpoint == loaded and asked == loading:
            return nothing
        view.begin(request.session_hash)  # whatever is being looked into is no longer wanted
        choice = choose(parts.catalog, parts.holder, wanted.checkpoint, uploads, asked)
        if choice.problem:
            return view.refuse(choice, uploads, loaded, loading)
        return view.show(choice, uploads, is_new=True)

    def fill(data: dict[gr.blocks.Block, Any]) -> Updates:
        wanted = data[wanted_state]
        description = describe(parts, data[parts.checkpoint.choice], data[parts.checkpoint.uploads])
        if wanted is None or description is None:
            return {wanted_state: None}
        wanted = fitted(wanted, description, parts.holder.placement()[0].type)
        held = values_from(data, panel.controls) | wanted.values
        bars = sampling_controls.bars(description, held, wanted.values.get("by_scale"))
        updates = settings_panel.value_updates(panel, {**wanted.values, "by_scale": bars})
        note = wanted.note or ("Settings restored." if wanted.values else "")
        return updates | {panel.presets: None, panel.note: hint_line(note), wanted_state: None}

    selected = event.then(select, [wanted_state, *view.session], view.outputs, **quiet)
    asked = {wanted_state, parts.checkpoint.choice, parts.checkpoint.uploads, *panel.controls.values()}
    return selected.then(fill, asked, [*panel.shown(), panel.note, wanted_state], **quiet)


def dtype_for(wanted: Wanted, holder: ModelHolder, loading: Loading) -> str | None:
    """Return the precision of `Loading` that makes an image again; the one of now where that does, or none can."""
    device, dtype = holder.placement(loading)
    if wanted.device != device.type or wanted.dtype is None or DTYPES[wanted.dtype] is dtype:
        return loading.dtype
    best = holder.placement()[1]
    return None if DTYPES[wanted.dtype] is best else wanted.dtype


def describe(parts: Parts, name: str | None, uploads: Mapping[str, str]) -> Description | None:
    """Return what is known of a checkpoint; None where it cannot be used."""
    return choose(parts.catalog, parts.holder, name, uploads).description


def values_from(data: Mapping[gr.blocks.Block, Any], controls: Mapping[str, gr.blocks.Block]) -> dict[str, Any]:
    """Return the value of every control by its name."""
    return {name: data[control] for name, control in controls.items()}
