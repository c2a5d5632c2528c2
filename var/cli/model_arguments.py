"""What several commands begin with: a checkpoint, with a VQVAE that fits, on its device."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from ..checkpoints.box import default_folder
from ..checkpoints.load import count_nonfinite, describe_nonfinite
from ..checkpoints.memory import memory_problem
from ..checkpoints.pair import open_pair
from ..device import choose_device, choose_dtype
from ..pipeline import VARPipeline
from ..text import printable


def add_reading_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Declare what a file leaves open: which of its two sets of weights, and the heads of some transformers."""
    parser.add_argument(
        "--weights", choices=("ema", "raw"), help="which weights, where the checkpoint has both (default: ema)"
    )
    parser.add_argument(
        "--num-heads",
        type=int,
        metavar="N",
        help="attention heads, for a checkpoint that does not tell them (inspect says so; default: 64 wide each)",
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say how a checkpoint is opened, apart from its file."""
    parser.add_argument("--vae", metavar="FILE", help="the VQVAE, where the checkpoint has none")
    add_reading_arguments(parser)
    parser.add_argument("--device", help="cpu, cuda, cuda:1 or mps (default: the best here)")
    parser.add_argument("--dtype", help="float32, bfloat16 or float16 (default: the best on the device)")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise FileExistsError for a file that a command would replace, unless it may."""
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} is there already; give another name, or --overwrite to replace it")


class DownloadBar:
    """A progress bar on standard error for what is fetched from the Hub, one a file; called as `hub.download` says."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __call__(self, done: int, total: int) -> None:
        if done >= total and self._bar is None:
            return  # it was in the cache
        self._bar = self._bar or tqdm(total=total, unit="B", unit_scale=True, desc="download", initial=done)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()
            self._bar = None


def open_pipeline(file: str, args: argparse.Namespace) -> VARPipeline:
    """Load a checkpoint as the arguments say; what is worth a remark goes to standard error.

    Args:
        file: a path, or an address on the Hugging Face Hub.
        args: with those of `add_model_arguments`.

    Raises:
        CheckpointError: a file that cannot be used, or no VQVAE that fits.
        FileNotFoundError: there is no such file.
        ValueError: a device that is not there, an unknown precision, or weights that the file does not have.
    """
    device = choose_device(args.device)
    choose_dtype(device, args.dtype)  # refuses an unknown one before anything is downloaded
    pair = open_pair(file, args.vae, [default_folder()], args.weights, progress=DownloadBar(), num_heads=args.num_heads)
    dtype = choose_dtype(device, args.dtype, pair.checkpoint.num_parameters)
    if pair.vae is not None and pair.vae_found:
        print(f"VQVAE: {printable(pair.vae.path)}", file=sys.stderr)
    for warning in pair.warnings:
        print(f"{printable(file)}: {warning}", file=sys.stderr)
    problem = memory_problem(pair.checkpoint, pair.vae, device, dtype)
    if problem is not None:  # an estimate, so the attempt is left to whoever runs the command
        print(f"{printable(file)}: {problem}", file=sys.stderr)
    pipeline = VARPipeline.from_checkpoint(pair.checkpoint, vae=pair.vae, device=device, dtype=dtype)
    problem = describe_nonfinite(count_nonfinite(pipeline.var) | count_nonfinite(pipeline.vqvae))
    if problem is not None:
        print(f"{printable(file)}: {problem}", file=sys.stderr)
    return pipeline
