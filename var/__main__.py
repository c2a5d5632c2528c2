"""The command line: `python -m var COMMAND ...`; each command is a module of `var.cli`."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from .errors import TrainingError

COMMANDS = {
    "inspect": "show what is in a checkpoint, and whether it can be used",
    "export": "write a checkpoint's weights alone to one file",
    "sample": "make images from a checkpoint",
    "edit": "make a part of an image anew",
    "train": "train a tokenizer and a transformer on a folder of images",
    "evaluate": "measure a checkpoint against a folder of images",
    "bench": "measure speed and memory on this machine",
}
BAD_INPUT = 2  # argparse's own exit code for a bad argument
INTERRUPTED = 130


def available_commands() -> dict[str, str]:
    """The commands whose module is there, with a line on each."""
    package = f"{__package__}.cli"
    return {name: summary for name, summary in COMMANDS.items() if find_spec(f"{package}.{name}") is not None}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments; those of the process where None.

    Returns:
        The exit code: 0 when done, 2 for bad input, 130 when interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m var", description="Visual AutoRegressive models.")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((argument for argument in argv if not argument.startswith("-")), None)
    module = None
    for name, summary in available_commands().items():
        description = f"{summary[0].upper()}{summary[1:]}."
        subparser = subparsers.add_parser(name, help=summary, description=description)
        if name == chosen:
            module = import_module(f".cli.{name}", __package__)  # only this one: others may need a second
            module.add_arguments(subparser)
    args = parser.parse_args(argv)
    try:
        module.run(args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ValueError, OSError, TrainingError) as error:  # CheckpointError and DataError are ValueErrors
        print(f"python -m var {args.command}: {_one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _one_line(error: Exception) -> str:
    """The message of an error; an error of the operating system names its file."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
