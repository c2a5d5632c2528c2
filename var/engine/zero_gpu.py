"""The engine of a Space on ZeroGPU: each run has a GPU of its own, in a process that is forked for it.

The package `spaces` decorates a generator for that: what it is called with and what it yields is pickled, and it runs
in a thread of the fork. There nothing is heard of this process any more, and threads that were begun here do not exist:
the fork has models of its own, and a run is stopped by closing the generator. A library's threads could be missed, too,
and be waited for without end; so this process reads files, computes nothing, and lets torch begin no thread.
"""

import logging
import os
import re
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from ..errors import USER_ERRORS
from ..sampling.stopping import StopSignal
from .carrying import carry_out_here, failed, merges_scales, named_file
from .comparisons import ComparisonOrder, num_images_of
from .description import Description
from .engine import AnyOrder
from .events import Done, Event, Failed, Waiting
from .films import FilmOrder
from .jobs import Job
from .models import Loading, Models, Resident
from .pace import Pace
from .queue import MAX_WAITING, LocalJob, Steps, queue_full
from .reading import ReadingEngine

# What a run asks for, in seconds: ample, since one that takes longer may be ended. What it uses is less.
SECONDS_TO_START, MAX_SECONDS = 10, 120
BYTES_A_SECOND = 3e8  # of weights, read from the Space's disk
OPERATIONS_A_SECOND = 5e12  # of one image at a time
MARKUP = re.compile(r"<[^>]*>")

Carry = Callable[["Settings", AnyOrder], Generator[Event | None, None, None]]
GPU = Callable[..., Callable[[Carry], Carry]]

log = logging.getLogger(__name__)


def is_zero_gpu(environment: Mapping[str, str]) -> bool:
    """Whether this is a Space on ZeroGPU, as `spaces` tells it."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


@dataclass(frozen=True)
class Settings:
    """What this process and its forks make their models with; see `Models`."""

    folder: Path
    device: str | None
    keep: int
    max_operations: float | None

    def models(self) -> Models:
        """Return models of its own for the process that asks."""
        return Models(self.folder, self.device, self.keep, self.max_operations)


class ZeroGPUEngine(ReadingEngine):
    """Has each run computed in a fork that has a GPU meanwhile; who waits for one is up to ZeroGPU.

    Args:
        folder, device, keep, max_operations: as of `Models`.
        gpu: the decorator `spaces.GPU`.
        max_waiting: how many runs may be on.
    """

    def __init__(
        self,
        folder: Path,
        device: str | None,
        keep: int,
        max_operations: float | None,
        gpu: GPU,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._settings = Settings(folder, device, keep, max_operations)
        super().__init__(self._settings.models())
        torch.set_num_threads(1)
        self._carry_out = gpu(duration=lambda settings, order: self.seconds_asked(order))(carry_out_in_fork)
        self._jobs: set[Job] = set()
        self._max_waiting = max_waiting

    def submit(self, order: AnyOrder, visitor: str = "") -> Job:
        """Let a fork carry an order out as soon as there is a GPU for it; see `Engine`."""
        order.check()
        job = LocalJob(
            lambda stop: self._steps(order, stop),
            told_by_zero_gpu,
            merges=merges_scales(order),
        )
        if self.num_jobs >= self._max_waiting:
            raise queue_full(self.num_jobs)
        self._jobs.add(job)
        # The visitor's request is in the context: the minutes that the run takes are this visitor's.
        threading.Thread(target=copy_context().run, args=(self._work, job), daemon=True).start()
        return job

    def _work(self, job: LocalJob) -> None:
        job.tell(Waiting(0))
        while job.advance():
            pass
        self._jobs.discard(job)

    def _steps(self, order: AnyOrder, stop: StopSignal) -> Steps:
        if stop.is_set():
            return
        with closing(self._carry_out(self._settings, order)) as events:
            for event in events:
                yield event
                if stop.is_set():
                    return

    def stop(self, job: Job) -> None:
        """Stop a job at once; the fork ends at its next event, a scale later at most."""
        job.signal.set()
        job.tell(Done(0.0, True))

    def prepare(self, path: Path, loading: Loading | None = None) -> Job:
        """Do nothing: a visitor's minutes are not taken before a run is asked for."""
        return finished_job()

    def unload(self) -> Job:
        """Do nothing: models are in the forks alone, and go with them."""
        return finished_job()

    def resident(self, path: Path, loading: Loading | None = None) -> Resident | None:
        """Return None: no model is in this process."""
        return None

    def describe(self, path: Path, loading: Loading | None = None) -> Description:
        """Say what a checkpoint holds, and what a run of it costs; see `Engine`."""
        found = super().describe(path, loading)
        one, many = (seconds_for(found.needed_bytes, found.operations * count) for count in (1, 64))
        note = f"A run asks for GPU seconds of those that you have a day: {one} for an image, {many} for 64."
        return replace(found, notes=(note, *found.notes))

    def seconds_asked(self, order: AnyOrder) -> int:
        """Return for how many seconds of a GPU a run asks, at most `MAX_SECONDS`."""
        if isinstance(order, ComparisonOrder):
            counts = num_images_of(order)
        else:
            count = 1 if isinstance(order, FilmOrder) else sum(order.class_counts)
            counts = {(order.path, order.loading): count}
        num_bytes = operations = 0
        for (path, loading), count in counts.items():
            try:
                found = super().describe(path, loading)
            except USER_ERRORS:  # which the run tells
                continue
            num_bytes += found.needed_bytes
            operations += found.operations * count
        return seconds_for(num_bytes, operations)

    @property
    def num_jobs(self) -> int:
        """How many runs compute, or wait for a GPU."""
        return sum(not job.is_over for job in list(self._jobs))


def seconds_for(num_bytes: int, operations: int) -> int:
    """Return the seconds of a GPU for a run that loads so many bytes and computes so many operations."""
    return min(MAX_SECONDS, round(SECONDS_TO_START + num_bytes / BYTES_A_SECOND + operations / OPERATIONS_A_SECOND))


def carry_out_in_fork(settings: Settings, order: AnyOrder) -> Generator[Event | None, None, None]:
    """Carry an order out in the process that `spaces` forks: what can go wrong is an event, since errors get lost."""
    try:
        models, pace = models_here(settings, os.getpid())
        yield from carry_out_here(models, order, pace, threading.Event())
    except Exception as error:
        told = failed(error, *named_file(order))
        if told is None:
            log.exception("A run failed")
        yield told or Failed()


@cache
def models_here(settings: Settings, process: int) -> tuple[Models, Pace]:
    """Return the models of a forked process, which may carry out several orders, one after the other."""
    return settings.models(), Pace()


def finished_job() -> Job:
    """Return a job that was over before it began."""
    job = Job()
    job.tell(Done(0.0, True))
    return job


def told_by_zero_gpu(error: Exception) -> Failed | None:
    """Return what ZeroGPU says of an error, such as that the minutes are used up; None for a fault of another kind."""
    sentence = MARKUP.sub("", str(getattr(error, "message", ""))).strip()
    return Failed(sentence) if sentence else None
