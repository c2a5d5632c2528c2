"""`python -m var train`: tokenizer and transformer on a folder of images."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from ..training.options import PRESETS, TrainingOptions, make_options

USAGE = "DATA --out DIR [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of the recipe come from `TrainingOptions`."""
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="folder with a folder for each class (or train/ and val/ with them), or a packed .npz",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; the same again goes on with it")
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="sizes and recipe to start from")
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FILE",
        help="checkpoint whose VQVAE is used instead of training one, with its sizes; best for few images",
    )
    parser.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="checkpoint to start from, with its sizes and its VQVAE; classes that it does not know begin anew",
    )
    parser.add_argument(
        "--init-tokenizer",
        type=Path,
        metavar="FILE",
        help="checkpoint whose VQVAE the tokenizer is trained on from, with its sizes",
    )
    group = parser.add_argument_group("recipe", "each defaults to the preset's value; the tiny preset's is shown")
    for item in fields(TrainingOptions):
        name, default = "--" + item.name.replace("_", "-"), item.default
        text = item.metadata["help"]
        if isinstance(default, bool):
            group.add_argument(name, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif isinstance(default, tuple):
            shown = " ".join(map(str, default))
            group.add_argument(name, type=int, nargs="+", metavar="N", help=f"{text} ({shown})")
        else:
            group.add_argument(
                name, type=type(default), metavar=type(default).__name__.upper(), help=f"{text} ({default})"
            )


def run(args: argparse.Namespace) -> None:
    """Train."""
    from ..training.initial import fixed_options
    from ..training.run import train

    given = {item.name: getattr(args, item.name) for item in fields(TrainingOptions)}
    changes = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value is not None
    }
    if args.init_tokenizer and (args.tokenizer or args.init):
        raise ValueError("--init-tokenizer trains a tokenizer, --tokenizer and --init use one as it is; give one.")
    changes = {**fixed_options(args.tokenizer or args.init_tokenizer, args.init), **changes}
    options = make_options(args.preset, **changes)
    try:
        print(
            train(
                args.data,
                args.out,
                options,
                preset=args.preset,
                tokenizer=args.tokenizer,
                init=args.init,
                init_tokenizer=args.init_tokenizer,
            )
        )
    except KeyboardInterrupt:
        print(f"The same command goes on with {args.out}.", file=sys.stderr)
        raise
