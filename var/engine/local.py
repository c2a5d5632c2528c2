"""The engine of one machine: one thread computes, beside it files are described."""

import threading
from collections.abc import Sequence
from pathlib import Path

from .carrying import carry_out_here, failed, merges_scales, model_of, named_file, num_turns
from .class_pictures import ClassPictures, Pictured, PicturesOrder, draw_pictures
from .description import is_inside
from .engine import AnyOrder
from .events import Ready
from .jobs import Job
from .models import Loading, Models
from .queue import MAX_WAITING, LocalJob, Queue, Steps
from .reading import ReadingEngine
from .runs import Order, Run, load


class LocalEngine(ReadingEngine):
    """Computes in one thread of this process, which begins with the first job.

    Args:
        folder, device, keep, max_operations: as of `Models`.
        pictures: keeps pictures of classes; None for making none.
        visitors_pictures: the same of checkpoints that are not in the server's folder.
        max_waiting: how many jobs may wait.
    """

    def __init__(
        self,
        folder: Path,
        device: str | None = None,
        keep: int = 1,
        max_operations: float | None = None,
        pictures: ClassPictures | None = None,
        visitors_pictures: ClassPictures | None = None,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        super().__init__(Models(folder, device, keep, max_operations))
        self._folder = folder
        self._pictures, self._visitors_pictures = pictures, visitors_pictures
        self._queue = Queue(max_waiting)
        self._unloading: Job | None = None
        self._guard = threading.Lock()

    def submit(self, order: AnyOrder, visitor: str = "") -> Job:
        """Let an order be carried out when its turn comes; see `Engine`."""
        order.check()
        run = Run(self._models, order, self._pace) if isinstance(order, Order) else None

        def steps(stop: threading.Event) -> Steps:
            if run is not None:
                return run.steps(stop, lambda: self._queue.guests(job))
            return carry_out_here(self._models, order, self._pace, stop)

        job = LocalJob(
            steps,
            lambda error: failed(error, *named_file(order)),
            model_of(order),
            merges=merges_scales(order),
            run=run,
            visitor=visitor,
            seconds=lambda: self.seconds_of(order),
            turns=num_turns(order, self._models),
        )
        return self._queue.submit(job)

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

    @property
    def num_jobs(self) -> int:
        """How many runs compute or wait."""
        return self._queue.num_jobs
