"""The engine of one machine: one thread computes, beside it files are described."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..checkpoints.folder import Fingerprint
from ..checkpoints.pair import OpenedPair
from ..device import is_out_of_memory
from ..errors import USER_ERRORS, error_text
from ..sampling.stopping import StopSignal
from .class_pictures import ClassPictures, Pictured, PicturesOrder, draw_pictures
from .comparisons import ComparisonOrder, compare, seconds_of
from .description import Description, is_inside
from .engine import AnyOrder, Engine, Placement
from .events import Failed, Ready
from .films import FilmOrder, film
from .jobs import Job
from .models import Loading, Models, Resident, TooLargeError
from .pace import Pace
from .queue import LocalJob, Queue, Steps
from .runs import Order, carry_out, load

CARRY_OUT: Mapping[type, Callable[..., Steps]] = {Order: carry_out, FilmOrder: film, ComparisonOrder: compare}
TOO_LITTLE_MEMORY = "The machine has too little memory for this. Ask for fewer images, or choose a smaller checkpoint."


class LocalEngine(Engine):
    """Computes in one thread of this process, which begins with the first job.

    Args:
        folder: the server's checkpoints, where a VQVAE is looked for, too.
        device: as for `VARPipeline.from_checkpoint`; None: the best that the machine has.
        keep: how many models stay in memory, from 1; the one not used for longest goes first.
        max_operations: of a run, see `model.operations`; None for no limit.
        pictures: keeps pictures of classes; None for making none.
        visitors_pictures: the same of checkpoints that are not in the server's folder.
    """

    def __init__(
        self,
        folder: Path,
        device: str | None = None,
        keep: int = 1,
        max_operations: float | None = None,
        pictures: ClassPictures | None = None,
        visitors_pictures: ClassPictures | None = None,
    ) -> None:
        self._folder = folder
        self._pictures, self._visitors_pictures = pictures, visitors_pictures
        self._models = Models(folder, device, keep, max_operations)
        self._pace = Pace()
        self._queue = Queue()
        self._unloading: Job | None = None
        self._guard = threading.Lock()

    def submit(self, order: AnyOrder) -> Job:
        """Let an order be carried out when its turn comes; see `Engine`."""
        order.check()
        return self._queue.submit(
            LocalJob(
                lambda stop: self._carry_out(order, stop),
                lambda error: self._explain(error, order),
                model_of(order),
                merges=merges_scales(order),
            )
        )

    def _carry_out(self, order: AnyOrder, stop: StopSignal) -> Steps:
        """Compute, a batch a turn."""
        return carry_out_here(self._models, order, self._pace, stop)

    def _explain(self, error: Exception, order: AnyOrder) -> Failed | None:
        """Return what is told of an error that people can bring about; None for any other."""
        return failed(error, *named_file(order))

    def stop(self, job: Job) -> None:
        """Stop a job: at once where it waits, else within a block of the transformer; what it told of stays."""
        self._queue.stop(job)

    def prepare(self, path: Path, loading: Loading | None = None) -> Job:
        """Load a checkpoint in spare time and learn to preview its runs; see `Engine`."""

        def steps(stop: threading.Event) -> Steps:
            pipeline = yield from load(self._models, path, loading, self._pace)
            yield Ready()
            for _ in self._models.previewer(pipeline).practise(stop):
                pass

        return self._queue.submit_in_spare_time(LocalJob(steps, lambda error: failed(error, path)))

    def class_pictures(self, path: Path, labels: Sequence[int], loading: Loading | None = None) -> Pictured:
        """Return pictures of classes, and have others made in spare time; see `Engine`."""
        pictures = self._pictures if is_inside(path, self._folder) else self._visitors_pictures
        if pictures is None:
            return Pictured()
        description = self.describe(path, loading)
        found = pictures.read(description.model_hash, labels)
        num_classes = len(description.class_names)
        missing = tuple(label for label in labels if label not in found and 0 <= label < num_classes)
        if not missing or pictures.has_given_up(description.model_hash):
            return Pictured(found)
        order = PicturesOrder(path, loading, missing)
        self._queue.submit_if_idle(
            LocalJob(lambda stop: draw_pictures(self._models, order, pictures, stop), lambda error: failed(error, path))
        )
        return Pictured(found, more=True)

    def unload(self) -> Job:
        """Give the memory of all models back, once nobody computes; who asks meanwhile gets the same job."""

        def steps(_: threading.Event) -> Steps:
            self._models.unload()
            yield from ()

        with self._guard:
            if self._unloading is None or self._unloading.is_over:
                self._unloading = self._queue.submit(LocalJob(steps, is_run=False))
            return self._unloading

    def describe(self, path: Path, loading: Loading | None = None) -> Description:
        """Say what a checkpoint holds, and make sure that it can be loaded; see `Engine`."""
        return self._models.describe(path, loading)

    def class_names(self, files: Mapping[str, Path], checkpoint: str) -> Sequence[str]:
        """Return the class names of a checkpoint; () where they cannot be read."""
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

    def close(self) -> None:
        """Do nothing: all is of this process, and goes with it."""

    @property
    def num_jobs(self) -> int:
        """How many runs compute or wait."""
        return self._queue.num_jobs


def carry_out_here(models: Models, order: AnyOrder, pace: Pace, stop: StopSignal) -> Steps:
    """Carry an order out in this thread; see `carry_out`, `film` and `compare`."""
    return CARRY_OUT[type(order)](models, order, pace, stop)


def named_file(order: AnyOrder) -> tuple[Path | None, str | None]:
    """Return the file of an order, and what people call it; None for both where it has several."""
    return (None, None) if isinstance(order, ComparisonOrder) else (order.path, order.name)


def model_of(order: AnyOrder) -> tuple[Path | None, Loading]:
    """Return which model an order uses first: its file, and how it is loaded."""
    if isinstance(order, ComparisonOrder):
        first = order.comparison.cells[0].model
        return order.files.get(first.checkpoint), order.loading(first)
    return order.path, order.loading or Loading()


def merges_scales(order: AnyOrder) -> bool:
    """Whether scales that nobody heard of in time become one."""
    return not isinstance(order, Order) or order.previews


def failed(error: Exception, path: Path | None = None, name: str | None = None) -> Failed | None:
    """Return what is told of an error that people can bring about; None for any other."""
    if is_out_of_memory(error) and not isinstance(error, TooLargeError):  # that one says how much is needed
        return Failed(TOO_LITTLE_MEMORY)
    if isinstance(error, USER_ERRORS):
        offer = error.offer if isinstance(error, TooLargeError) else None
        return Failed(error_text(error, path, name), offer)
    return None
