"""How a server shares the processor with others; decided before torch is imported, which asks once."""

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def share_processor(environment: MutableMapping[str, str] = os.environ) -> None:
    """Choose how many threads compute, and have them sleep while they wait for each other.

    By default each of them spins while it waits. Where all cores are busy, what it waits for does not run meanwhile:
    two images of the model in the box took 22 to 38 s in two threads that spin, 2.4 to 3.8 s in two that sleep, and 2.1
    to 2.8 s in one (two cores, about 17 other processes that computed). With more threads than a container may use
    cores the same happens without anybody else.

    Args:
        environment: is changed; what it says already holds.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("OMP_NUM_THREADS", str(allowed_cores()))


def allowed_cores(folder: Path = CGROUPS) -> int:
    """Return how many cores this process may use: those that it may run on, or its container's share of the time.

    Args:
        folder: where Linux says what a container may take.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(_quota(folder) or cores)))


def _quota(folder: Path) -> float | None:
    """Cores' worth of time that a container has; None for all there is."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:  # of older systems
            quota, period = ((folder / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no container, or "max"
        return None
