"""`python -m var sample`: images from a checkpoint, as PNG files and on one sheet."""

import argparse

from .model_arguments import open_pipeline
from .sampling_arguments import add_making_arguments, check_numbers, make

USAGE = "FILE --classes CLASS ... --out DIR [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="checkpoint: a path, or hf://owner/repo/path/in/repo")
    add_making_arguments(parser, of="")


def run(args: argparse.Namespace) -> None:
    """Sample, write a PNG an image and one contact sheet, and print their paths.

    Raises:
        ValueError: an argument out of range, an unknown class, a file that cannot be used.
    """
    check_numbers(args)
    pipe = open_pipeline(args.file, args)
    make(pipe, args, pipe.stream)
