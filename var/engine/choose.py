"""Which engine stands behind the door: the one place that knows them all."""

import os
from pathlib import Path

from .class_pictures import ClassPictures
from .engine import Engine
from .local import LocalEngine
from .zero_gpu import is_zero_gpu

ENGINES = ("local", "zerogpu")


def create_engine(
    kind: str | None,
    folder: Path,
    device: str | None = None,
    keep: int = 1,
    max_operations: float | None = None,
    pictures: ClassPictures | None = None,
    visitors_pictures: ClassPictures | None = None,
) -> Engine:
    """Make the engine of a server.

    Args:
        kind: one of `ENGINES`; None for zerogpu on a Space that has it, local elsewhere.
        folder: the server's checkpoints, where a VQVAE is looked for, too.
        device: as for `VARPipeline.from_checkpoint`; None: the best that the machine has.
        keep: how many models stay in memory, from 1.
        max_operations: of a run, see `model.operations`; None for no limit.
        pictures, visitors_pictures: as of `LocalEngine`; other engines make none.

    Raises:
        ValueError: there is no such engine here.
    """
    if kind is None:
        kind = "zerogpu" if is_zero_gpu(os.environ) else "local"
    if kind == "local":
        return LocalEngine(folder, device, keep, max_operations, pictures, visitors_pictures)
    if kind == "zerogpu":
        try:
            import spaces
        except ImportError:
            raise ValueError(
                "the engine zerogpu needs the package spaces, which a Space with ZeroGPU has; leave --engine out"
            ) from None
        from .zero_gpu import ZeroGPUEngine

        return ZeroGPUEngine(folder, device, keep, max_operations, spaces.GPU)
    raise ValueError(f"engine is {kind}; expected one of {', '.join(ENGINES)}")
