"""The options of sampling on the command line, as `sample`, `edit` and `evaluate` take them."""

import argparse
from collections.abc import Mapping
from typing import Any

from ..sampling.options import DECLARATIONS, help_of
from ..sampling.presets import PRESETS, fill_in


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of sampling; those not given are None, and come from preset or checkpoint."""
    parser.add_argument(
        "--preset",
        choices=[preset.key for preset in PRESETS],
        help="settings to begin with; options given beside it come first (default: what the checkpoint asks for, "
        f"else {PRESETS[0].key})",
    )
    for name, said in DECLARATIONS.items():
        flag, kind = "--" + name.replace("_", "-"), type(said.default)
        text = f"{help_of(name)} (default {('no', 'yes')[said.default] if said.is_switch else said.default})"
        if said.is_switch:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        elif said.choices:
            parser.add_argument(flag, choices=said.choices, help=text)
        else:
            parser.add_argument(flag, type=kind, nargs="+" if said.by_scale else None, metavar="N", help=text)


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
