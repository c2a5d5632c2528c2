"""`python -m var bench`: speed and memory on this machine, beside what it could do at most.

In a checkout also beside the reference implementation, and of loading, the start and training: `benchmarks/`.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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
from .bench_limits import Peaks, least_seconds, measure_peaks, processor_name
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
    parser.add_argument(
        "--runs", type=int, metavar="N", default=5, help="runs of one image, after one to warm up; fewer of more (5)"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="a checkout of the reference implementation: runs by turns on the same weights, in a process of its own",
    )
    parser.add_argument("--all", action="store_true", help="measure loading, the start of app.py and training, too")
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
    pipelines = {dtype: first if dtype == dtypes[0] else in_precision(first, dtype) for dtype in dtypes}
    peaks = {
        dtype: measure_peaks(device, dtype, pipelines[dtype].vqvae.post_quant_conv.weight.dtype) for dtype in dtypes
    }
    reference = maintainers("reference").Reference(args.reference, first) if args.reference else None
    try:
        rows, stages = measure(pipelines, peaks, args.batch_sizes, args.runs, reference)
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
        "precisions": {
            precision_name(dtype): {
                "products": peaks[dtype].products,
                "convolutions": peaks[dtype].convolutions,
                "least_seconds": round(least_seconds(pipelines[dtype], peaks[dtype]), 5),
                "stages": stages[dtype],
            }
            for dtype in dtypes
        },
        "rows": rows,
    }
    if args.all:
        del pipelines, first
        for kind in ("training", "load", "start"):
            rows += maintainers(kind).rows(device, args.depth or 16, args.runs)
    print(json.dumps(figures, indent=1) if args.json else as_text(figures))


def maintainers(name: str) -> Any:
    """A module of `benchmarks/`; raises ValueError where the package is not in its repository."""
    try:
        return import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("benchmarks"):
            raise
        raise ValueError("--reference and --all need the repository: run this in a checkout of it") from error


def as_text(figures: Mapping[str, Any]) -> str:
    """The figures for people."""
    size = figures["image_size"]
    lines = [
        f"{figures['checkpoint']}: {format_count(figures['parameters'])} parameters, {size}×{size}",
        f"{figures['processor']}; computing on {figures['device']}, torch {figures['torch']}, {figures['threads']} "
        f"threads; medians of up to {figures['runs']}, by turns",
    ]
    if figures["load_seconds"] is not None:
        lines += [f"load: {figures['load_seconds']:.3f} s"]
    for name, precision in figures["precisions"].items():
        stages = ", ".join(f"{stage} {seconds:.3f} s" for stage, seconds in precision["stages"].items())
        lines += [
            f"{name}: stages: {stages}",
            f"{name}: peaks of {precision['products'] / 1e9:.0f} GFLOP/s in products, "
            f"{precision['convolutions'] / 1e9:.0f} in convolutions; at these an image takes "
            f"{precision['least_seconds']:.3f} s",
        ]
    rows = [["", "precision", "seconds", "of the limit", "reference", "ratio", "equal tokens", "memory"]]
    for row in figures["rows"]:
        rows.append(
            [
                row["what"],
                row["precision"] or "",
                f"{row['seconds']:.3f}",
                *(
                    pattern.format(row[name]) if row.get(name) is not None else ""
                    for name, pattern in (
                        ("share_of_limit", "{:.0%}"),
                        ("reference_seconds", "{:.3f}"),
                        ("ratio", "{:.2f}×"),
                        ("equal_tokens", "{:.2%}"),
                    )
                ),
                f"{row['peak_memory_bytes'] / 2**30:.2f} GiB" if "peak_memory_bytes" in row else "",
            ]
        )
    used = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in used]
    lines += ["  ".join(map(str.rjust, row, widths)).rstrip() for row in zip(*used, strict=True)]
    return "\n".join(lines)


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


def precision_name(dtype: torch.dtype) -> str:
    """The name of a precision, such as "float32"."""
    return str(dtype).removeprefix("torch.")


def measure(
    pipelines: Mapping[torch.dtype, VARPipeline],
    peaks: Mapping[torch.dtype, Peaks],
    batch_sizes: Sequence[int],
    runs: int,
    reference: Any = None,
) -> tuple[list[dict[str, Any]], dict[torch.dtype, dict[str, float]]]:
    """Medians over several generations, which the precisions and the reference make by turns.

    The first batch size is measured in every precision, the others in the one that was fastest. Images have seeds of
    their own, as on the page; beside the reference one seed for all, as it has.

    Args:
        pipelines: one a precision.
        peaks: of the machine in each.
        batch_sizes: images of a generation.
        runs: generations of each, after one to warm up; so many images together, that is, and at least one generation.
        reference: a `benchmarks.reference.Reference` makes the same images; None for none.

    Returns:
        A row of figures for each batch size and precision, and the seconds of the stages of the first batch size.
    """
    num_classes = next(iter(pipelines.values())).var.config.num_classes
    rows: list[dict[str, Any]] = []
    chosen = list(pipelines)
    stages: dict[torch.dtype, dict[str, float]] = {}
    for number, size in enumerate(batch_sizes):
        seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in chosen}
        theirs, equal = deepcopy(seconds), deepcopy(seconds)
        parts: dict[torch.dtype, list[dict[str, float]]] = {dtype: [] for dtype in chosen}
        warm_up = number == 0
        for run in range(max(1, runs // size) + warm_up):
            labels = [(run + i) % num_classes for i in range(size)]
            seed = run if reference else [run * size + i for i in range(size)]
            for dtype in chosen:
                pipeline = pipelines[dtype]
                start = time.perf_counter()
                tokens = pipeline(labels, seed=seed, output_type="pt").tokens
                synchronize(pipeline.device)
                seconds[dtype].append(time.perf_counter() - start)
                if reference is not None:
                    needed, expected = reference.generate(labels, run, dtype)
                    theirs[dtype].append(needed)
                    equal[dtype].append((tokens.cpu() == expected).float().mean().item())
                if number == 0:
                    parts[dtype].append(time_stages(pipeline, tokens, seconds[dtype][-1]))
        for dtype in chosen:
            middle = statistics.median(seconds[dtype][warm_up:])
            row = {
                "what": f"{size} image{'s' * (size > 1)}",
                "precision": precision_name(dtype),
                "seconds": round(middle, 4),
                "images_per_second": round(size / middle, 3),
                "share_of_limit": round(least_seconds(pipelines[dtype], peaks[dtype]) * size / middle, 4),
                "peak_memory_bytes": peak_memory(pipelines[dtype].device),
            }
            if reference is not None:
                other = statistics.median(theirs[dtype][warm_up:])
                row["reference_seconds"], row["ratio"] = round(other, 4), round(other / middle, 3)
                row["equal_tokens"] = round(statistics.mean(equal[dtype]), 5)
            rows.append(row)
            if number == 0:
                stages[dtype] = {
                    name: round(statistics.median(part[name] for part in parts[dtype][1:]), 4)
                    for name in parts[dtype][0]
                }
        if number == 0:
            chosen = [min(chosen, key=lambda dtype: statistics.median(seconds[dtype][1:]))]
    return rows, stages


def time_stages(pipeline: VARPipeline, tokens: Tensor, whole: float) -> dict[str, float]:
    """Seconds of what makes up a generation: transformer, draws, decoding, PNG.

    Args:
        pipeline: made it.
        tokens: int64 (B, L), what it made.
        whole: seconds that it took.
    """
    draws = len(tokens) * time_draws(pipeline)
    start = time.perf_counter()
    images = pipeline.decode(tokens)
    synchronize(pipeline.device)
    decoding = time.perf_counter() - start
    start = time.perf_counter()
    for image in to_pil(images):
        image.save(BytesIO(), "PNG")
    png = time.perf_counter() - start
    return {"transformer": whole - draws - decoding, "draws": draws, "decoding": decoding, "PNG": png}


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
    """Bytes at the peak so far: of the device on CUDA, of the process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
