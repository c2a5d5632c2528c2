"""`python -m var export`: write a checkpoint's weights alone."""

import argparse
from pathlib import Path

from ..checkpoints.export import DTYPES, export_official, export_safetensors
from ..checkpoints.folder import default_folder
from ..checkpoints.pair import open_pair
from .model_arguments import DownloadBar, add_weights_argument

USAGE = "FILE OUT [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="the checkpoint")
    parser.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        help="OUT.safetensors: both models in one file, with sizes and class names in its header; OUT.pth: plain state "
        "dicts as the reference implementation loads them, the VQVAE beside it as vae_OUT.pth",
    )
    parser.add_argument(
        "--vae", metavar="FILE", help="the VQVAE, where the checkpoint has none (default: one that fits, nearby)"
    )
    add_weights_argument(parser)
    parser.add_argument("--dtype", choices=DTYPES, help="precision of the weights (default: as they are)")


def run(args: argparse.Namespace) -> None:
    """Run the command; raises CheckpointError, FileNotFoundError or ValueError for bad input."""
    writers = {".safetensors": export_safetensors, ".pth": export_official}
    if args.out.suffix not in writers:
        raise ValueError(f"{args.out}: the name says no known format; expected it to end in .safetensors or .pth.")
    if not args.out.absolute().parent.is_dir():
        raise FileNotFoundError(f"{args.out.parent}: there is no such folder. Make it first.")
    folders, bar = [default_folder()], DownloadBar()
    pair = open_pair(args.file, args.vae, folders, args.weights, need_vqvae=False, progress=bar)
    print(f"read {pair.checkpoint.path}: {pair.checkpoint.summary()}")
    if pair.vae_found:
        print(f"took the VQVAE of {pair.vae.path}, which fits")
    exported = writers[args.out.suffix](pair.checkpoint, args.out, pair.vae, DTYPES.get(args.dtype))
    for path, num_bytes, sha256 in zip(exported.paths, exported.num_bytes, exported.sha256, strict=True):
        print(f"wrote {path}: {num_bytes / 1e6:.1f} MB, SHA-256 {sha256}")
    if not exported.has_vqvae:
        print("the VQVAE is not in it: none was found that fits; give its file with --vae")
