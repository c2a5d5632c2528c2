"""`python -m var bench`: speed and memory on this machine."""

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

import torch

from ..checkpoints.checkpoint import count_parameters
from ..checkpoints.folder import default_folder, list_checkpoints
from ..device import choose_device, choose_dtype, decoder_dtype, describe
from ..model.config import VARConfig, VQVAEConfig
from ..model.transformer import VAR
from ..model.vqvae import VQVAE
from ..pipeline import VARPipeline
from ..text import format_count
from .model_arguments import add_model_arguments, open_pipeline

USAGE = "[FILE] [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="checkpoint (default: the newest in checkpoints/)",
    )
    parser.add_argument("--depth", type=int, metavar="N", help="random weights of the official sizes instead of FILE")
    parser.add_argument(
        "--batch-sizes", type=int, nargs="+", default=[1, 8], metavar="N", help="images at a time (1 8)"
    )
    parser.add_argument("--runs", type=int, metavar="N", default=5, help="runs, after one to warm up (5)")
    add_model_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> None:
    """Measure, and print medians.

    Raises:
        ValueError: an argument out of range, a file that cannot be used.
        FileNotFoundError: there is no checkpoint.
    """
    if args.runs < 1 or min(args.batch_sizes) < 1 or (args.depth is not None and args.depth < 1):
        raise ValueError("--runs, --batch-sizes and --depth must be at least 1")
    device = choose_device(args.device)
    dtype = choose_dtype(device, args.dtype)
    start = time.perf_counter()
    name, pipeline = random_pipeline(args.depth, device, dtype) if args.depth else load(args)
    synchronize(device)
    figures = {
        "checkpoint": name,
        "parameters": count_parameters(pipeline.var.state_dict()),
        "image_size": pipeline.image_size,
        "device": describe(device, dtype),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load_seconds": None if args.depth else round(time.perf_counter() - start, 4),
        "batches": [measure(pipeline, size, args.runs) for size in args.batch_sizes],
        "peak_memory_bytes": peak_memory(device),
    }
    if args.json:
        print(json.dumps(figures, indent=1))
        return
    size = figures["image_size"]
    print(f"{name}: {format_count(figures['parameters'])} parameters, {size}×{size}")
    print(f"{figures['device']}, torch {figures['torch']}, {figures['threads']} threads, median of {args.runs} runs")
    if figures["load_seconds"] is not None:
        print(f"load           {figures['load_seconds']:.3f} s")
    for batch in figures["batches"]:
        print(
            f"{batch['images']:>3} at a time   {batch['seconds']:.3f} s, {batch['seconds_per_image']:.4f} s an image; "
            f"of it decoding {batch['decode_seconds']:.3f} s"
        )
    print(f"peak memory    {figures['peak_memory_bytes'] / 2**30:.2f} GiB")


def load(args: argparse.Namespace) -> tuple[str, VARPipeline]:
    """The pipeline of the file asked for, or of the newest at hand, and its name."""
    entries = list_checkpoints(default_folder())
    if args.file is None and not entries:
        raise FileNotFoundError(f"{default_folder()} has no checkpoint; name one, or give --depth 16")
    file = args.file or str(entries[0].path)
    return Path(file).name, open_pipeline(file, args)


def random_pipeline(depth: int, device: torch.device, dtype: torch.dtype) -> tuple[str, VARPipeline]:
    """A pipeline of the official sizes for a depth, with random weights, and its name."""
    torch.manual_seed(0)
    with torch.device(device):
        model = VAR(VARConfig(depth=depth, embed_dim=64 * depth, num_heads=depth))
        vqvae = VQVAE(VQVAEConfig())
    model.prepare(dtype)
    vqvae.prepare_decoder(decoder_dtype(device, dtype))
    pipeline = VARPipeline(model.eval().requires_grad_(False), vqvae.eval().requires_grad_(False))
    return f"random depth {depth}", pipeline


def measure(pipeline: VARPipeline, batch_size: int, runs: int) -> dict[str, float | int]:
    """Medians over several generations of one batch size; images have seeds of their own, as on the page."""
    num_classes = pipeline.var.config.num_classes
    seconds, decode_seconds = [], []
    for number in range(runs + 1):
        labels = [(number + i) % num_classes for i in range(batch_size)]
        start = time.perf_counter()
        tokens = pipeline(labels, seed=[number * batch_size + i for i in range(batch_size)], output_type="pt").tokens
        synchronize(pipeline.device)
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        pipeline.decode(tokens)
        synchronize(pipeline.device)
        decode_seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:])
    return {
        "images": batch_size,
        "seconds": round(median, 4),
        "seconds_per_image": round(median / batch_size, 5),
        "decode_seconds": round(statistics.median(decode_seconds[1:]), 4),
    }


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak: of the device on CUDA, of the process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
