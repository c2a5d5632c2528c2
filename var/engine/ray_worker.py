"""A worker of the Ray engine: a replica of a Ray Serve deployment, with an engine of its own behind it.

It hands the events of that engine on. Batches are made in there, where an order names its checkpoint, and not by
`serve.batch`, which knows one model id for all calls of a batch; Ray's model ids serve to send runs of a checkpoint to
workers that have it in memory.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from ray import serve

from ..checkpoints.remote import download_checkpoint
from ..errors import USER_ERRORS, CheckpointError
from ..hub.download import Access
from .carrying import failed, named_file
from .comparisons import ComparisonOrder
from .engine import AnyOrder
from .events import Event, Failed
from .jobs import Job
from .local import LocalEngine
from .models import Loading, TooLargeError

PICKLED_ERRORS = (ValueError, CheckpointError, FileNotFoundError, TooLargeError)


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker makes its engine with; see `LocalEngine`.

    Args:
        folder, device, keep, max_operations: as there.
        access: what it may download.
        num_threads: that compute; 0 for what torch chooses.
    """

    folder: Path
    device: str | None
    keep: int
    max_operations: float | None
    access: Access
    num_threads: int = 0


class Worker:
    """Carries orders out.

    Args:
        settings: of its engine.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        if settings.num_threads:  # the environment, which is the front's, says how many these are for all of its cores
            torch.set_num_threads(settings.num_threads)
        self._engine = LocalEngine(settings.folder, settings.device, settings.keep, settings.max_operations)
        self._access = settings.access
        self._jobs: dict[str, Job] = {}
        # One, whatever is kept: a worker that Ray knows for several would get all their runs, while others are idle.
        self._note_model = serve.multiplexed(max_num_models_per_replica=1)(note_model)

    async def run(
        self, ticket: str, order: AnyOrder, visitor: str, addresses: Mapping[Path, str]
    ) -> AsyncIterator[Event]:
        """Carry an order out; a stream that is cancelled stops the job.

        Args:
            ticket: names the job for `stop`.
            order: what to do.
            visitor: whose it is.
            addresses: on the Hub, of those of its files that are from there.

        Yields:
            The job's events; Failed where there is none.
        """
        await self._note_model(serve.get_multiplexed_model_id())
        try:
            job = self._engine.submit(await asyncio.to_thread(self._located, order, addresses), visitor)
        except USER_ERRORS as error:
            yield failed(error, *named_file(order)) or Failed()
            return
        async for event in self._told(ticket, job):
            yield event

    async def prepare(
        self, ticket: str, path: Path, loading: Loading | None, addresses: Mapping[Path, str]
    ) -> AsyncIterator[Event]:
        """Load a checkpoint ahead of its use; see `Engine` and `run`."""
        await self._note_model(serve.get_multiplexed_model_id())
        try:
            job = self._engine.prepare(await asyncio.to_thread(self._find, path, addresses), loading)
        except USER_ERRORS as error:
            yield failed(error, path) or Failed()
            return
        async for event in self._told(ticket, job):
            yield event

    async def _told(self, ticket: str, job: Job) -> AsyncIterator[Event]:
        self._jobs[ticket] = job
        try:
            async for event in job.events():
                if event is not None:
                    yield event
        finally:
            self._engine.stop(job)
            del self._jobs[ticket]

    async def stop(self, ticket: str) -> None:
        """Stop a job, if it is one of this worker's."""
        if ticket in self._jobs:
            self._engine.stop(self._jobs[ticket])

    async def unload(self) -> None:
        """Give the memory of all models back, once nobody computes here."""
        await self._engine.unload().over()

    async def ask(self, verb: str, path: Path | None, addresses: Mapping[Path, str], *arguments: Any) -> Any:
        """Return what the engine says.

        Args:
            verb: a method of the engine that tells something.
            path: the file that it is about, its first argument; None where it is about none.
            addresses: as of `run`.
            arguments: all others.

        Returns:
            What it returns, or the error of `USER_ERRORS` that it raises.
        """

        def answer() -> Any:
            files = [] if path is None else [self._find(path, addresses)]
            return getattr(self._engine, verb)(*files, *arguments)

        try:
            return await asyncio.to_thread(answer)
        except USER_ERRORS as error:
            return error if type(error) in PICKLED_ERRORS else ValueError(str(error))

    async def load(self) -> tuple[int, int, int]:
        """Return the id of this process, how many runs it has, and how many threads compute them."""
        return os.getpid(), self._engine.num_jobs, torch.get_num_threads()

    def _located(self, order: AnyOrder, addresses: Mapping[Path, str]) -> AnyOrder:
        """Return an order with the files as they lie on this machine."""
        if isinstance(order, ComparisonOrder):
            return replace(order, files={name: self._find(path, addresses) for name, path in order.files.items()})
        return replace(order, path=self._find(order.path, addresses))

    def _find(self, path: Path, addresses: Mapping[Path, str]) -> Path:
        """Return a file as it lies on this machine, downloaded where it is from the Hub and not here yet.

        Raises:
            CheckpointError: it is not here.
        """
        if path.exists():
            return path
        if path in addresses:
            return download_checkpoint(addresses[path], access=self._access)
        raise CheckpointError(
            f"{path}: A worker does not see this file. Let --checkpoints, and GRADIO_TEMP_DIR for uploads, be folders "
            "that all machines share, at the same path; or take the checkpoint from the Hub."
        )


async def note_model(model_id: str) -> str:
    """Let Ray know which model this replica used last; the engine loads it."""
    return model_id
