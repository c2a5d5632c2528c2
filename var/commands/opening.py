"""What several commands begin with: a checkpoint, with a VQVAE that fits, on its device."""

import argparse
import sys

from ..checkpoint import read_checkpoint
from ..device import choose_device, choose_dtype
from ..library import default_folder, find_vqvae, resolve
from ..pipeline import VARPipeline


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say how a checkpoint is opened, apart from its file."""
    parser.add_argument("--vae", metavar="FILE", help="the VQVAE, where the checkpoint has none")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: the best here)")
    parser.add_argument("--dtype", help="float32, bfloat16 or float16 (default: the best on the device)")


def open_pipeline(file: str, args: argparse.Namespace) -> VARPipeline:
    """Load a checkpoint as the arguments say; a VQVAE that had to be looked for is named on standard error.

    Args:
        file: a path, or hf://owner/repo/path/in/repo.
        args: with those of `add_model_arguments`.

    Raises:
        CheckpointError: a file that cannot be used, or no VQVAE that fits.
        FileNotFoundError: there is no such file.
        ValueError: a device that is not there, or an unknown precision.
    """
    device = choose_device(args.device)
    dtype = choose_dtype(device, args.dtype)
    checkpoint, vae = read_checkpoint(resolve(file)), args.vae
    if vae is None and checkpoint.var_config is not None and checkpoint.vae_config is None:
        vae = find_vqvae(checkpoint, [default_folder()])
        if vae is not None:
            print(f"VQVAE: {vae.path}", file=sys.stderr)
    return VARPipeline.from_checkpoint(checkpoint, vae=vae, device=device, dtype=dtype)
