"""Reads hostile files in a process of its own, and says of each what happened: `python hostile_reader.py PATH...`.

One JSON value a line, the first of an honest file. A file that ends the process, or makes it wait, is the one after the
last line.
"""

import contextlib
import faulthandler
import json
import os
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from var.checkpoints.checkpoint import read_checkpoint
from var.checkpoints.class_names import find_class_names
from var.checkpoints.load import build_var, build_vqvae, check
from var.checkpoints.report import describe, describe_unreadable
from var.errors import CheckpointError

MOST_SECONDS = 30  # for one file; far more than any takes, and only so that a test ends that would not
MOST_ADDRESSES = 8 << 30  # bytes of memory that may be asked for, so that a bomb does not end other processes


def main(paths: list[str]) -> None:
    """Read the first file to have everything imported that reading needs, then all others."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    torch.set_num_threads(1)
    print(json.dumps(use(Path(paths[0]))), flush=True)
    for path in paths[1:]:
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
        files, modules, before = set(os.listdir()), set(sys.modules), forget_peak()
        outcome, text = use(Path(path))
        report = {"path": path, "outcome": outcome, "text": text, "bytes": max(0, peak() - before)}
        report["modules"] = sorted(name for name in set(sys.modules) - modules if not name.startswith("encodings."))
        report["files"] = sorted(set(os.listdir()) - files)
        print(json.dumps(report), flush=True)


def use(path: Path) -> tuple[str, str]:
    """Do all with a file that this project does before it makes images."""
    try:
        checkpoint = read_checkpoint(path)
        report = describe(checkpoint)
        if checkpoint.var_config is not None:
            find_class_names(path, checkpoint.var_config.num_classes, checkpoint.training)
        check(checkpoint)
        if checkpoint.var_weights is not None:
            build_var(checkpoint, "cpu", torch.float32)
        if checkpoint.vae_weights is not None:
            build_vqvae(checkpoint, "cpu")
        json.dumps(report, ensure_ascii=False, indent=2).encode()
        return "loaded", " ".join((*checkpoint.warnings, checkpoint.summary()))
    except CheckpointError as error:
        json.dumps(describe_unreadable(str(path), error), ensure_ascii=False, indent=2).encode()
        return "refused", str(error)
    except Exception as error:
        import traceback

        return "failed", "".join(traceback.format_exception(error, limit=-6))


def forget_peak() -> int:
    """Begin to measure anew; returns the bytes in memory now. Where the system cannot, the peak is of all files."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Most bytes in memory since the last `forget_peak`."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
