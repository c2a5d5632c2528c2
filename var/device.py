"""Where and in which precision to compute: the best that a machine has, and what to do when its memory is full."""

import errno
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import torch

from .model.linear import linear

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LARGE_PARAMETERS = 100_000_000  # depth 12 of the official sizes has 130 million
CLEARLY_FASTER = 1.4
OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
    "bad_alloc",
)


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device to compute on.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps" or a `torch.device`; None for the best that the machine has.

    Raises:
        ValueError: the name is no such device, or this machine does not have it.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"device must be 'cpu', 'cuda', 'cuda:1' (a number), 'mps' or None, not {device!r}")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"mps asked for, this machine has none; use {available_devices()}")
    if chosen.type == "cuda" and not (chosen.index or 0) < torch.cuda.device_count():
        found = torch.cuda.device_count() or "none"
        raise ValueError(f"{chosen} asked for, this machine has {found}; use {available_devices()}")
    return chosen


def available_devices() -> str:
    """The devices of this machine by name, for a message."""
    names = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return " or ".join(f"'{name}'" for name in names + ["mps"] * torch.backends.mps.is_available())


def choose_dtype(device: torch.device, dtype: str | torch.dtype | None = None, num_parameters: int = 0) -> torch.dtype:
    """The precision of the transformer.

    Args:
        device: where it will be.
        dtype: float32, bfloat16 or float16, as a `torch.dtype` or its name; None for the best on the device: bfloat16
            on a CUDA card that has it, else float16; on the CPU bfloat16 for a large transformer where that is faster;
            float32 elsewhere.
        num_parameters: of the transformer; small ones gain nothing from 16 bits on the CPU.

    Raises:
        ValueError: any other precision.
    """
    if dtype is None:
        if device.type == "cuda":
            return torch.bfloat16 if has_bfloat16(device) else torch.float16
        large = device.type == "cpu" and num_parameters >= LARGE_PARAMETERS
        return torch.bfloat16 if large and is_faster_on_cpu(torch.bfloat16) else torch.float32
    chosen = DTYPES.get(str(dtype).removeprefix("torch."))
    if chosen is None:
        raise ValueError(f"dtype must be float32, bfloat16, float16 or None, not {dtype}")
    return chosen


def decoder_dtype(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """The precision of the VQVAE's decoder beside a transformer in `dtype`: the same, where that makes it faster.

    Nobody sees the difference in an image, so 16 bits serve here to be fast, not to save memory.
    """
    if device.type == "cuda" or (device.type == "cpu" and dtype != torch.float32 and is_faster_on_cpu(dtype)):
        return dtype
    return torch.float32


@cache
def is_faster_on_cpu(dtype: torch.dtype) -> bool:
    """Whether this processor multiplies matrices in 16 bits clearly faster than in float32: measured once, 0.1 s.

    What it says that it has does not tell: with AMX bfloat16 is six times as fast, with the bfloat16 instructions of
    AVX-512 alone it can be twice as fast, or half.
    """
    x, weight = torch.ones(256, 1024), torch.ones(1024, 1024)
    seconds: dict[torch.dtype, list[float]] = {kind: [] for kind in (torch.float32, dtype)}
    with torch.inference_mode():
        for _ in range(6):  # by turns; the least of each is the one that nothing else on the machine slowed down
            for kind, measured in seconds.items():
                inputs, weights = x.to(kind), weight.to(kind)
                start = time.perf_counter()
                linear(inputs, weights)
                measured.append(time.perf_counter() - start)
    return min(seconds[torch.float32]) > CLEARLY_FASTER * min(seconds[dtype])


def has_bfloat16(device: torch.device) -> bool:
    """Whether a CUDA (or ROCm) card computes bfloat16 itself, rather than emulating it."""
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)


def prepare_device(device: torch.device) -> None:
    """Let CUDA round float32 products to TF32, for the whole process: several times faster, close enough for images."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True


@dataclass
class _RoundedProducts:
    """Who lets CUDA round products at the time; the process's own settings come back when the last one ends."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    own: tuple[bool, bool] = (False, False)


_rounded = _RoundedProducts()


@contextmanager
def rounded_products(device: torch.device) -> Iterator[None]:
    """Let CUDA round float32 products to TF32 until the context is left: faster, and close enough for images."""
    if device.type != "cuda":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    with _rounded.lock:
        if _rounded.users == 0:
            _rounded.own = (matmul.allow_tf32, cudnn.allow_tf32)
            matmul.allow_tf32 = cudnn.allow_tf32 = True
        _rounded.users += 1
    try:
        yield
    finally:
        with _rounded.lock:
            _rounded.users -= 1
            if _rounded.users == 0:
                matmul.allow_tf32, cudnn.allow_tf32 = _rounded.own


@contextmanager
def computing(device: torch.device) -> Iterator[None]:
    """Compute images: without gradients, and with products rounded where that is faster.

    Not around a `yield` of tensors: the context would last on in the caller.
    """
    with torch.inference_mode(), rounded_products(device):
        yield


def describe(device: torch.device, dtype: torch.dtype) -> str:
    """Device and precision in a few words, such as "CPU, float32"."""
    names = {"cpu": "CPU", "mps": "Apple GPU"}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else names[device.type]
    return f"{name}, {str(dtype).removeprefix('torch.')}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is full, of the process or of the device; torch often says it in words only."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def free_memory(device: torch.device) -> None:
    """Give memory that is cached but unused back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what was asked of it, so that its time is counted where it belongs."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
