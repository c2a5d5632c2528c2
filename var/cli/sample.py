"""`python -m var sample`: images from a checkpoint, as PNG files and on one sheet; `edit` makes its images so, too."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from ..checkpoints.class_lookup import NO_CLASS, find_classes
from ..device import describe
from ..formats.atomic import write_atomically
from ..outputs.branch import Branch, branch_of
from ..outputs.recipe import Recipe, from_png, make_recipes, png_bytes
from ..pictures.pixels import contact_sheet
from ..pipeline import VARPipeline
from ..sampling.options import MAX_SEED, SamplingOptions
from ..sampling.steps import Step
from ..text import file_name_part
from .model_arguments import add_model_arguments, open_pipeline
from .sampling_arguments import add_sampling_arguments, sampling_settings

USAGE = "FILE --classes CLASS ... --out DIR [options]"
MAX_COLUMNS = 12  # of the sheet
MAX_NAME_BYTES = 120  # of a class, in the name of a file
Start = Callable[..., Iterator[Step]]  # begins a generation: class labels, seeds, and the options of sampling by name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="checkpoint: a path, or hf://owner/repo/path/in/repo")
    parser.add_argument(
        "--branch",
        type=Path,
        metavar="IMAGE",
        help="a PNG made here by FILE: the images keep its first scales, and draw the others anew",
    )
    parser.add_argument("--keep-scales", type=int, metavar="N", help="so many scales of --branch are kept, from 1")
    add_image_arguments(parser, of="")


def run(args: argparse.Namespace) -> None:
    """Sample, write a PNG an image and one contact sheet, and print their paths.

    Raises:
        ValueError: an argument out of range, an unknown class, a file that cannot be used.
    """
    check_numbers(args)
    if (args.branch is None) != (args.keep_scales is None):
        raise ValueError("--branch IMAGE and --keep-scales N go together: which image, and how many of its scales")
    recipe = args.branch and read_recipe(args.branch)
    pipe = open_pipeline(args.file, args)
    branch = branch_of(pipe, recipe, args.keep_scales) if recipe else None
    write_images(pipe, args, partial(pipe.stream, first_tokens=branch.joined) if branch else pipe.stream, branch=branch)


def read_recipe(image: Path) -> Recipe:
    """Return how an image was made; raises ValueError, which names the file, where it does not say so."""
    try:
        return from_png(image)
    except ValueError as error:
        raise ValueError(f"{image}: {error}") from error


def add_image_arguments(parser: argparse.ArgumentParser, *, of: str) -> None:
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
        help=f"class indices, ranges such as 0-63, or names{of}; 'all', or 'none' for no class",
    )
    parser.add_argument(
        "--count",
        "--num-images",
        type=int,
        nargs="+",
        default=[1],
        metavar="N",
        help="images of each class: one number, or one for each CLASS (default 1)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first image; each further image has the next seed (default 0)"
    )
    add_sampling_arguments(parser)
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="images at a time (default 8)")
    add_model_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the images")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files of the same names (default: other images than before get a number in their names)",
    )


def check_numbers(args: argparse.Namespace) -> None:
    """Raise ValueError for numbers that no model could follow; before one is loaded."""
    if min(args.count) < 1 or args.batch_size < 1:
        raise ValueError("--count and --batch-size must be at least 1")
    if len(args.count) not in (1, len(args.classes)):
        raise ValueError(
            f"--count has {len(args.count)} numbers, --classes {len(args.classes)}; give one, or one for each class"
        )
    check_seed(args.seed, sum(counts(args)))


def check_seed(seed: int, num_images: int) -> None:
    """Raise ValueError unless all images have a seed; each has the next."""
    if not 0 <= seed <= MAX_SEED - num_images + 1:
        raise ValueError(f"a seed must be a whole number from 0 to 2**63 - 1, not {seed}")


def counts(args: argparse.Namespace) -> list[int]:
    """Number of images of each class, for each word of `--classes`."""
    return args.count * len(args.classes) if len(args.count) == 1 else args.count


def write_images(
    pipe: VARPipeline, args: argparse.Namespace, start: Start, *, edited: bool = False, branch: Branch | None = None
) -> None:
    """Make the images, write a PNG for each and one contact sheet, and print their paths.

    Args:
        pipe: makes them.
        args: of the command.
        start: begins a batch.
        edited: whether the images are made from another one; their recipes say it.
        branch: what all of them keep of another image; None where they do not.

    Raises:
        ValueError: an argument out of range, an unknown class.
    """
    words = zip(args.classes, counts(args), strict=True)
    asked = [(label, count) for word, count in words for label in find_classes(word, pipe.class_names)]
    labels = [label for label, count in asked for _ in range(count)]
    check_seed(args.seed, len(labels))
    args.out.mkdir(parents=True, exist_ok=True)
    print(describe(pipe.device, pipe.dtype))
    images = make_in_batches(pipe, labels, args, start, edited, branch)
    class_a_row = len(args.count) == 1 and 1 < args.count[0] <= MAX_COLUMNS
    sheet = contact_sheet(images, columns=args.count[0] if class_a_row else min(len(images), MAX_COLUMNS))
    content = BytesIO()
    sheet.save(content, format="PNG")
    print(write_beside(args.out / f"sheet_seed{args.seed}.png", content.getvalue(), args.overwrite))


def make_in_batches(
    pipe: VARPipeline,
    labels: Sequence[int | None],
    args: argparse.Namespace,
    start: Start,
    edited: bool,
    branch: Branch | None,
) -> list[Image.Image]:
    """Make the images batch by batch, and write each, with its recipe, as soon as it is there.

    Every image has its own seed, counted up from `--seed`, so the size of the batches does not change it.
    """
    images: list[Image.Image] = []
    settings = sampling_settings(args, pipe.own_settings)
    num_batches = -(-len(labels) // args.batch_size)
    with tqdm(total=num_batches * pipe.var.config.num_scales, unit="scale") as progress:
        for first in range(0, len(labels), args.batch_size):
            batch = labels[first : first + args.batch_size]
            seeds = [args.seed + first + i for i in range(len(batch))]
            for step in start(batch, seeds, **settings):
                done = first // args.batch_size * step.num_scales + step.scale_index + 1
                progress.update(max(0, done - progress.n))  # scales come again where memory splits a batch
            assert step.result is not None, "nothing stops it"
            recipes = make_recipes(pipe, SamplingOptions(batch, seeds, **settings), edited, branch)
            for image, label, recipe in zip(step.result.pil_images, batch, recipes, strict=True):
                name = f"{file_stem(label, pipe.class_names)}_seed{recipe.seed}.png"
                path = write_beside(args.out / name, png_bytes(image, recipe), args.overwrite)
                progress.clear()
                print(path)
                images.append(image)
    return images


def file_stem(label: int | None, class_names: Sequence[str]) -> str:
    """The class part of a file's name: index and name, with letters and digits only."""
    if label is None:
        return NO_CLASS
    name = file_name_part(class_names[label], MAX_NAME_BYTES)
    return f"{label:03d}_{name}" if name else f"{label:03d}"


def write_beside(path: Path, content: bytes, overwrite: bool = False) -> Path:
    """Write a file, and leave another one of that name in peace.

    Args:
        path: where it goes. Where a file with other content is there, the name gets a number: `name-2.png`, then
            `name-3.png`; the same command again finds its own files, and writes none.
        content: of the file.
        overwrite: whether to replace what is there instead.

    Returns:
        The path of the file with that content.
    """
    place, number = path, 1
    while not overwrite and place.exists():
        if place.is_file() and place.read_bytes() == content:
            return place
        number += 1
        place = path.with_stem(f"{path.stem}-{number}")
    write_atomically(place, lambda file: file.write(content))
    return place
