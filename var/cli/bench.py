"""`python -m var bench`: speed and memory on this machine, its limits, and the reference implementation beside it."""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import torch

from ..checkpoints.box import default_folder
from ..checkpoints.checkpoint import count_parameters
from ..checkpoints.folder import list_checkpoints
from ..device import choose_device, choose_dtype, decoder_dtype, describe, synchronize
from ..model.config import VARConfig, VQVAEConfig
from ..model.transformer import VAR
from ..model.vqvae import VQVAE
from ..pictures.pixels import to_pil
from ..pipeline import VARPipeline
from ..sampling.options import SamplingOptions
from ..sampling.tokens import BatchDraws, draw_tokens, guide, keep_likely
from ..text import format_count
from .bench_limits import least_seconds, measure_peaks, processor_name
from .bench_reference import Reference
from .model_arguments import add_model_arguments, open_pipeline

USAGE = "[FILE] [options]"
PRECISIONS = (torch.float32, torch.bfloat16)


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
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="a checkout of the reference implementation: runs by turns on the same weights, in a process of its own",
    )
    add_model_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> None:
    """Measure, and print medians.

    Raises:
        ValueError: an argument out of range, a file that cannot be used, a reference that cannot make its images.
        FileNotFoundError: there is no checkpoint.
    """
    if args.runs < 1 or min(args.batch_sizes) < 1 or (args.depth is not None and args.depth < 1):
        raise ValueError("--runs, --batch-sizes and --depth must be at least 1")
    device = choose_device(args.device)
    dtypes = PRECISIONS if args.dtype is None else (choose_dtype(device, args.dtype),)
    start = time.perf_counter()
    name, first = random_pipeline(args.depth, device, dtypes[0]) if args.depth else load(args, dtypes[0])
    load_seconds = None if args.depth else round(time.perf_counter() - start, 4)
    pipelines = [first, *(in_precision(first, dtype) for dtype in dtypes[1:])]
    reference = Reference(args.reference, first) if args.reference else None
    try:
        batches = [figures for size in args.batch_sizes for figures in measure(pipelines, size, args.runs, reference)]
    finally:
        if reference is not None:
            reference.close()
    figures = {
        "checkpoint": name,
        "parameters": count_parameters(first.var.state_dict()),
        "image_size": first.image_size,
        "processor": processor_name(),
        "device": describe(device, dtypes[0]).rsplit(",", 1)[0],
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "runs": args.runs,
        "load_seconds": load_seconds,
        "precisions": {precision_name(pipeline): limits(pipeline, batches, args.runs) for pipeline in pipelines},
        "batches": batches,
        "peak_memory_bytes": peak_memory(device),
    }
    print(json.dumps(figures, indent=1) if args.json else as_text(figures))


def as_text(figures: Mapping) -> str:
    """The figures for people."""
    size = figures["image_size"]
    lines = [
        f"{figures['checkpoint']}: {format_count(figures['parameters'])} parameters, {size}×{size}",
        f"{figures['processor']}; computing on {figures['device']}, torch {figures['torch']}, {figures['threads']} "
        f"threads; medians of {figures['runs']}, by turns",
    ]
    if figures["load_seconds"] is not None:
        lines += [f"load: {figures['load_seconds']:.3f} s"]
    for name, precision in figures["precisions"].items():
        stages = ", ".join(f"{stage} {seconds:.3f} s" for stage, seconds in precision["stages"].items())
        lines += [
            f"{name}: one image: {stages}",
            f"{name}: peaks of {precision['products'] / 1e9:.0f} GFLOP/s in products, "
            f"{precision['convolutions'] / 1e9:.0f} in convolutions; at these an image takes "
            f"{precision['least_seconds']:.3f} s",
        ]
    compared = "reference" in figures["batches"][0]
    titles = ["precision", "images", "seconds", "an image", "decoding", "of the limit"]
    rows = [titles + ["reference", "ratio", "equal tokens"] * compared]
    for batch in figures["batches"]:
        row = [batch["precision"], str(batch["images"]), f"{batch['seconds']:.3f}", f"{batch['seconds_per_image']:.4f}"]
        row += [f"{batch['decode_seconds']:.3f}", f"{batch['share_of_limit']:.0%}"]
        if compared:
            reference = batch["reference"]
            row += [f"{reference['seconds']:.3f}", f"{reference['ratio']:.2f}×", f"{reference['equal_tokens']:.2%}"]
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*lines, f"peak memory: {figures['peak_memory_bytes'] / 2**30:.2f} GiB"])


def load(args: argparse.Namespace, dtype: torch.dtype) -> tuple[str, VARPipeline]:
    """The pipeline of the file asked for, or of the newest at hand, and its name."""
    entries = list_checkpoints(default_folder())
    if args.file is None and not entries:
        raise FileNotFoundError(f"{default_folder()} has no checkpoint; name one, or give --depth 16")
    file = args.file or str(entries[0].path)
    return Path(file).name, open_pipeline(file, argparse.Namespace(**{**vars(args), "dtype": str(dtype)}))


def in_precision(pipeline: VARPipeline, dtype: torch.dtype) -> VARPipeline:
    """The same models in another precision."""
    model, vqvae = deepcopy(pipeline.var), deepcopy(pipeline.vqvae)
    model.prepare(dtype)
    vqvae.prepare_decoder(decoder_dtype(pipeline.device, dtype))
    return VARPipeline(model, vqvae)


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


def precision_name(pipeline: VARPipeline) -> str:
    """The precision of a transformer, such as "float32"."""
    return str(pipeline.dtype).removeprefix("torch.")


def measure(
    pipelines: Sequence[VARPipeline], batch_size: int, runs: int, reference: Reference | None
) -> list[dict[str, object]]:
    """Medians over several generations of one batch size, which the precisions and the reference make by turns.

    Images have seeds of their own, as on the page; beside the reference one seed for all, as it has.

    Args:
        pipelines: one a precision.
        batch_size: images of a generation.
        runs: generations of each, after one to warm up.
        reference: makes the same images; None for none.

    Returns:
        Figures of each precision.
    """
    num_classes = pipelines[0].var.config.num_classes
    found: list[dict[str, list[float]]] = [
        {"seconds": [], "decoding": [], "reference": [], "equal": []} for _ in pipelines
    ]
    for number in range(runs + 1):
        labels = [(number + i) % num_classes for i in range(batch_size)]
        seed = number if reference else [number * batch_size + i for i in range(batch_size)]
        for pipeline, figures in zip(pipelines, found, strict=True):
            start = time.perf_counter()
            tokens = pipeline(labels, seed=seed, output_type="pt").tokens
            synchronize(pipeline.device)
            figures["seconds"].append(time.perf_counter() - start)
            start = time.perf_counter()
            pipeline.decode(tokens)
            synchronize(pipeline.device)
            figures["decoding"].append(time.perf_counter() - start)
            if reference is not None:
                seconds, expected = reference.generate(labels, number, pipeline.dtype)
                figures["reference"].append(seconds)
                figures["equal"].append((tokens.cpu() == expected).float().mean().item())
    return [as_medians(pipeline, batch_size, figures) for pipeline, figures in zip(pipelines, found, strict=True)]


def as_medians(pipeline: VARPipeline, batch_size: int, found: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """Figures of one precision from all runs, of which the first does not count."""
    seconds = statistics.median(found["seconds"][1:])
    figures = {
        "precision": precision_name(pipeline),
        "images": batch_size,
        "seconds": round(seconds, 4),
        "seconds_per_image": round(seconds / batch_size, 5),
        "decode_seconds": round(statistics.median(found["decoding"][1:]), 4),
    }
    if found["reference"]:
        reference = statistics.median(found["reference"][1:])
        figures["reference"] = {
            "seconds": round(reference, 4),
            "ratio": round(reference / seconds, 3),
            "equal_tokens": round(statistics.mean(found["equal"]), 5),
        }
    return figures


def limits(pipeline: VARPipeline, batches: Sequence[dict], runs: int) -> dict[str, object]:
    """Peaks of the machine in one precision and the stages of one image; notes the share of the limit in `batches`."""
    peaks = measure_peaks(pipeline.device, pipeline.dtype, pipeline.vqvae.post_quant_conv.weight.dtype)
    least = least_seconds(pipeline, peaks)
    for batch in batches:
        if batch["precision"] == precision_name(pipeline):
            batch["share_of_limit"] = round(least * batch["images"] / batch["seconds"], 4)
    return {
        "products": peaks.products,
        "convolutions": peaks.convolutions,
        "least_seconds": round(least, 5),
        "stages": measure_stages(pipeline, runs),
    }


def measure_stages(pipeline: VARPipeline, runs: int) -> dict[str, float]:
    """Median seconds of what makes up one image: transformer, draws, decoding, PNG."""
    found: dict[str, list[float]] = {"transformer": [], "draws": [], "decoding": [], "PNG": []}
    for number in range(runs + 1):
        start = time.perf_counter()
        result = pipeline([0], seed=number, output_type="pt")
        synchronize(pipeline.device)
        whole = time.perf_counter() - start
        draws = time_draws(pipeline)
        start = time.perf_counter()
        images = pipeline.decode(result.tokens)
        synchronize(pipeline.device)
        decoding = time.perf_counter() - start
        start = time.perf_counter()
        to_pil(images)[0].save(BytesIO(), "PNG")
        png = time.perf_counter() - start
        for stage, seconds in zip(found, (whole - draws - decoding, draws, decoding, png), strict=True):
            found[stage].append(seconds)
    return {stage: round(statistics.median(seconds[1:]), 4) for stage, seconds in found.items()}


def time_draws(pipeline: VARPipeline) -> float:
    """Seconds of guidance, removal of unlikely tokens and draws for one image, with the default settings."""
    config, options = pipeline.var.config, SamplingOptions([0])
    places = [patch_num**2 for patch_num in config.patch_nums]
    logits = [torch.randn(2, count, config.vocab_size, device=pipeline.device) for count in places]
    draws = BatchDraws(0, 1, range(1), pipeline.device)
    synchronize(pipeline.device)
    start = time.perf_counter()
    with torch.inference_mode():
        for scale_index, both in enumerate(logits):
            here = options.at_scale(scale_index, config.num_scales)
            likely = keep_likely(guide(both, here.guidance), here.top_k, options.top_p)
            draw_tokens(likely, draws.exponential(*likely.shape[1:]))
    synchronize(pipeline.device)
    return time.perf_counter() - start


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak: of the device on CUDA, of the process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
