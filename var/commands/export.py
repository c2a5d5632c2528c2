"""`python -m var export`: write a checkpoint's weights alone."""

import argparse
from pathlib import Path

from ..checkpoint import Checkpoint, read_checkpoint
from ..export import DTYPES, export_official, export_safetensors
from ..library import default_folder, find_vqvae, resolve


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
    parser.add_argument("--dtype", choices=DTYPES, help="precision of the weights (default: as they are)")


def run(args: argparse.Namespace) -> None:
    """Run the command; raises CheckpointError, FileNotFoundError or ValueError for bad input."""
    writers = {".safetensors": export_safetensors, ".pth": export_official}
    if args.out.suffix not in writers:
        raise ValueError(f"{args.out}: the name says no known format; expected it to end in .safetensors or .pth.")
    if not args.out.absolute().parent.is_dir():
        raise FileNotFoundError(f"{args.out.parent}: there is no such folder. Make it first.")
    checkpoint = read_checkpoint(resolve(args.file))
    print(f"read {checkpoint.path}: {checkpoint.summary()}")
    vae = _choose_vqvae(checkpoint, args.vae)
    exported = writers[args.out.suffix](checkpoint, args.out, vae, DTYPES.get(args.dtype))
    for path, num_bytes in zip(exported.paths, exported.num_bytes, strict=True):
        print(f"wrote {path}: {num_bytes / 1e6:.1f} MB")
    if not exported.has_vqvae:
        print("the VQVAE is not in it: none was found that fits; give its file with --vae")


def _choose_vqvae(checkpoint: Checkpoint, given: str | None) -> Checkpoint | None:
    """The VQVAE's checkpoint where it is another file: the one given, or one that fits and lies nearby."""
    if given is not None:
        return read_checkpoint(resolve(given))
    if checkpoint.vae_state is not None:
        return None
    found = find_vqvae(checkpoint, [default_folder()])
    if found is not None:
        print(f"took the VQVAE of {found.path}, which fits")
    return found
