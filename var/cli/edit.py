"""`python -m var edit`: a part of an image made anew, as PNG files and on one sheet."""

import argparse
from functools import partial
from pathlib import Path

from PIL import Image, ImageChops

from ..pictures.files import open_image
from ..pictures.pixels import read_mask
from .model_arguments import open_pipeline
from .sample import add_image_arguments, check_numbers, write_images

USAGE = "FILE IMAGE --mask MASK --class CLASS --out DIR [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="checkpoint: a path, or hf://owner/repo/path/in/repo")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture of any size; the middle square is taken")
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="MASK",
        help="a picture of any size that covers the whole of IMAGE: black is made anew, all else is kept "
        "(default: all is made anew)",
    )
    parser.add_argument("--invert-mask", action="store_true", help="keep what is black, and make all else anew")
    parser.add_argument(
        "--keep-scales",
        type=int,
        default=0,
        metavar="N",
        help="so many first scales stay, also where the mask is black: more keep the shapes (default 0)",
    )
    parser.add_argument(
        "--no-paste",
        action="store_true",
        help="leave what is kept as the model reconstructs it, a little off (default: it gets IMAGE's own pixels)",
    )
    add_image_arguments(parser, of=" of the new part")


def run(args: argparse.Namespace) -> None:
    """Make the part anew, write a PNG an image and one contact sheet, and print their paths.

    Raises:
        ValueError: an argument out of range, an unknown class, a file that cannot be used, a mask that keeps all.
    """
    check_numbers(args)
    if args.mask is None and args.keep_scales == 0:
        raise ValueError("nothing of the image would stay; give --mask MASK, or --keep-scales N, or both")
    image, keep = open_image(args.image), open_mask(args.mask, args.invert_mask)
    pipe = open_pipeline(args.file, args)
    side = pipe.var.config.patch_nums[-1]
    if read_mask(keep, image, side).all():
        raise ValueError(
            f"{args.mask} keeps all of the image; black is made anew, where it covers more than half of one of the "
            f"{side}×{side} tokens. --invert-mask turns it round."
        )
    start = partial(pipe.stream_edit, image, keep, keep_scales=args.keep_scales, paste=not args.no_paste)
    write_images(pipe, args, start, edited=True)


def open_mask(path: Path | None, inverted: bool) -> Image.Image:
    """The mask of a file: "L", nonzero where the image is kept; without a file nothing is."""
    if path is None:
        return Image.new("L", (1, 1))
    keep = open_image(path).convert("L").point(lambda value: 255 if value else 0)
    return ImageChops.invert(keep) if inverted else keep
