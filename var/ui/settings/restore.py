"""Settings from elsewhere, of a PNG made here or of a link, as values of the page's controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...checkpoints.hash import short_hash
from ...comparing.axes import as_text
from ...engine.catalog import Catalog
from ...engine.description import Description
from ...errors import CheckpointError
from ...formats.open import files_of
from ...outputs.recipe import Recipe, describe_differences
from ...sampling.options import CFG_CURVES, option_names
from . import classes
from . import counters as counts
from . import panel as settings_panel
from .bars import for_controls
from .kept import Kept, kept_of

EDITED = "It was edited from another image, which is not in the file: these settings alone do not make it again."
OTHER_TOKENS = "It is a branch; the scales that it keeps mean nothing to another checkpoint, so they are not kept here."
NUM_BRANCHES = 4  # of each class, so that they can be compared
MOST_NAME_LETTERS = 60  # of a class that somebody names


@dataclass(frozen=True)
class Wanted:
    """Settings to fill the controls with.

    Args:
        values: by the controls' names; `classes` is a list of class labels or names, None for no class, `counts` are
            images by one of these, and `by_scale` lists of a value for each scale by option; beside them `kept`, what
            new images keep of another one, or None. What is not named stays.
        checkpoint: name of the checkpoint in the list; None: whatever is chosen.
        weights: "ema" or "raw" of that checkpoint; None: the usual.
        num_heads: attention heads that were given for it; None where the file tells them.
        device: kind of device that made the image of this seed, such as "cpu"; None: it does not matter.
        dtype: precision in which it made the image; None: it does not matter.
        note: what the user should know.
        silent: nobody asked for it, so that nothing is said but the note.
    """

    values: Mapping[str, Any]
    checkpoint: str | None = None
    weights: str | None = None
    num_heads: int | None = None
    device: str | None = None
    dtype: str | None = None
    note: str = ""
    silent: bool = False


def from_recipe(recipe: Recipe, catalog: Catalog, uploads: Mapping[str, str], chosen: str | None) -> Wanted:
    """Return the settings of an image, with its checkpoint where that is in the list.

    Args:
        recipe: of the image.
        catalog: the checkpoints.
        uploads: the session's own files.
        chosen: name of the checkpoint that is chosen now.
    """
    name = find_checkpoint(recipe, catalog, uploads, chosen)
    note = ""
    if name is None:
        found = hash_of(catalog, uploads, chosen)
        note = describe_differences(recipe, chosen or "no checkpoint", found)
        note = f"{note} That one is not in the list." if note else ""
    elif name != chosen:
        note = f"Chose {name} ({recipe.checkpoint_hash}), which made the image."
    notes = [note] if note else []
    if recipe.branch and name is None:
        notes.append(OTHER_TOKENS)
    if recipe.edited:
        notes.append(EDITED)
    made: dict[str, Any] = {
        "weights": recipe.weights,
        "num_heads": recipe.num_heads,
        "device": recipe.device,
        "dtype": recipe.dtype,
    }
    kept = kept_of(recipe) if name else None
    return Wanted(values_of(recipe) | {"kept": kept}, name, **made, note=" ".join(notes))


def varied(wanted: Wanted) -> Wanted:
    """Return the settings of an image with a new seed for each run; as many images are made as the page says."""
    values = {name: value for name, value in wanted.values.items() if name not in ("num_images", "by_class", "seed")}
    return replace(wanted, values={**values, "new_seed": True}, device=None)


def branched(wanted: Wanted, kept: Kept) -> Wanted:
    """Return the settings of new images that keep something of another one; `wanted` are the settings of that one."""
    new = varied(wanted)
    return replace(new, values={**new.values, "kept": kept, "num_images": NUM_BRANCHES, "by_class": False})


def find_checkpoint(recipe: Recipe, catalog: Catalog, uploads: Mapping[str, str], chosen: str | None) -> str | None:
    """Return the name under which the list has the checkpoint of an image; the one that is chosen first of all."""
    if not recipe.checkpoint_hash:
        return None
    same_name = [name for name in catalog.names(uploads) if recipe.checkpoint and recipe.checkpoint in name]
    for name in dict.fromkeys(([chosen] if chosen else []) + same_name):
        if hash_of(catalog, uploads, name) == recipe.checkpoint_hash:
            return name
    return None


def hash_of(catalog: Catalog, uploads: Mapping[str, str], name: str | None) -> str:
    """Return the short hash of a checkpoint; "" where there is none."""
    try:
        return short_hash(*files_of(catalog.resolve(name, uploads)))
    except (OSError, CheckpointError):
        return ""


def values_of(recipe: Recipe) -> dict[str, Any]:
    """Return the controls' values that make an image again, alone."""
    values = {name: getattr(recipe.options, name) for name in option_names()}
    values |= {"classes": [recipe.class_label], "num_images": 1, "by_class": False}
    values |= {"seed": recipe.seed, "new_seed": False}
    return for_controls(values)


def fitted(wanted: Wanted, description: Description, device: str) -> Wanted:
    """Return the settings as far as this page and this checkpoint have them, and say what they have not.

    Args:
        wanted: the settings.
        description: of the checkpoint.
        device: the kind of device here.
    """
    values, notes = dict(wanted.values), [wanted.note] if wanted.note else []
    if wanted.device not in (None, device):
        notes.append(f"It was made on {wanted.device.upper()}; on {device.upper()} a seed draws other numbers.")
    if "classes" in values:
        asked = [classes.label_of(description, word) for word in values["classes"]]
        values["classes"] = classes.known_classes(description, [word for word in asked if not isinstance(word, str)])
        missing = [word for word in asked if word is not None and word not in values["classes"]]
        if missing:
            last = len(description.class_names) - 1
            words = ", ".join(str(word)[:MOST_NAME_LETTERS] for word in missing)
            notes.append(f"This checkpoint has no class {words}; its classes are 0 to {last}.")
            if not values["classes"]:
                del values["classes"]
    if "counts" in values:
        numbers = {}
        for word, count in values["counts"].items():
            label = classes.NO_CLASS if word is None else classes.label_of(description, word)
            numbers[label] = min(max(count, 1), counts.MOST_IMAGES_A_CLASS)
        values["counts"] = counts.rows(description, values.get("classes", ()), numbers, 1)
    limits = settings_panel.limits(description)
    if values.get("seed", 0) > limits["seed"][1]:  # another seed would be another image
        seed = values.pop("seed")
        notes.append(
            f"Its seed, {seed}, is larger than the whole numbers that browsers know; `python -m var sample` takes it."
        )
    for name, (least, most) in limits.items():
        if name in values and not least <= values[name] <= most:
            asked, values[name] = values[name], min(max(values[name], least), most)
            if name not in values.get("by_scale", ()):
                label = settings_panel.LABELS[name]
                notes.append(f"{label} {as_text(asked)} became {as_text(values[name])}, as far as it goes here.")
    if values.get("by_scale"):
        values["by_scale"], lost = by_scale_within(values["by_scale"], limits, len(description.patch_nums))
        notes += lost
        if "cfg_scale" not in values["by_scale"] and values.get("cfg_curve") is None:
            values["cfg_curve"] = CFG_CURVES[0]
    return replace(wanted, values=values, note=" ".join(notes))


def by_scale_within(
    asked: Mapping[str, Sequence[float]], limits: Mapping[str, tuple[float, float]], num_scales: int
) -> tuple[dict[str, list[float]], list[str]]:
    """Return the values by scale as far as a checkpoint has them, and what is not as asked, a sentence each.

    Args:
        asked: by option.
        limits: the least and the largest value of each option.
        num_scales: of the checkpoint.
    """
    kept, notes = {}, []
    for name, numbers in asked.items():
        label, (least, most) = settings_panel.LABELS[name], limits[name]
        if len(numbers) != num_scales:
            notes.append(
                f"{label}: {len(numbers)} scales were given, this checkpoint has {num_scales}; the last holds."
            )
            continue
        kept[name] = [min(max(number, least), most) for number in numbers]
        if kept[name] != list(numbers):
            notes.append(f"{label}: values beyond {least:g} to {most:g} became these.")
    return kept, notes
