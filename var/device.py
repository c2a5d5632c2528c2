"""Where and in which precision to compute: the best that a machine has, and what to do when its memory is full."""

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
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


def choose_dtype(device: torch.device, dtype: str | torch.dtype | None = None) -> torch.dtype:
    """The precision of the transformer.

    Args:
        device: where it will be.
        dtype: float32, bfloat16 or float16, as a `torch.dtype` or its name; None for the best on the device: bfloat16
            on a CUDA card that has it, else float16; float32 elsewhere.

    Raises:
        ValueError: any other precision.
    """
    if dtype is None:
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if has_bfloat16(device) else torch.float16
    chosen = DTYPES.get(str(dtype).removeprefix("torch."))
    if chosen is None:
        raise ValueError(f"dtype must be float32, bfloat16, float16 or None, not {dtype}")
    return chosen


def has_bfloat16(device: torch.device) -> bool:
    """Whether a CUDA (or ROCm) card computes bfloat16 itself, rather than emulating it."""
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)


def prepare_device(device: torch.device) -> None:
    """Let CUDA round float32 products to TF32, for the whole process: several times faster, close enough for images."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True


def describe(device: torch.device, dtype: torch.dtype) -> str:
    """Device and precision in a few words, such as "CPU, float32"."""
    names = {"cpu": "CPU", "mps": "Apple GPU"}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else names[device.type]
    return f"{name}, {str(dtype).removeprefix('torch.')}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is full; only CUDA has a class for it, the others say it in words."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def free_memory(device: torch.device) -> None:
    """Give memory that is cached but unused back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
