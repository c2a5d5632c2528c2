"""What a machine could do at most: its measured peaks, and the time that an image would take at them."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from ..checkpoints.memory import GUIDED_ROWS
from ..device import computing, synchronize
from ..model.linear import linear
from ..model.operations import decoder_operations, transformer_operations
from ..pipeline import VARPipeline

TRIES = 9
CPU_PRODUCT, GPU_PRODUCT = (512, 1024, 4096), (8192, 8192, 8192)  # rows, width, width of the result
CPU_MAP, GPU_MAP = (1, 320, 64), (32, 320, 64)  # images, channels, side: as in the official decoder


@dataclass(frozen=True)
class Peaks:
    """Operations a second at best, a multiplication and an addition counted as two.

    Args:
        products: of matrices, in the transformer's precision.
        convolutions: 3×3, in the decoder's precision.
    """

    products: float
    convolutions: float


def measure_peaks(device: torch.device, dtype: torch.dtype, decoder_dtype: torch.dtype) -> Peaks:
    """The peaks of a device, in sizes as the official models have them; the best of several tries."""
    rows, width, out = CPU_PRODUCT if device.type == "cpu" else GPU_PRODUCT
    x = torch.randn(rows, width, device=device).to(dtype)
    weight = torch.randn(out, width, device=device).to(dtype)
    images, channels, side = CPU_MAP if device.type == "cpu" else GPU_MAP
    layout = torch.channels_last
    maps = torch.randn(images, channels, side, side, device=device).to(decoder_dtype, memory_format=layout)
    kernels = torch.randn(channels, channels, 3, 3, device=device).to(decoder_dtype, memory_format=layout)
    return Peaks(
        products=2 * rows * width * out / best_seconds(lambda: linear(x, weight), device),
        convolutions=2 * maps.numel() * channels * 9 / best_seconds(lambda: F.conv2d(maps, kernels, padding=1), device),
    )


def best_seconds(work: Callable[[], object], device: torch.device) -> float:
    """The least time that some work took in several tries."""
    seconds = []
    with computing(device):  # as images are
        for _ in range(TRIES):
            start = time.perf_counter()
            work()
            synchronize(device)
            seconds.append(time.perf_counter() - start)
    return min(seconds)


def least_seconds(pipeline: VARPipeline, peaks: Peaks) -> float:
    """The time in which the machine could make one image with guidance, were it always at its peak."""
    config = pipeline.var.config
    transformer = GUIDED_ROWS * transformer_operations(config)
    return (
        transformer / peaks.products + decoder_operations(pipeline.vqvae.config, config.patch_nums) / peaks.convolutions
    )


def processor_name() -> str:
    """The processor as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
