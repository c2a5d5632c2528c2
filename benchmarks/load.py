"""`python -m var bench load`: how fast and in how much memory a trainer's file loads, beside the reference's recipe.

Every load is a process of its own, so that none finds memory that another one left. Two are alternated: the recipe of
the reference implementation, and this package's. Seconds and memory are counted from after the imports.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from var.checkpoints.load import empty_var, empty_vqvae
from var.checkpoints.memory import FLOAT_BYTES, available
from var.model.config import VARConfig, VQVAEConfig
from var.model.transformer import VAR
from var.model.vqvae import VQVAE
from var.pipeline import VARPipeline
from var.text import format_bytes
from var.training.saving import save, trainer_layout
from var.training.transformer import initialize_var

USAGE = "[options]"
WAYS = ("reference", "ours")
CACHES = ("warm", "cold")
NAMES = {"reference": "reference's recipe", "ours": "this package"}
READ_BYTES = 16 << 20
MEMORY_OF_FILE = 1.8  # the reference's recipe takes 1.4 files, the process and its libraries some more


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("--depth", type=int, default=16, metavar="N", help="of the file's transformer (16)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="loads each way (3)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the file in DIR, and take it from there again")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> None:
    """Write a trainer's file of random weights, load it both ways by turns, and print medians.

    Raises:
        ValueError: an argument out of range, too little room on the disk or in memory, or a load that failed.
    """
    depth, runs = args.depth, args.runs
    if runs < 1 or depth < 1:
        raise ValueError("--runs and --depth must be at least 1")
    with _folder(args.keep) as folder:
        path = folder / f"bench-load-d{depth}.pth"
        if not path.exists():
            _check_room(folder, depth)
            _in_process("write", path, depth)
        figures = {
            "depth": depth,
            "file_bytes": path.stat().st_size,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "runs": runs,
            **{cache: measure(path, depth, cache, runs) for cache in CACHES if cache == "warm" or can_drop()},
        }
    print(json.dumps(figures, indent=1) if args.json else as_text(figures))


def rows(_device: torch.device, depth: int, runs: int) -> list[dict[str, Any]]:
    """What `var bench --all` says of loading a file in the system's cache; its limit is to copy the weights once."""
    with _folder(None) as folder:
        path = folder / f"bench-load-d{depth}.pth"
        _check_room(folder, depth)
        _in_process("write", path, depth)
        medians = measure(path, depth, "warm", runs)
    models = empty_var(official_config(depth)), empty_vqvae(VQVAEConfig())
    num_bytes = FLOAT_BYTES * sum(parameter.numel() for model in models for parameter in model.parameters())
    return [
        {
            "what": f"load, depth {depth}",
            "precision": "float32",
            "seconds": medians["ours"]["seconds"],
            "share_of_limit": round(num_bytes / copied_bytes_a_second() / medians["ours"]["seconds"], 4),
            "reference_seconds": medians["reference"]["seconds"],
            "ratio": medians["ratios"]["times_faster"],
            "share_of_memory": medians["ratios"]["share_of_memory"],
        }
    ]


def copied_bytes_a_second() -> float:
    """How fast this machine copies into memory that is new to the process, as a load does; the best of some tries."""
    source = torch.ones(1 << 27, dtype=torch.uint8)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        copied = source.clone()
        seconds.append(time.perf_counter() - start)
        del copied
    return len(source) / min(seconds)


def measure(path: Path, depth: int, cache: str, runs: int) -> dict[str, dict[str, float]]:
    """Medians of both ways, which take turns, and this package's over the reference's.

    Args:
        path: the file to load.
        depth: of its transformer.
        cache: "warm": the system has the file in memory; "cold": it has to read the disk.
        runs: loads of each way.
    """
    prepare = warm_up if cache == "warm" else drop
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(runs):
        for way in WAYS:
            prepare(path)
            found[way].append(_in_process(way, path, depth))
    medians = {
        way: {name: statistics.median(load[name] for load in loads) for name in loads[0]}
        for way, loads in found.items()
    }
    reference, ours = medians["reference"], medians["ours"]
    return {
        **medians,
        "ratios": {
            "times_faster": round(reference["seconds"] / ours["seconds"], 2),
            "share_of_memory": round(ours["added_bytes"] / reference["added_bytes"], 4),
        },
    }


def as_text(figures: Mapping) -> str:
    """The figures for people."""
    lines = [
        f"depth {figures['depth']} trainer file, {format_bytes(figures['file_bytes'])}; CPU, float32, torch "
        f"{figures['torch']}, {figures['threads']} threads; medians of {figures['runs']}, by turns",
        "seconds and added memory from after the imports, each load in a process of its own",
    ]
    for cache in (cache for cache in CACHES if cache in figures):
        lines += [f"page cache {cache}"]
        for way in WAYS:
            load = figures[cache][way]
            lines += [
                f"  {NAMES[way]:<20}{load['seconds']:8.2f} s   {load['added_bytes'] / 1e9:6.2f} GB added"
                f"   {load['peak_bytes'] / 1e9:6.2f} GB in all"
            ]
        ratios = figures[cache]["ratios"]
        lines += [f"  {ratios['times_faster']:.1f} times faster, {ratios['share_of_memory']:.1%} of the memory"]
    return "\n".join(lines)


def load_as_reference(path: Path, depth: int) -> tuple[nn.Module, nn.Module]:
    """Load as users of the reference implementation do: all of the file, then the models, then the weights into them.

    Like there, linear layers, convolutions and norms skip PyTorch's initialization, and the transformer gets its own.
    The file is read as plain data, which is as fast as the reference's unsafe way.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    for kind in (nn.Linear, nn.Conv2d, nn.GroupNorm):  # this process ends after the load
        setattr(kind, "reset_parameters", lambda self: None)  # noqa: B010 - to replace a method is meant
    vqvae, model = VQVAE(VQVAEConfig()), VAR(official_config(depth))
    initialize_var(model)
    vqvae.load_state_dict(content["trainer"]["vae_local"], strict=True)
    model.load_state_dict(content["trainer"]["var_wo_ddp"], strict=True)
    return vqvae.eval(), model.eval()


def load_as_package(path: Path, _depth: int) -> VARPipeline:
    """Load as users of this package do, who need not know the sizes."""
    return VARPipeline.from_checkpoint(path, device="cpu", dtype=torch.float32)


def write_trainer_file(path: Path, depth: int) -> None:
    """Write a file as the reference's trainer leaves it: weights, VQVAE, and AdamW's two averages of each weight."""
    torch.manual_seed(0)
    model, vqvae = VAR(official_config(depth)), VQVAE(VQVAEConfig())
    state = {
        i: {"step": torch.tensor(1.0), "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        for i, p in enumerate(model.parameters())
    }
    content = trainer_layout(
        epoch=1,
        iteration=0,
        var_config=model.config,
        var_state=model.state_dict(),
        vae_state=vqvae.state_dict(),
        args=OrderedDict(depth=depth),
        optimizer={"state": state, "param_groups": [{"lr": 1e-4, "params": list(state)}]},
    )
    save(path, content)


def official_config(depth: int) -> VARConfig:
    """Sizes of the reference's transformer of a depth."""
    return VARConfig(depth=depth, embed_dim=64 * depth, num_heads=depth)


def memory_now() -> tuple[int, int]:
    """Bytes that this process has in memory, and had at most.

    On Linux both are the kernel's for this very program: there `ru_maxrss` begins with what the parent process had.
    Elsewhere both are `ru_maxrss`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        values = dict(line.split(":", 1) for line in status.read_text().splitlines())
        now, most = (int(values[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        return now, most
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others KiB
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,) * 2


def can_drop() -> bool:
    """Whether the system lets a program take a file out of the page cache."""
    return hasattr(os, "posix_fadvise")


def warm_up(path: Path) -> None:
    """Bring a file into the page cache, as far as it fits there."""
    with path.open("rb", buffering=0) as file:
        while file.read(READ_BYTES):
            pass


def drop(path: Path) -> None:
    """Take a file out of the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())  # what is not on the disk yet would stay
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder of the file: one that stays, or a temporary one."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="var-bench-") as folder:
            yield Path(folder)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()


def _check_room(folder: Path, depth: int) -> None:
    """Refuse what the disk or the memory has no room for, before anything is written."""
    models = empty_var(official_config(depth)), empty_vqvae(VQVAEConfig())
    transformer, vqvae = (sum(parameter.numel() for parameter in model.parameters()) for model in models)
    needed = FLOAT_BYTES * (3 * transformer + vqvae)
    free = shutil.disk_usage(folder).free
    if free < needed * 1.05:
        raise ValueError(
            f"the file needs {format_bytes(needed)}, and {folder} has {format_bytes(free)} free; "
            "name a folder with more room with --keep, or a smaller --depth"
        )
    memory = available("cpu")
    if memory is not None and memory < needed * MEMORY_OF_FILE:
        raise ValueError(
            f"the reference's recipe needs about {format_bytes(round(needed * MEMORY_OF_FILE))} of memory, and "
            f"{format_bytes(memory)} are free; take a smaller --depth"
        )


def _in_process(task: str, path: Path, depth: int) -> dict[str, float]:
    """Do one task in a process of its own, and return its figures."""
    command = [sys.executable, "-m", __name__, task, str(path), str(depth)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"ended with code {done.returncode}"]
        raise ValueError(f"the process that should {task} {path} failed: {reason[0]}")
    return json.loads(done.stdout)


def _main(task: str, path: str, depth: str) -> None:
    """One task of this module in its own process: prints seconds and bytes."""
    before, _ = memory_now()
    start = time.perf_counter()
    done = TASKS[task](Path(path), int(depth))
    seconds = time.perf_counter() - start
    _, peak = memory_now()
    del done  # not earlier: giving memory back takes time
    print(json.dumps({"seconds": round(seconds, 4), "added_bytes": peak - before, "peak_bytes": peak}))


TASKS = {"write": write_trainer_file, "reference": load_as_reference, "ours": load_as_package}

if __name__ == "__main__":
    _main(*sys.argv[1:])
