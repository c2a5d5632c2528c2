"""`python -m var push`: put a checkpoint with its card, or this program as a Space, on the Hugging Face Hub."""

import argparse
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ..checkpoints.box import BOXED_MODEL, default_folder
from ..checkpoints.checkpoint import read_checkpoint
from ..checkpoints.export import export_safetensors
from ..checkpoints.pair import open_pair
from ..checkpoints.report import find_problem
from ..device import DTYPES
from ..hub.addresses import HubAddress
from ..hub.push import CARD, check_repo, check_token, push_model, push_space, space_card
from ..text import file_name_part, format_bytes, printable
from .export import known_class_names
from .model_arguments import DownloadBar, add_reading_arguments
from .model_card import model_card

USAGE = "(FILE OWNER/NAME | --space OWNER/NAME) [options]"
ROOT = Path(__file__).resolve().parents[2]
PARTS = ("app.py", CARD, "requirements.txt", "LICENSE", "checkpoints/README.md")
PUBLIC = "VAR_PUBLIC"
OF_SPACES = ("checkpoint", "variable")  # arguments that go with --space alone,
OF_CHECKPOINTS = ("vae", "weights", "num_heads", "dtype", "license", "overwrite")  # and with FILE alone
ENDINGS = re.compile(r"(\.(pth|pt|ckpt|bin|safetensors|index|json|pkl|tar))+$", re.IGNORECASE)
MAX_NAME_BYTES = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument("file", nargs="?", metavar="FILE", help="the checkpoint")
    parser.add_argument(
        "repo",
        nargs="?",
        metavar="OWNER/NAME",
        help="the model repository that gets its weights, as `export` writes them, and a card; made if it is not there",
    )
    either.add_argument(
        "--space",
        metavar="OWNER/NAME",
        help="instead: the Space that gets this demo; made if it is not there, else brought up to date",
    )
    parser.add_argument("--private", action="store_true", help="what is made is seen by its owners alone")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    of_checkpoints = parser.add_argument_group("with FILE")
    of_checkpoints.add_argument(
        "--vae", metavar="FILE", help="the VQVAE, where the checkpoint has none (default: one that fits, nearby)"
    )
    add_reading_arguments(of_checkpoints)
    of_checkpoints.add_argument("--dtype", choices=DTYPES, help="precision of the weights (default: as they are)")
    of_checkpoints.add_argument("--license", metavar="NAME", help="for the card, by the Hub's short name, such as mit")
    of_checkpoints.add_argument("--overwrite", action="store_true", help=f"replace a {CARD} that is there already")
    of_spaces = parser.add_argument_group("with --space")
    of_spaces.add_argument(
        "--checkpoint", action="append", default=[], type=Path, metavar="FILE", help="a checkpoint that comes along"
    )
    of_spaces.add_argument(
        "--variable",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"an option of the server, such as VAR_PRELOAD=hf://owner/repo/path; a Space that is made and not private "
        f"has {PUBLIC}=1 unless it is named",
    )


def run(args: argparse.Namespace) -> None:
    """Run the command; raises FileNotFoundError or ValueError for bad input, and where the Hub refuses."""
    is_space = args.space is not None
    for name in OF_CHECKPOINTS if is_space else OF_SPACES:
        if getattr(args, name):
            option, way = name.replace("_", "-"), "FILE OWNER/NAME" if is_space else "--space OWNER/NAME"
            raise ValueError(f"--{option} goes with {way} alone. Leave it out.")
    if is_space:
        _push_space(args)
    elif args.repo is None:
        raise ValueError(f"{args.file}: where to? Give OWNER/NAME after it, such as me/var-demo.")
    else:
        _push_checkpoint(args)


def _push_checkpoint(args: argparse.Namespace) -> None:
    repo = check_repo(args.repo)
    if not args.dry_run:
        check_token(repo)
    pair = open_pair(
        args.file, args.vae, [default_folder()], args.weights, progress=DownloadBar(), num_heads=args.num_heads
    )
    print(f"read {pair.checkpoint.path}: {pair.checkpoint.summary()}")
    if pair.vae is not None and pair.vae_found:
        print(f"took the VQVAE of {pair.vae.path}, which fits")
    for warning in pair.warnings:
        print(f"{printable(args.file)}: {warning}", file=sys.stderr)
    for checkpoint in filter(None, (pair.checkpoint, pair.vae)):
        problem = find_problem(checkpoint)
        if problem is not None:  # what is sent is to make images
            raise problem
    name = file_name_part(ENDINGS.sub("", pair.checkpoint.path.name), MAX_NAME_BYTES, "._", keep_case=True)
    path = f"{name or 'model'}.safetensors"
    address = HubAddress(repo, path)
    with TemporaryDirectory(prefix="var-push-") as folder:
        out = Path(folder) / path
        names = known_class_names(pair.checkpoint)
        exported = export_safetensors(pair.checkpoint, out, pair.vae, DTYPES.get(args.dtype), names)
        card = model_card(read_checkpoint(out), address, args.license)
        size = format_bytes(exported.num_bytes[0])
        if args.dry_run:
            print(card)
            print(f"{path}, {size}, and this {CARD}, where there is none yet, would go to {repo}")
            return
        place, sent_card = push_model(repo, path, out, card, private=args.private, overwrite_card=args.overwrite)
    print(f"sent {path}, {size}{f', and {CARD}' if sent_card else ''}: {place}")
    if not sent_card:
        print(f"the {CARD} that is there stays as it is; --overwrite replaces it")
    print(f"it opens as {address}")


def _push_space(args: argparse.Namespace) -> None:
    repo, variables = check_repo(args.space), read_variables(args.variable)
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
