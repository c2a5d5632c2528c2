"""The options of sampling on the command line, as `sample`, `edit` and `evaluate` take them."""

import argparse

from ..sampling.options import CFG_CURVES, SamplingOptions
from ..sampling.presets import PRESETS


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of sampling; those that are not given are None, and come from the preset."""
    default = SamplingOptions  # the class has the defaults
    parser.add_argument(
        "--preset",
        choices=[preset.key for preset in PRESETS],
        default=PRESETS[0].key,
        help=f"settings to begin with; options given beside it come first (default {PRESETS[0].key})",
    )
    parser.add_argument(
        "--cfg-scale",
        type=float,
        nargs="+",
        metavar="T",
        help=f"guidance, 0 is off; one number, or one for each scale (default {default.cfg_scale})",
    )
    parser.add_argument(
        "--cfg-curve",
        choices=CFG_CURVES,
        help=f"guidance that grows from scale to scale, or is the same at all (default {default.cfg_curve})",
    )
    parser.add_argument("--cfg-start", type=int, metavar="S", help="first scale with guidance, from 0 (default 0)")
    parser.add_argument(
        "--cfg-end",
        type=int,
        metavar="S",
        help="first scale without guidance again, which saves time; 0: none (default)",
    )
    parser.add_argument(
        "--top-k",
        type=int,
        nargs="+",
        metavar="K",
        help=f"draw among the k likeliest, 0 is off; one number, or one for each scale (default {default.top_k})",
    )
    parser.add_argument(
        "--top-p", type=float, metavar="P", help=f"share of the probability, 0 is off (default {default.top_p})"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        nargs="+",
        metavar="T",
        help=f"divides the logits; one number, or one for each scale (default {default.temperature})",
    )
    parser.add_argument(
        "--more-smooth", action=argparse.BooleanOptionalAction, help="smoother, less diverse images (default: no)"
    )


def sampling_settings(args: argparse.Namespace) -> dict:
    """The options of sampling that were asked for: the preset's, but for those that were given."""
    settings = next(preset.settings() for preset in PRESETS if preset.key == args.preset)
    for name in settings:
        value = getattr(args, name)
        if value is not None:
            settings[name] = value[0] if isinstance(value, list) and len(value) == 1 else value
    return settings
