"""`python -m var export`: write a checkpoint's weights alone."""

import argparse
from pathlib import Path

from ..checkpoints.box import default_folder
from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.class_names import IMAGENET, read_classes
from ..checkpoints.export import (
    class_names_path,
    export_official,
    export_safetensors,
    vqvae_path,
    write_class_names,
)
from ..checkpoints.pair import open_pair
from ..device import DTYPES
from .model_arguments import DownloadBar, add_reading_arguments, refuse_existing

USAGE = "FILE OUT [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="the checkpoint")
    parser.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        help="OUT.safetensors: both models in one file, with sizes and class names in its header; OUT.pth: plain state "
        "dicts as the reference implementation loads them, the VQVAE beside it as vae_OUT.pth, class names as OUT.json",
    )
    parser.add_argument(
        "--vae", metavar="FILE", help="the VQVAE, where the checkpoint has none (default: one that fits, nearby)"
    )
    add_reading_arguments(parser)
    parser.add_argument("--dtype", choices=DTYPES, help="precision of the weights (default: as they are)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")


def run(args: argparse.Namespace) -> None:
    """Run the command; raises CheckpointError, FileNotFoundError or ValueError for bad input."""
    out, is_official = args.out, args.out.suffix == ".pth"
    if out.suffix not in (".pth", ".safetensors"):
        raise ValueError(f"{out}: the name says no known format; expected it to end in .safetensors or .pth.")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: there is no such folder. Make it first.")
    for path in (out, vqvae_path(out), class_names_path(out)) if is_official else (out,):
        refuse_existing(path, args.overwrite)
    folders, bar = [default_folder()], DownloadBar()
    pair = open_pair(
        args.file, args.vae, folders, args.weights, need_vqvae=False, progress=bar, num_heads=args.num_heads
    )
    print(f"read {pair.checkpoint.path}: {pair.checkpoint.summary()}")
    if pair.vae is not None and pair.vae_found:
        print(f"took the VQVAE of {pair.vae.path}, which fits")
    dtype, class_names = DTYPES.get(args.dtype), known_class_names(pair.checkpoint)
    if is_official:
        exported = export_official(pair.checkpoint, out, pair.vae, dtype)
    else:
        exported = export_safetensors(pair.checkpoint, out, pair.vae, dtype, class_names)
    for path, num_bytes, sha256 in zip(exported.paths, exported.num_bytes, exported.sha256, strict=True):
        print(f"wrote {path}: {num_bytes / 1e6:.1f} MB, SHA-256 {sha256}")
    if is_official and class_names is not None:
        print(
            f"wrote {write_class_names(out, class_names)}: the class names, found there by every command and the page"
        )
    if not exported.has_vqvae:
        print("the VQVAE is not in it: none was found that fits; give its file with --vae")


def known_class_names(checkpoint: Checkpoint) -> tuple[str, ...] | None:
    """The class names of a checkpoint, in it or around it; None where it has none, or ImageNet's by default."""
    if checkpoint.var_config is None:
        return None
    classes = read_classes(checkpoint)
    return classes.names if classes.source not in ("", IMAGENET) else None
