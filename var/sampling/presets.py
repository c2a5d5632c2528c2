"""Presets: settings that go well together, under a name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .options import SamplingOptions, has_several, option_names, plain


@dataclass(frozen=True)
class Preset:
    """Settings of sampling under a name.

    Args:
        key: a word for commands.
        name: for people.
        description: one line.
        changes: options that do not have their defaults.
    """

    key: str
    name: str
    description: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, vocab_size: int | None = None) -> dict[str, Any]:
        """A value for every option of sampling but the classes and seeds.

        Args:
            vocab_size: of the model; bounds top-k, so that a control can show it. None for no bound.
        """
        settings = {name: getattr(SamplingOptions, name) for name in option_names()} | dict(self.changes)
        if vocab_size is not None:
            asked = settings["top_k"]
            bound = tuple(min(top_k, vocab_size) for top_k in asked) if has_several(asked) else min(asked, vocab_size)
            settings["top_k"] = bound
        return settings


# Quality and Smooth: the reference implementation's demo. Faithful: its README, for measuring FID.
PRESETS = (
    Preset("quality", "Quality", "Strong guidance: clear, typical images"),
    Preset(
        "faithful",
        "Faithful to the paper",
        "As it measures: more diverse, less polished",
        {"cfg_scale": 1.5, "top_p": 0.96},
    ),
    Preset("smooth", "Smooth", "Blends tokens instead of picking one: softer, less diverse", {"more_smooth": True}),
    Preset("no-guidance", "No guidance", "The model as it is, a third faster", {"cfg_scale": 0.0}),
)


CURVE_OPTIONS = ("cfg_curve", "cfg_start", "cfg_end")
OWN_SETTINGS = ("cfg_scale", "cfg_curve", "top_k", "top_p", "temperature")  # of a checkpoint's own preset
KINDS = (int, float, str, list, tuple)  # that values in a file may be of, before they are checked


def own_settings(training: Mapping[str, Any], num_scales: int) -> dict[str, Any]:
    """What a checkpoint's file asks to be sampled with, under `sampling` among its trainer's arguments.

    Args:
        training: of the checkpoint; its values may be anything.
        num_scales: of the model.

    Returns:
        Those of `OWN_SETTINGS` that the file has, values for each scale as a tuple; empty where it has none, or one
        that breaks its rule.
    """
    args = training.get("args")
    asked = args.get("sampling") if isinstance(args, Mapping) else None
    if not isinstance(asked, Mapping):
        return {}
    found = {name: plain(asked[name]) for name in OWN_SETTINGS if isinstance(asked.get(name), KINDS)}
    try:
        SamplingOptions([None], **found).check(num_classes=1, num_scales=num_scales)
    except ValueError:
        return {}
    return found


def fill_in(given: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those that were given in their place.

    Args:
        given: options of sampling by name; None: not given.
        settings: a value for every option of sampling, such as a preset's with the checkpoint's own.
    """
    filled = {**settings, **{name: value for name, value in given.items() if value is not None}}
    if has_several(plain(filled["cfg_scale"])):  # guidance for each scale has no curve beside it
        filled |= {name: getattr(SamplingOptions, name) for name in CURVE_OPTIONS if given.get(name) is None}
    return filled
