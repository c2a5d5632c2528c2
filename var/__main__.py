"""The command line: `python -m var COMMAND ...`; each command is a module of `var.cli`."""

import argparse
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from . import __version__
from .errors import TrainingError, missing_package
from .text import printable

COMMANDS = {
    "inspect": "show what is in a checkpoint, and whether it can be used",
    "export": "write a checkpoint's weights alone to one file",
    "sample": "make images from a checkpoint",
    "edit": "make a part of an image anew",
    "train": "train a tokenizer and a transformer on a folder of images",
    "evaluate": "measure a checkpoint against a folder of images",
    "push": "put a checkpoint, or this demo as a Space, on the Hugging Face Hub",
    "bench": "measure speed and memory on this machine",
    "bench load": "measure how fast a trainer's file loads, beside the reference's recipe",
}
MAINTAINERS = {"bench load": "benchmarks.load"}  # modules beside the package, which only a checkout has
BAD_INPUT = 2  # argparse's own exit code for a bad argument
INTERRUPTED, OUTPUT_CLOSED = 130, 141  # as a shell reports a process that SIGINT or SIGPIPE ended
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
LESS_MEMORY = {  # options that take less, by the name of their argument
    "batch_size": "a smaller --batch-size",
    "batch_sizes": "smaller --batch-sizes",
    "depth": "a smaller --depth",
    "dtype": "--dtype bfloat16",
    "device": "another --device",
}


def available_commands() -> dict[str, str]:
    """The commands whose module is there, with a line on each."""
    return {name: summary for name, summary in COMMANDS.items() if name not in MAINTAINERS or is_checkout()}


def is_checkout() -> bool:
    """Whether the package lies in its repository, with `benchmarks` beside it."""
    return (Path(__file__).parents[1] / "benchmarks" / "load.py").is_file()


def module_name(command: str) -> str:
    """The module of a command."""
    return MAINTAINERS.get(command, f"{__package__}.cli.{command}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments; those of the process where None.

    Returns:
        The exit code: 0 when done; 2 for bad input and where memory or disk is too small, with one line on standard
        error; 130 when interrupted; 141 where nobody reads the output any more, as with `| head`.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if " ".join(argv[:2]) in COMMANDS:
        argv[:2] = [" ".join(argv[:2])]
    try:
        parser, module = create_parser(argv)
    except ModuleNotFoundError as error:
        sentence = missing_package(error)
        if sentence is None:
            raise
        print(f"python -m var: {sentence}", file=sys.stderr)
        return BAD_INPUT
    args = parser.parse_args(argv)
    assert module is not None, "the parser takes no other command"
    try:
        with redirect_stdout(PlainOutput(sys.stdout)):
            module.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python itself flushes at the end
        return OUTPUT_CLOSED
    except Exception as error:
        sentence = describe_error(error, args)
        if sentence is None:
            raise
        print(f"{parser.prog} {args.command}: {printable(sentence)}", file=sys.stderr)
        return BAD_INPUT
    return 0


class PlainOutput:
    """Standard output of the commands, which quote what files say: nothing that they say can act on a terminal.

    Args:
        output: where the text goes; all that is not writing is asked of it.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, text: str) -> int:
        """Write text, with a question mark for each character beside line breaks that is not printable."""
        self._output.write("\n".join(map(printable, text.split("\n"))))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)


def create_parser(argv: Sequence[str]) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """The parser of a command line, and the module of its command; None where it has none, which parsing then refuses.

    Only that module is imported: others may need seconds.
    """
    parser = argparse.ArgumentParser(
        prog="var" if Path(sys.argv[0]).stem == "var" else "python -m var",
        description="Visual AutoRegressive models.",
    )
    parser.add_argument("--version", action="version", version=f"var {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((argument for argument in argv if not argument.startswith("-")), None)
    module = None
    for name, summary in available_commands().items():
        description = f"{summary[0].upper()}{summary[1:]}."
        subparser = subparsers.add_parser(name, help=summary, description=description)
        if name == chosen:
            module = import_module(module_name(name))
            module.add_arguments(subparser)
            subparser.usage = f"{subparser.prog} {module.USAGE}"  # argparse would name all options, on 14 lines
            parser.usage = subparser.usage  # it is this one that refuses what no option takes
    return parser, module


def describe_error(error: Exception, args: argparse.Namespace) -> str | None:
    """Say in one sentence what went wrong; None for a fault of the program, whose traceback is wanted.

    Args:
        error: what ended the command. What lies behind it counts, too: where a disk is full, torch raises another error
            on top.
        args: of the command.
    """
    missing = missing_package(error)
    if missing is not None:
        return missing
    from .device import is_out_of_memory  # here: --help needs no torch, and every command has it by now

    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in DISK_FULL:
            place = cause.filename or getattr(args, "out", None)
            return f"no space is left on the disk{f' for {place}' if place else ''}; free some, or write elsewhere"
        if is_out_of_memory(cause):
            ways = [way for name, way in LESS_MEMORY.items() if hasattr(args, name)]
            return f"there is too little memory; free some, or take {', '.join([*ways, 'a smaller model'])}"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ValueError | OSError | TrainingError):  # CheckpointError and DataError are ValueErrors
        return " ".join(str(error).split())
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from or upon, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    sys.exit(main())
