"""The engine: the one door to computing, for the page, the API, and whoever serves it otherwise.

An order comes in, a job goes out, and the job tells events: all of them plain values. What computes takes turns in one
thread, which begins with the first job; nothing else waits for it. The engine knows no page.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checkpoints.folder import Fingerprint, describe_entry
from ..checkpoints.pair import OpenedPair
from ..device import is_out_of_memory
from ..errors import USER_ERRORS, error_text
from .comparisons import ComparisonOrder, compare, seconds_of
from .description import Description
from .events import Failed, Ready
from .films import FilmOrder, film
from .models import Loading, Models, Resident, TooLargeError
from .pace import Pace
from .queue import Job, Queue, Steps
from .runs import Order, carry_out, load

CARRY_OUT = {Order: carry_out, FilmOrder: film, ComparisonOrder: compare}
TOO_LITTLE_MEMORY = "The machine has too little memory for this. Ask for fewer images, or choose a smaller checkpoint."


@dataclass(frozen=True)
class Placement:
    """Where a model runs.

    Args:
        device: kind of device, such as "cpu".
        dtype: precision of the transformer, such as "float32".
    """

    device: str
    dtype: str


class Engine:
    """Takes orders and carries them out.

    Args:
        folder: the server's checkpoints, where a VQVAE is looked for, too.
        device: as for `VARPipeline.from_checkpoint`; None: the best that the machine has.
        keep: how many models stay in memory, from 1; the one not used for longest goes first.
        max_operations: of a run, see `model.operations`; None for no limit.
    """

    def __init__(
        self, folder: Path, device: str | None = None, keep: int = 1, max_operations: float | None = None
    ) -> None:
        self._models = Models(folder, device, keep, max_operations)
        self._pace = Pace()
        self._queue = Queue()
        self._unloading: Job | None = None
        self._guard = threading.Lock()

    def submit(self, order: Order | FilmOrder | ComparisonOrder) -> Job:
        """Let an order be carried out when its turn comes.

        Returns:
            A job, which tells `Waiting`, `LoadingModel`, what the kind of order brings about (`Scale` of an `Order`,
            `FilmFrame` of a `FilmOrder`, `BatchStep` and `CellResult` of a `ComparisonOrder`), and `Done` or `Failed`
            at last.

        Raises:
            ValueError: no model could carry it out, or too many wait.
        """
        carry = CARRY_OUT[type(order)]
        if isinstance(order, ComparisonOrder):
            first = order.comparison.cells[0].model
            path, model = None, (order.files.get(first.checkpoint), order.loading(first))
        else:
            order.check()
            path, model = order.path, (order.path, order.loading or Loading())
        name = getattr(order, "name", None)
        return self._queue.submit(
            Job(
                lambda stop: carry(self._models, order, self._pace, stop),
                lambda error: failed(error, path, name),
                model,
                merges=getattr(order, "previews", True),
            )
        )

    def stop(self, job: Job) -> None:
        """Stop a job: at once where it waits, else within a block of the transformer; what it told of stays."""
        self._queue.stop(job)

    def prepare(self, path: Path, loading: Loading | None = None) -> Job:
        """Load a checkpoint ahead of its use and learn to preview its runs, as long as nobody wants anything else.

        Returns:
            A job, which tells `LoadingModel`, `Ready` once it is in memory, and `Done` or `Failed`.
        """

        def steps(stop: threading.Event) -> Steps:
            pipeline = yield from load(self._models, path, loading, self._pace)
            yield Ready()
            for _ in self._models.previewer(pipeline).practise(stop):
                pass

        return self._queue.submit_in_spare_time(Job(steps, lambda error: failed(error, path)))

    def unload(self) -> Job:
        """Give the memory of all models back, once nobody computes; who asks meanwhile gets the same job."""

        def steps(_: threading.Event) -> Steps:
            self._models.unload()
            yield from ()

        with self._guard:
            if self._unloading is None or self._unloading.is_over:
                self._unloading = self._queue.submit(Job(steps, is_run=False))
            return self._unloading

    def describe(self, path: Path, loading: Loading | None = None) -> Description:
        """Say what a checkpoint holds, and make sure that it can be loaded; it waits for no computation.

        Raises:
            CheckpointError: the file cannot be used.
            FileNotFoundError: the file is gone.
            TooLargeError: it needs more memory than is free, that of the loaded models included.
        """
        return self._models.describe(path, loading)

    def class_names(self, files: Mapping[str, Path], checkpoint: str) -> Sequence[str]:
        """Return the class names of a checkpoint; () where they cannot be read.

        Args:
            files: the file of each checkpoint by its name.
            checkpoint: its name.
        """
        try:
            return self.describe(files[checkpoint]).class_names
        except (KeyError, *USER_ERRORS):
            return ()

    def open(self, path: Path, loading: Loading | None = None) -> OpenedPair:
        """Read a checkpoint and find its VQVAE, both complete, for an export; raises as `describe` does."""
        return self._models.open(path, loading)

    def resident(self, path: Path, loading: Loading | None = None) -> Resident | None:
        """Return what a checkpoint takes in memory; None where it is not loaded, or not there any more."""
        return self._models.resident(path, loading)

    def version(self, path: Path) -> Fingerprint | None:
        """Return what tells a file from a newer one at the same place; None where it is gone."""
        return self._models.version(path)

    def placement(self, loading: Loading | None = None, num_parameters: int = 0) -> Placement:
        """Return where models are, and in which precision one of so many parameters computes that is loaded so."""
        device, dtype = self._models.placement(loading, num_parameters)
        return Placement(device.type, str(dtype).removeprefix("torch."))

    def free_bytes(self) -> int | None:
        """Return the memory that is free on the device; None where nobody knows."""
        return self._models.free_bytes()

    def seconds_of(self, order: ComparisonOrder) -> float | None:
        """Return how long a comparison will take; None where that is not known yet."""
        return seconds_of(order, self._models, self._pace)

    @property
    def num_jobs(self) -> int:
        """How many runs compute or wait."""
        return self._queue.num_jobs


def failed(error: Exception, path: Path | None = None, name: str | None = None) -> Failed | None:
    """Return what is told of an error that people can bring about; None for any other."""
    if is_out_of_memory(error) and not isinstance(error, TooLargeError):  # that one says how much is needed
        return Failed(TOO_LITTLE_MEMORY)
    if isinstance(error, USER_ERRORS):
        offer = error.offer if isinstance(error, TooLargeError) else None
        return Failed(error_text(error, path, name), offer)
    return None


def holds_transformer(path: Path) -> bool:
    """Whether a file is there and holds a transformer."""
    try:
        return describe_entry(path).kind == "var"
    except OSError:
        return False
