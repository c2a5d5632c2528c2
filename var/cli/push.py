"""`python -m var push`: put this program on the Hugging Face Hub as a Space."""

import argparse
from pathlib import Path

from ..checkpoints.box import BOXED_MODEL
from ..hub.push import CARD, check_space, push_space, space_card
from ..text import format_bytes

USAGE = "--space OWNER/NAME [options]"
ROOT = Path(__file__).resolve().parents[2]
PARTS = ("app.py", CARD, "requirements.txt", "LICENSE", "checkpoints/README.md")
PUBLIC = "VAR_PUBLIC"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--space",
        required=True,
        metavar="OWNER/NAME",
        help="the Space; made if it is not there, else brought up to date",
    )
    parser.add_argument("--private", action="store_true", help="a Space that is made is seen by its owners alone")
    parser.add_argument(
        "--checkpoint", action="append", default=[], type=Path, metavar="FILE", help="a checkpoint that comes along"
    )
    parser.add_argument(
        "--variable",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"an option of the server, such as VAR_PRELOAD=hf://owner/repo/path; a Space that is made and not private "
        f"has {PUBLIC}=1 unless it is named",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and ask the Hub nothing")


def run(args: argparse.Namespace) -> None:
    """Run the command; raises FileNotFoundError or ValueError for bad input, and where the Hub refuses."""
    repo, variables = check_space(args.space), read_variables(args.variable)
    files = space_files(ROOT, args.checkpoint)
    first = {} if args.private else {PUBLIC: "1"}
    card = space_card(files[CARD].read_text(encoding="utf-8"), repo)
    num_bytes = sum(path.stat().st_size for path in files.values())
    if args.dry_run:
        for path in files:
            print(path)
        print("\n".join(card.split("\n---\n")[0].splitlines()[1:]))
        named = [f"{name}={value}" for name, value in (first | variables).items()]
        print(f"variables of a new Space: {', '.join(named) or 'none'}")
        print(f"{len(files)} files, {format_bytes(num_bytes)}, would go to {repo}")
        return
    content: dict[str, Path | bytes] = {**files, CARD: card.encode()}
    address = push_space(repo, content, private=args.private, variables=variables, first_variables=first)
    print(f"sent {len(files)} files, {format_bytes(num_bytes)}; the Space builds now: {address}")


def read_variables(texts: list[str]) -> dict[str, str]:
    """Return variables by name; raises ValueError where one is not NAME=VALUE."""
    parts = [text.partition("=") for text in texts]
    for name, sign, _ in parts:
        if not (sign and name.isidentifier()):
            raise ValueError(f"--variable {name}{sign}: expected NAME=VALUE, such as VAR_NO_UPLOAD=1.")
    return {name: value for name, _, value in parts}


def space_files(root: Path, checkpoints: list[Path]) -> dict[str, Path]:
    """Return what a Space needs of a checkout, by its path there: the program and the model in the box, no tests.

    Args:
        root: of the checkout.
        checkpoints: that come along; they are put into its checkpoints folder.

    Raises:
        FileNotFoundError: this is no checkout, or a checkpoint is not there.
    """
    if not all((root / part).is_file() for part in PARTS):
        raise FileNotFoundError(
            f"{root}: app.py and README.md are not there. Run this in a checkout of the repository."
        )
    box = sorted((root / "checkpoints").glob(f"{Path(BOXED_MODEL).stem}.*"))
    package = sorted(path for path in (root / "var").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    shown = sorted((root / "docs").glob("*.webp"))  # in README
    parts = [*(root / part for part in PARTS), *package, *box, *shown]
    files = {path.relative_to(root).as_posix(): path for path in parts}
    for checkpoint in checkpoints:
        if not checkpoint.is_file():
            raise FileNotFoundError(f"{checkpoint}: there is no such file.")
        files[f"checkpoints/{checkpoint.name}"] = checkpoint
    return files
