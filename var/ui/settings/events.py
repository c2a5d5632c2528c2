"""What happens in the settings: presets, the buttons of the classes, the seed, links, and settings from an image."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from ...engine.runs import MOST_IMAGES
from ...errors import USER_ERRORS, error_text
from ...outputs.recipe import from_png
from ...sampling.options import option_names
from ..checkpoint.view import CheckpointView
from ..events import AT_ONCE, EACH, LATEST, SETTLE
from ..history.remembered import settings_from
from ..html import counted as counted_images
from ..html import error_banner, hint_line, notice_banner
from ..runs import Updates
from . import classes
from . import counters as counts
from . import panel as settings_panel
from . import sampling as sampling_controls
from .bars_events import wire_by_scale
from .fill import Fill, values_from
from .links import from_query, link_values, to_query
from .panel import SettingsPanel
from .restore import Wanted, from_recipe

# Without a secure connection browsers have no clipboard; then the link stands in the address bar alone.
COPY_LINK = """(query) => {
  const address = location.origin + location.pathname + "?" + query;
  history.replaceState(null, "", address);
  navigator.clipboard?.writeText(address);
  const button = document.getElementById("copy-link");
  const words = button.dataset.words ??= button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = words; }, 2000);
}"""
# Once the controls tell their new values.
MAKE = """(asked) => {
  if (asked) setTimeout(() => document.getElementById("generate").click(), 200);
}"""
# As `generate_label` in Python.
COUNT_ON_BUTTONS = """(classes, usual, byClass, counts) => {
  const own = new Map((byClass ? counts?.rows ?? [] : []).map((row) => [row.label, row.count]));
  const sum = (classes ?? []).reduce((before, label) => before + (own.get(label) ?? usual), 0);
  const isTooMany = sum > MAX_IMAGES;
  const few = `Generate${sum ? ` ${sum} image${sum === 1 ? "" : "s"}` : ""}`;
  const value = isTooMany ? `${sum} images; at most ${MAX_IMAGES} at a time` : few;
  return ["", "edit-"].map((prefix) => {
    // No tab is there before it is opened.
    const isRunning = document.getElementById(`${prefix}stop`)?.disabled === false;
    return {__type__: "update", value, interactive: !isTooMany && !isRunning};
  });
}""".replace("MAX_IMAGES", str(MOST_IMAGES))


def wire_settings(
    panel: SettingsPanel, view: CheckpointView, fill: Fill, generate: Sequence[gr.Button], problem: gr.HTML
) -> None:
    """Connect the settings.

    Args:
        panel: of the settings.
        view: shows the checkpoint.
        fill: fills the controls.
        generate: the buttons that say how many images the settings ask for.
        problem: takes what a link cannot carry, and why an image does not restore settings.
    """
    controls = panel.controls

    def choose_preset(key: str, name: str | None, uploads: dict[str, str]) -> Updates:
        description = view.describe(name, uploads)
        preset = sampling_controls.find_preset(key, description)
        return settings_panel.value_updates(panel, sampling_controls.sampling_values(preset, description))

    def draw_all() -> Updates:
        """Keep no scales of another image any longer."""
        return panel.kept.updates(None)

    panel.kept.drop.click(draw_all, None, panel.kept.outputs, **AT_ONCE)
    where = [view.panel.choice, view.panel.uploads]
    panel.presets.input(choose_preset, [panel.presets, *where], panel.shown(), **AT_ONCE | LATEST)
    for name in option_names():
        controls[name].input(None, None, [panel.presets], js="() => null", **AT_ONCE)
    wire_by_scale(panel)
    wire_class_buttons(panel, view)
    wire_counts(panel, view, generate)
    seed = [controls["seed"], controls["new_seed"]]
    panel.dice.click(lambda: (settings_panel.roll_seed(), False), None, seed, **AT_ONCE)
    controls["seed"].input(None, None, [controls["new_seed"]], js="() => false", **AT_ONCE)
    wire_copy(panel, view, problem)
    wire_restore(panel, view, fill, problem)


def wire_class_buttons(panel: SettingsPanel, view: CheckpointView) -> None:
    """Connect the buttons that choose classes; arguments as of `wire_settings`."""
    controls = panel.controls

    def choose(labels: Sequence[int], num_images: int, note: str = "") -> Updates:
        """Choose many classes at once, and no more images of each than can be made."""
        fitting = MOST_IMAGES // len(labels)
        updates = {controls["classes"]: list(labels)}
        if num_images > fitting:
            updates |= {controls["num_images"]: fitting, controls["by_class"]: False}
            note = f"{note} {counted_images(fitting)} of each, so that all can be made at a time."
        return updates | {panel.class_note: hint_line(note.strip()) if note else ""}

    def choose_some(count: int | None, num_images: int, name: str | None, uploads: dict[str, str]) -> Updates:
        description = view.describe(name, uploads)
        if description is None:
            return {panel.class_note: ""}
        count = min(max(count or classes.NUM_FIRST_CLASSES, 1), MOST_IMAGES)
        return choose(classes.random_choice(description, count), num_images)

    def choose_all(num_images: int, name: str | None, uploads: dict[str, str]) -> Updates:
        description = view.describe(name, uploads)
        if description is None:
            return {panel.class_note: ""}
        every = classes.offered(description)
        some = every[:MOST_IMAGES]
        note = f"The first {len(some)} of {len(every)}: at most {MOST_IMAGES} images are made at a time."
        return choose(some, num_images, note if len(some) < len(every) else "")

    def choose_none() -> Updates:
        return {controls["classes"]: [classes.NO_CLASS], panel.class_note: ""}

    where = [view.panel.choice, view.panel.uploads]
    chosen = [controls["classes"], controls["num_images"], controls["by_class"], panel.class_note]
    some = [panel.random_count, controls["num_images"], *where]
    panel.random_classes.click(choose_some, some, chosen, **AT_ONCE | LATEST)
    panel.all_classes.click(choose_all, [controls["num_images"], *where], chosen, **AT_ONCE)
    panel.no_class.click(choose_none, None, chosen, **AT_ONCE)
    controls["classes"].input(None, None, [panel.class_note], js="() => ''", **AT_ONCE)


def wire_counts(panel: SettingsPanel, view: CheckpointView, generate: Sequence[gr.Button]) -> None:
    """Connect the numbers of images with what they are of; arguments as of `wire_settings`."""
    controls = panel.controls

    def count_rows(
        on: bool, chosen: list[int], value: Any, usual: int, name: str | None, uploads: dict[str, str]
    ) -> Updates:
        description = view.describe(name, uploads)
        if not on or description is None:
            return {controls["counts"]: gr.skip()}
        chosen = classes.known_classes(description, chosen)
        rows = counts.rows(description, chosen, counts.numbers_of(value), usual, counts.typed_in(value))
        return {controls["counts"]: rows}

    def same_count(on: bool, chosen: list[int], value: Any, *others: Any) -> Updates:
        """The slider sets the number of every class."""
        return count_rows(on, chosen, None, *others)

    asked = [controls[name] for name in ("by_class", "classes", "counts", "num_images")]
    counted, rows = [*asked, view.panel.choice, view.panel.uploads], [controls["counts"]]
    controls["by_class"].input(count_rows, counted, rows, **AT_ONCE | LATEST)
    settled = controls["classes"].change(None, None, None, js=SETTLE, **AT_ONCE)
    settled.then(count_rows, counted, rows, **AT_ONCE | LATEST)
    controls["num_images"].input(same_count, counted, rows, **AT_ONCE | LATEST)
    settled = gr.on([control.change for control in asked], None, None, None, js=SETTLE, **AT_ONCE)
    of_number = [controls[name] for name in ("classes", "num_images", "by_class", "counts")]
    settled.then(None, of_number, [*generate], js=COUNT_ON_BUTTONS, **AT_ONCE)


def wire_copy(panel: SettingsPanel, view: CheckpointView, problem: gr.HTML) -> None:
    """Connect the button that copies a link to the settings; arguments as of `wire_settings`."""
    choice, uploads, kept = view.panel.choice, view.panel.uploads, panel.kept.kept

    def link(data: dict[gr.blocks.Block, Any]) -> tuple[str, str, Any]:
        values = link_values(values_from(data, panel.controls))
        name, note = data[choice], ""
        if data[kept]:
            note = "Link copied, without the kept scales: the PNG of an image carries them, a link cannot."
        elif name in data[uploads]:
            note, name = f"Link copied, without the checkpoint: {name} is here for this visit alone.", None
        return to_query(name, values), hint_line(note or "Link copied."), notice_banner(note) if note else gr.skip()

    asked = {choice, uploads, kept, *panel.controls.values()}
    copied = panel.copy_link.click(link, asked, [panel.link, panel.note, problem], **AT_ONCE)
    copied.then(None, [panel.link], None, js=COPY_LINK, **AT_ONCE)


def wire_restore(panel: SettingsPanel, view: CheckpointView, fill: Fill, problem: gr.HTML) -> None:
    """Connect the field that takes an image made here, for its settings; arguments as of `wire_settings`."""
    catalog = view.catalog

    def read_png(path: str, name: str | None, uploads: dict[str, str]) -> tuple[Wanted | None, str, str, None]:
        try:
            return from_recipe(from_png(path), catalog, uploads, name), "", "", None
        except USER_ERRORS as error:  # told where it may have been dropped, too
            sentence = error_text(error, Path(path))
            return None, hint_line(sentence), error_banner(sentence), None
        finally:
            catalog.uploads.remove(path)

    asked = [panel.restore, view.panel.choice, view.panel.uploads]
    told = [fill.wanted, panel.note, problem, panel.restore]
    fill.after(panel.restore.upload(read_png, asked, told, **AT_ONCE | EACH))


def wire_link(
    opened: gr.events.Dependency, view: CheckpointView, fill: Fill, told: gr.Textbox, of_link: gr.Checkbox
) -> None:
    """Fill the controls with the settings of the page's address, or else with those that its tab remembers.

    Images that an address asks for are made, unless the tab has them: who opens a link wants to see them.

    Args:
        opened: the event of a page that is up to date.
        view: shows the checkpoint.
        fill: fills the controls.
        told: what the browser's tab remembers.
        of_link: gets whether images are to be made.
    """

    def read_link(uploads: dict[str, str], told: str, request: gr.Request) -> tuple[Wanted | None, bool]:
        linked, remembered = from_query(dict(request.query_params)), settings_from(told)
        wanted = linked or remembered
        if wanted is None or wanted.checkpoint is None or wanted.checkpoint in view.catalog.names(uploads):
            return wanted, asks_for_images(linked, remembered)
        note = f"The link's checkpoint {wanted.checkpoint[:80]} is not in the list. {wanted.note}"
        return replace(wanted, checkpoint=None, note=note), False

    state = gr.State(None)  # of its own, so that a page that opens takes nothing from who is quicker
    read = opened.then(read_link, [view.panel.uploads, told], [state, of_link], **AT_ONCE)
    fill.after(read, state).then(None, [of_link], None, js=MAKE, **AT_ONCE)


def asks_for_images(linked: Wanted | None, remembered: Wanted | None) -> bool:
    """Whether a page that opens is to make the images of its address.

    Args:
        linked: the settings of the address; None for none.
        remembered: those of the run before the page was loaded again; None where there was none.
    """
    if linked is None or "classes" not in linked.values:
        return False
    if remembered is None or linked.checkpoint not in (None, remembered.checkpoint):
        return True
    asked = {name: value for name, value in linked.values.items() if name != "new_seed"}
    return any(remembered.values.get(name) != value for name, value in asked.items())
