"""The engine: the one door to computing, for the page, the API, and whoever serves it otherwise.

An order comes in, a job goes out, and the job tells events: all of them plain values that can be pickled, so that what
stands behind the door may be a thread, a forked process or another machine. The engine knows no page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..checkpoints.folder import Fingerprint, describe_entry
from ..checkpoints.pair import OpenedPair
from .class_pictures import Pictured
from .comparisons import ComparisonOrder
from .description import Description
from .films import FilmOrder
from .jobs import Job
from .models import Loading, Resident
from .runs import Order

AnyOrder = Order | FilmOrder | ComparisonOrder


@dataclass(frozen=True)
class Placement:
    """Where a model runs.

    Args:
        device: kind of device, such as "cpu".
        dtype: precision of the transformer, such as "float32".
    """

    device: str
    dtype: str


class Engine(Protocol):
    """Takes orders and carries them out; nothing but a job waits for a computation."""

    def submit(self, order: AnyOrder, visitor: str = "") -> Job:
        """Let an order be carried out when its turn comes.

        Args:
            order: what is asked for.
            visitor: whose it is, such as a network address: each has a fair share; "" for nobody in particular.

        Returns:
            A job, which tells `Waiting`, `LoadingModel`, what the kind of order brings about (`Scale` of an `Order`,
            `FilmFrame` of a `FilmOrder`, `BatchStep` and `CellResult` of a `ComparisonOrder`), and `Done` or `Failed`
            at last.

        Raises:
            ValueError: no model could carry it out, or too many wait.
        """
        ...

    def stop(self, job: Job) -> None:
        """Stop a job: at once where it waits, else as soon as what computes can; what it told of stays."""
        ...

    def prepare(self, path: Path, loading: Loading | None = None) -> Job:
        """Load a checkpoint ahead of its use and learn to preview its runs, as long as nobody wants anything else.

        Returns:
            A job, which tells `LoadingModel`, `Ready` once it is in memory, and `Done` or `Failed`.
        """
        ...

    def class_pictures(self, path: Path, labels: Sequence[int], loading: Loading | None = None) -> Pictured:
        """Return pictures of classes as far as they are there, and have others made as long as nothing else is done.

        Whoever looks at them asks again from time to time: nothing is made for those who are gone.

        Args:
            path: the checkpoint's file.
            labels: class indices, the most wanted first; those that the model does not have are passed over.
            loading: how the checkpoint is loaded.

        Raises:
            CheckpointError, FileNotFoundError, TooLargeError: as of `describe`.
        """
        ...

    def unload(self) -> Job:
        """Give the memory of all models back, once nobody computes."""
        ...

    def describe(self, path: Path, loading: Loading | None = None) -> Description:
        """Say what a checkpoint holds, and make sure that it can be loaded; it waits for no computation.

        Raises:
            CheckpointError: the file cannot be used.
            FileNotFoundError: the file is gone.
            TooLargeError: it needs more memory than is free, that of the loaded models included.
        """
        ...

    def class_names(self, files: Mapping[str, Path], checkpoint: str) -> Sequence[str]:
        """Return the class names of a checkpoint; () where they cannot be read.

        Args:
            files: the file of each checkpoint by its name.
            checkpoint: its name.
        """
        ...

    def open(self, path: Path, loading: Loading | None = None) -> OpenedPair:
        """Read a checkpoint and find its VQVAE, both complete, for an export; raises as `describe` does."""
        ...

    def resident(self, path: Path, loading: Loading | None = None) -> Resident | None:
        """Return what a checkpoint takes in memory; None where it is not loaded, or not there any more."""
        ...

    def version(self, path: Path) -> Fingerprint | None:
        """Return what tells a file from a newer one at the same place; None where it is gone."""
        ...

    def placement(self, loading: Loading | None = None, num_parameters: int = 0) -> Placement:
        """Return where models are, and in which precision one of so many parameters computes that is loaded so."""
        ...

    def free_bytes(self) -> int | None:
        """Return the memory that is free on the device; None where nobody knows."""
        ...

    def seconds_of(self, order: AnyOrder) -> float | None:
        """Return how long an order will take, loads included; None where that is not known yet."""
        ...

    def close(self) -> None:
        """Give back what the engine holds outside of this process; it takes no orders afterwards."""
        ...

    @property
    def num_jobs(self) -> int:
        """How many runs compute or wait."""
        ...


def holds_transformer(path: Path) -> bool:
    """Whether a file is there and holds a transformer."""
    try:
        return describe_entry(path).kind == "var"
    except OSError:
        return False
