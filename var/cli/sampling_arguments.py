"""What `sample` and `edit` share: the options of sampling, classes by name, images into files as they are made."""

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from ..device import describe
from ..outputs.recipe import make_recipes, save_png
from ..pictures.pixels import contact_sheet
from ..pipeline import VARPipeline
from ..sampling.options import CFG_CURVES, MAX_SEED, SamplingOptions
from ..sampling.presets import PRESETS
from ..sampling.steps import Step
from .model_arguments import add_model_arguments

NO_CLASS = "none"
MAX_COLUMNS = 12  # of the sheet
Start = Callable[..., Iterator[Step]]  # begins a generation: class labels, seeds, and the options of sampling by name


def add_making_arguments(parser: argparse.ArgumentParser, *, of: str) -> None:
    """Declare which images are made, how, and where they go.

    Args:
        parser: of the command.
        of: what the classes are of, for the help.
    """
    parser.add_argument(
        "--classes",
        "--class",
        nargs="+",
        required=True,
        metavar="CLASS",
        help=f"class indices or names{of}; 'none' for no class",
    )
    parser.add_argument(
        "--count",
        "--num-images",
        type=int,
        nargs="+",
        default=[1],
        metavar="N",
        help="images of each class: one number, or one for each class (default 1)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first image; each further image has the next seed (default 0)"
    )
    add_sampling_arguments(parser)
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="images at a time (default 8)")
    add_model_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the images")


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


def check_numbers(args: argparse.Namespace) -> None:
    """Raise ValueError for numbers that no model could follow; before one is loaded."""
    if min(args.count) < 1 or args.batch_size < 1:
        raise ValueError("--count and --batch-size must be at least 1")
    if len(args.count) not in (1, len(args.classes)):
        raise ValueError(
            f"--count has {len(args.count)} numbers, --classes {len(args.classes)}; give one, or one for each class"
        )
    num_images = sum(counts(args))
    if not 0 <= args.seed <= MAX_SEED - num_images + 1:
        raise ValueError(f"a seed must be a whole number from 0 to 2**63 - 1, not {args.seed}")


def counts(args: argparse.Namespace) -> list[int]:
    """Number of images of each class."""
    return args.count * len(args.classes) if len(args.count) == 1 else args.count


def make(pipe: VARPipeline, args: argparse.Namespace, start: Start, *, edited: bool = False) -> None:
    """Make the images, write a PNG for each and one contact sheet, and print their paths.

    Args:
        pipe: makes them.
        args: of the command.
        start: begins a batch.
        edited: whether the images are made from another one; their recipes say it.

    Raises:
        ValueError: an argument out of range, an unknown class, too little memory.
    """
    labels = [find_class(word, pipe.class_names) for word in args.classes]
    labels = [label for label, count in zip(labels, counts(args), strict=True) for _ in range(count)]
    args.out.mkdir(parents=True, exist_ok=True)
    print(describe(pipe.device, pipe.dtype))
    try:
        images = make_in_batches(pipe, labels, args, start, edited)
    except torch.OutOfMemoryError as error:
        raise ValueError(str(error)) from error
    sheet_path = args.out / f"sheet_seed{args.seed}.png"
    class_a_row = len(args.count) == 1 and 1 < args.count[0] <= MAX_COLUMNS
    contact_sheet(images, columns=args.count[0] if class_a_row else min(len(images), MAX_COLUMNS)).save(sheet_path)
    print(sheet_path)


def make_in_batches(
    pipe: VARPipeline, labels: Sequence[int | None], args: argparse.Namespace, start: Start, edited: bool
) -> list[Image.Image]:
    """Make the images batch by batch, and write each, with its recipe, as soon as it is there.

    Every image has its own seed, counted up from `--seed`, so the size of the batches does not change it.
    """
    images = []
    settings = sampling_settings(args)
    num_batches = -(-len(labels) // args.batch_size)
    with tqdm(total=num_batches * pipe.var.config.num_scales, unit="scale") as progress:
        for first in range(0, len(labels), args.batch_size):
            batch = labels[first : first + args.batch_size]
            seeds = [args.seed + first + i for i in range(len(batch))]
            for step in start(batch, seeds, **settings):
                done = first // args.batch_size * step.num_scales + step.scale_index + 1
                progress.update(max(0, done - progress.n))  # scales come again where memory splits a batch
            recipes = make_recipes(pipe, SamplingOptions(batch, seeds, **settings), edited)
            for image, label, recipe in zip(step.result.images, batch, recipes, strict=True):
                path = args.out / f"{file_stem(label, pipe.class_names)}_seed{recipe.seed}.png"
                save_png(path, image, recipe)
                progress.clear()
                print(path)
                images.append(image)
    return images


def find_class(word: str, class_names: list[str]) -> int | None:
    """The class that a word names: an index, else a name in any case, else "none" for no class.

    Raises:
        ValueError: there is no such class.
    """
    if re.fullmatch(r"\d+", word):
        if int(word) >= len(class_names):
            raise ValueError(f"class {word} is out of range: the model has classes 0 to {len(class_names) - 1}")
        return int(word)
    lowered = [name.casefold() for name in class_names]
    if word.casefold() in lowered:
        return lowered.index(word.casefold())
    if word.casefold() == NO_CLASS:
        return None
    similar = [name for name in class_names if word.casefold() in name.casefold()][:5]
    hint = f"did you mean {', '.join(similar)}?" if similar else f"known are {summarize(class_names)}"
    raise ValueError(f"no class is named {word!r}; {hint}")


def summarize(class_names: list[str]) -> str:
    """A few class names and how many more there are."""
    shown = ", ".join(class_names[:8])
    return f"{shown} and {len(class_names) - 8} more" if len(class_names) > 8 else shown


def file_stem(label: int | None, class_names: list[str]) -> str:
    """The class part of a file's name: index and name, with plain characters only."""
    if label is None:
        return NO_CLASS
    name = re.sub(r"[^a-z0-9]+", "-", class_names[label].lower()).strip("-")
    return f"{label:03d}_{name}" if name else f"{label:03d}"
