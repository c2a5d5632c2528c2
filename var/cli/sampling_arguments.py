"""The options of sampling on the command line, as `sample`, `edit` and `evaluate` take them."""

import argparse
from collections.abc import Mapping
from typing import Any

from ..sampling.options import BY_SCALE, CFG_CURVES, SamplingOptions, help_of, option_names
from ..sampling.presets import PRESETS, fill_in


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of sampling; those not given are None, and come from preset or checkpoint."""
    parser.add_argument(
        "--preset",
        choices=[preset.key for preset in PRESETS],
        help="settings to begin with; options given beside it come first (default: what the checkpoint asks for, "
        f"else {PRESETS[0].key})",
    )
    for name in option_names():
        flag, default = "--" + name.replace("_", "-"), getattr(SamplingOptions, name)
        shown = {True: "yes", False: "no"}[default] if isinstance(default, bool) else default
        text = f"{help_of(name)} (default {shown})"
        if isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        elif isinstance(default, str):
            parser.add_argument(flag, choices=CFG_CURVES, help=text)
        else:
            several = "+" if name in BY_SCALE else None
            parser.add_argument(flag, type=type(default), nargs=several, metavar="N", help=text)


def sampling_settings(args: argparse.Namespace, own: Mapping[str, Any]) -> dict:
    """The options of sampling that were asked for: the preset's, but for those that were given.

    Args:
        args: of the command.
        own: what the checkpoint asks for (`own_settings`), where no preset was given.
    """
    key = args.preset or PRESETS[0].key
    settings = next(preset.settings() for preset in PRESETS if preset.key == key)
    if args.preset is None:
        settings.update(own)
    given = {name: getattr(args, name) for name in settings}
    single = {name: value[0] for name, value in given.items() if isinstance(value, list) and len(value) == 1}
    return fill_in(given | single, settings)
