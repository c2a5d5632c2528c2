"""Choice of device and precision, on this machine and on pretended ones."""

import pytest
import torch

from var import device as devices
from var.device import (
    choose_device,
    choose_dtype,
    decoder_dtype,
    describe,
    free_memory,
    is_faster_on_cpu,
    is_out_of_memory,
    rounded_products,
)

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """Pretend a machine with some CUDA cards of a capability, and perhaps MPS."""

    def pretend(cards=0, capability=(8, 0), mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("pretended", "best"), [({}, "cpu"), ({"cards": 1, "mps": True}, "cuda"), ({"mps": True}, "mps")]
)
def test_best_device(machine, pretended, best):
    machine(**pretended)
    assert choose_device() == torch.device(best)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1", "mps", CPU])
def test_device_that_is_there(machine, name):
    machine(cards=2, mps=True)
    assert choose_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cuda", "cuda asked for, this machine has none; use 'cpu'$"),
        ("mps", "mps asked for, this machine has none; use 'cpu'$"),
        ("gpu", "device must be 'cpu'"),
        ("meta", "device must be 'cpu'"),
        (3.5, "device must be 'cpu'"),
    ],
)
def test_device_that_is_not_there(machine, name, words):
    machine()
    with pytest.raises(ValueError, match=words):
        choose_device(name)


def test_card_that_is_not_there(machine):
    machine(cards=2)
    with pytest.raises(ValueError, match="cuda:2 asked for, this machine has 2; use 'cpu' or 'cuda:0' or 'cuda:1'"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    ("device", "capability", "dtype"),
    [
        ("cpu", (8, 0), torch.float32),
        ("mps", (8, 0), torch.float32),
        ("cuda", (9, 0), torch.bfloat16),
        ("cuda", (7, 5), torch.float16),
    ],
)
def test_best_precision(machine, device, capability, dtype):
    machine(cards=1, capability=capability)
    assert choose_dtype(torch.device(device)) == dtype


@pytest.mark.parametrize(
    ("faster", "num_parameters", "best"),
    [(True, 10**9, torch.bfloat16), (True, 10**7, torch.float32), (False, 10**9, torch.float32)],
)
def test_best_precision_of_a_processor(monkeypatch, faster, num_parameters, best):
    monkeypatch.setattr(devices, "is_faster_on_cpu", lambda dtype: faster)
    assert choose_dtype(CPU, None, num_parameters) == best


def test_a_processor_is_measured_once():
    is_faster_on_cpu.cache_clear()
    assert is_faster_on_cpu(torch.bfloat16) in (True, False)
    is_faster_on_cpu(torch.bfloat16)
    assert is_faster_on_cpu.cache_info().misses == 1


@pytest.mark.parametrize(("device", "dtype"), [("cuda", torch.float16), ("mps", torch.float32)])
def test_precision_of_the_decoder_on_a_gpu(device, dtype):
    assert decoder_dtype(torch.device(device), torch.float16) == dtype


def test_rounded_products_are_the_computation_s_own():
    """Two computations that overlap; the process's own setting comes back with the end of the last."""
    matmul, first, second = torch.backends.cuda.matmul, *(rounded_products(torch.device("cuda")) for _ in range(2))
    own = matmul.allow_tf32
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert matmul.allow_tf32 and torch.backends.cudnn.allow_tf32
    second.__exit__(None, None, None)
    assert matmul.allow_tf32 == own


@pytest.mark.parametrize("dtype", ["bfloat16", "torch.bfloat16", torch.bfloat16])
def test_precision_by_name(dtype):
    assert choose_dtype(CPU, dtype) == torch.bfloat16


@pytest.mark.parametrize("dtype", ["half", torch.float64, torch.int64, 16])
def test_unknown_precision(dtype):
    with pytest.raises(ValueError, match="dtype must be float32, bfloat16, float16"):
        choose_dtype(CPU, dtype)


def test_description():
    assert describe(CPU, torch.float32) == "CPU, float32"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_full_memory_is_recognized(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of memory")])
def test_other_errors_are_not_full_memory(error):
    assert not is_out_of_memory(error)


def test_freeing_memory_of_the_cpu_is_nothing():
    free_memory(CPU)
