"""Which engine stands behind the door: the one place that knows them all."""

import os
from dataclasses import dataclass
from pathlib import Path

from ..hub.download import Access
from .class_pictures import ClassPictures
from .engine import Engine
from .local import LocalEngine
from .queue import MAX_WAITING
from .zero_gpu import is_zero_gpu

ENGINES = ("local", "zerogpu", "ray")


@dataclass(frozen=True)
class Cluster:
    """Where the engine ray computes.

    Args:
        address: of a Ray cluster; None for a Ray that is started on this machine and ends with the engine.
        workers: how many there are at least.
        max_workers: how many there may be while runs wait; fewer than `workers`: as many as these.
        access: what workers may download: files from the Hub that are not on their machine yet.
    """

    address: str | None = None
    workers: int = 2
    max_workers: int = 0
    access: Access = Access()


def create_engine(
    kind: str | None,
    folder: Path,
    device: str | None = None,
    keep: int = 1,
    max_operations: float | None = None,
    pictures: ClassPictures | None = None,
    visitors_pictures: ClassPictures | None = None,
    cluster: Cluster | None = None,
    max_waiting: int = MAX_WAITING,
) -> Engine:
    """Make the engine of a server.

    Args:
        kind: one of `ENGINES`; None for zerogpu on a Space that has it, local elsewhere.
        folder, device, keep, max_operations: as of `Models`.
        pictures, visitors_pictures: as of `LocalEngine`; other engines make none.
        cluster: of the engine ray; None for two workers on this machine.
        max_waiting: how many runs may wait, from 1.

    Raises:
        ValueError: there is no such engine here.
        ConnectionError: there is no Ray at the cluster's address.
    """
    if kind is None:
        kind = "zerogpu" if is_zero_gpu(os.environ) else "local"
    if kind == "local":
        return LocalEngine(folder, device, keep, max_operations, pictures, visitors_pictures, max_waiting)
    if kind == "zerogpu":
        try:
            import spaces
        except ImportError:
            raise ValueError(
                "the engine zerogpu needs the package spaces, which a Space with ZeroGPU has; leave --engine out"
            ) from None
        from .zero_gpu import ZeroGPUEngine

        return ZeroGPUEngine(folder, device, keep, max_operations, spaces.GPU, max_waiting)
    if kind == "ray":
        try:
            from .ray_engine import RayEngine
            from .ray_worker import WorkerSettings
        except ImportError:
            raise ValueError("the engine ray needs a package: pip install 'ray[serve]==2.60.0'") from None

        cluster = cluster or Cluster()
        settings = WorkerSettings(folder.absolute(), device, keep, max_operations, cluster.access)
        return RayEngine(settings, cluster.address, cluster.workers, cluster.max_workers, max_waiting)
    raise ValueError(f"engine is {kind}; expected one of {', '.join(ENGINES)}")
