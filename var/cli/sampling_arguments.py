"""The options of sampling on the command line, as `sample`, `edit` and `evaluate` take them."""

import argparse

from ..sampling.options import BY_SCALE, CFG_CURVES, SamplingOptions, help_of, option_names
from ..sampling.presets import PRESETS


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of sampling; those that are not given are None, and come from the preset."""
    parser.add_argument(
        "--preset",
        choices=[preset.key for preset in PRESETS],
        default=PRESETS[0].key,
        help=f"settings to begin with; options given beside it come first (default {PRESETS[0].key})",
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


def sampling_settings(args: argparse.Namespace) -> dict:
    """The options of sampling that were asked for: the preset's, but for those that were given."""
    settings = next(preset.settings() for preset in PRESETS if preset.key == args.preset)
    for name in settings:
        value = getattr(args, name)
        if value is not None:
            settings[name] = value[0] if isinstance(value, list) and len(value) == 1 else value
    return settings
