"""The engine of several machines: the page is a front, and workers of a Ray Serve deployment compute.

Several fronts may share the workers. What depends on where models are is said by a worker, and kept here, so that
nothing but a job waits for a run. Files are read here only to be listed and exported.
"""

import asyncio
import logging
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import ray
from ray import serve
from ray.exceptions import RayActorError, RayError, TaskCancelledError
from ray.serve.handle import DeploymentHandle

from ..checkpoints.hash import short_hash
from ..errors import USER_ERRORS
from ..hub.download import cached_address
from .carrying import merges_scales, model_of
from .comparisons import ComparisonOrder
from .description import Description
from .engine import AnyOrder, Placement
from .events import Done, Event, Failed, Ready, Scale, Waiting, WorkerLost
from .jobs import Job
from .models import Loading, Models, Resident
from .queue import MAX_WAITING, queue_full
from .ray_worker import Worker, WorkerSettings
from .reading import ReadingEngine
from .rest import Rest

APPLICATION = "var"
# Runs that a worker has at a time, which take turns or share batches; others wait for the first worker that has room.
RUNS_A_WORKER, RUNS_A_GPU = 4, 16
WANTED = 0.5  # of these; with more, those that wait included, another worker is started
OWN_SHARE = 4  # of so many runs one may be a visitor's
MAX_LOST = 3  # workers of one run: what ends each of them is not handed to the next one
OBJECT_STORE_BYTES = 200_000_000  # of a Ray that is started here; orders and events are small
ANSWER_SECONDS, CONNECT_SECONDS = 60.0, 5.0
MAX_ANSWERS = 500
NO_ANSWER = "No worker answers. Try again in a minute."

Model = tuple[Path | None, Loading]

log = logging.getLogger(__name__)


class RemoteJob(Job):
    """A job that a worker carries out.

    Args:
        visitor: whose it is; "" for nobody's in particular.
        merges: as of `Job`.

    Attributes:
        ticket: names it among all jobs of all fronts.
        model: which it uses first, and the how manyth of this front's runs of that model it is, from 0.
        stream: of the worker's events; None where it was not sent to one yet.
        has_begun: whether a worker has told something of it.
    """

    def __init__(self, visitor: str = "", *, merges: bool = True) -> None:
        super().__init__(merges=merges)
        self.visitor = visitor
        self.ticket = uuid4().hex
        self.model: tuple[Model, int] | None = None
        self.stream: Any = None
        self.has_begun = False


class RayEngine(ReadingEngine):
    """Hands orders to workers.

    Args:
        settings: of the workers.
        address: of a Ray cluster, as of `ray.init`; None for a Ray of this machine alone, which ends with the engine.
        workers: how many there are at least, from 1.
        max_workers: how many there may be while runs wait.
        max_waiting: how many runs may be on.

    Raises:
        ConnectionError: there is no Ray at the address.
        ValueError: the workers do not start.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        address: str | None,
        workers: int,
        max_workers: int,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        super().__init__(Models(settings.folder, "cpu", settings.keep))
        self._max_workers = max(workers, max_workers)
        self._max_waiting = max_waiting
        self._handle = start_workers(settings, address, workers, self._max_workers)
        self._guard = threading.Lock()  # of the jobs
        self._jobs: list[RemoteJob] = []  # runs that are not over, the first one first
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # by visitor
        self._answers: dict[tuple[Any, ...], Any] = {}
        self._residents: dict[Model, Resident | None] = {}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="ray", daemon=True).start()

    # Jobs

    def submit(self, order: AnyOrder, visitor: str = "") -> Job:
        """Let a worker carry an order out as soon as one has room for it; see `Engine`."""
        order.check()
        job = RemoteJob(visitor, merges=merges_scales(order))
        with self._guard:
            own = sum(other.visitor == visitor for other in self._jobs) if visitor else 0
            if len(self._jobs) >= self._max_waiting or own >= max(1, self._max_waiting // OWN_SHARE):
                raise queue_full(own or len(self._jobs))
            self._jobs.append(job)
        job.tell(Waiting(len(self._jobs) - 1))
        self._begin(self._carry_out(job, Rest(order)))
        return job

    def stop(self, job: Job) -> None:
        """Stop a job: at once where no worker has it yet, else within a block of the transformer."""
        job.signal.set()
        if isinstance(job, RemoteJob):
            self._begin(self._stop(job))

    def prepare(self, path: Path, loading: Loading | None = None) -> Job:
        """Let a worker load a checkpoint ahead of its use, unless somebody's run is on; see `Engine`."""
        job = RemoteJob()
        if self._jobs:
            job.tell(Done(0.0, True))
        else:
            self._begin(self._follow(job, (path, loading or Loading()), "prepare", path, loading))
        return job

    def unload(self) -> Job:
        """Give the memory of all models of all workers back, once these do not compute."""
        job = RemoteJob()

        async def unload() -> None:
            await self._handle.broadcast("unload").results_async(return_exceptions=True)
            self._residents.clear()
            job.tell(Done())

        self._begin(unload())
        return job

    @property
    def num_jobs(self) -> int:
        """How many runs of this front compute or wait."""
        with self._guard:
            return sum(not job.is_over for job in self._jobs)

    def _begin(self, steps: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(steps, self._loop)

    async def _carry_out(self, job: RemoteJob, rest: Rest) -> None:
        """Have a run carried out, by one worker after the other where these get lost.

        As many runs of a visitor as there are workers are sent to them: whoever asks for more waits for himself.
        """
        try:
            share = self._shares.setdefault(job.visitor or job.ticket, asyncio.Semaphore(self._max_workers))
            async with share:
                for _ in range(MAX_LOST):
                    if await self._follow(job, model_of(rest.order), "run", rest, job.visitor):
                        return
                    job.tell(WorkerLost())
            job.tell(Failed(f"{MAX_LOST} workers got lost one after the other with this run. Ask for less."))
        except Exception:
            log.exception("A job failed")
            job.tell(Failed())
        finally:
            with self._guard:
                self._jobs.remove(job)
            self._tell_places()

    async def _follow(self, job: RemoteJob, model: Model, method: str, asked: Rest | Path, *more: Any) -> bool:
        """Hand on what a worker tells of a job; returns False where the worker got lost before the end.

        Args:
            job: is told.
            model: which it uses first: runs of one model go to the same workers, as long as these have room.
            method: of `Worker`, one that streams.
            asked: what is left of the order, or the file; it comes first.
            more: further arguments of the method.
        """
        job.has_begun = False
        if isinstance(asked, Rest):
            asked.begin()
        order = asked.order if isinstance(asked, Rest) else asked
        try:
            model_id, addresses = await asyncio.to_thread(lambda: (model_id_of(*model), addresses_of(order)))
            model_id = f"{model_id}-{self._place_among_its_kind(job, model)}"
            if job.is_over:
                return True
            handle = self._handle.options(method_name=method, stream=True, multiplexed_model_id=model_id)
            job.stream = handle.remote(job.ticket, order, *more, addresses)
            async for event in job.stream:
                await self._note(job, model, event)
                if not isinstance(asked, Rest) or asked.is_new(event):
                    job.tell(event)
        except TaskCancelledError:
            job.tell(Done(0.0, True))
        except RayActorError:
            if job.signal.is_set() or (isinstance(asked, Rest) and asked.is_done):
                job.tell(Done(0.0, job.signal.is_set()))
        except RayError:
            log.exception("A job failed")
            job.tell(Failed())
        return job.is_over

    def _place_among_its_kind(self, job: RemoteJob, model: Model) -> int:
        """Return which of the runs of a model this one is, from 0, lowest first.

        It is a part of the model's id, by which Ray finds workers that have it: else all runs of a model would go to
        one worker while others are idle.
        """
        with self._guard:
            job.model = None
            taken = Counter(other.model for other in self._jobs)
            place = min(range(self._max_workers), key=lambda place: taken[model, place])
            job.model = model, place
        return place

    async def _note(self, job: RemoteJob, model: Model, event: Event) -> None:
        """Take down that a worker has a job, and what its model takes there."""
        if not job.has_begun:
            job.has_begun = True
            self._tell_places()
            if job.signal.is_set():
                await self._stop(job)
        if isinstance(event, Scale | Ready) and model[0] is not None and self._residents.get(model) is None:
            answers = await self._ask_all("resident", *model)
            self._residents[model] = next((found for found in answers if isinstance(found, Resident)), None)

    async def _stop(self, job: RemoteJob) -> None:
        if job.has_begun:
            await self._handle.broadcast("stop", job.ticket).results_async(return_exceptions=True)
            return
        job.tell(Done(0.0, True))
        if job.stream is not None:
            job.stream.cancel()

    def _tell_places(self) -> None:
        """Tell those that no worker has yet how many come first; of the others the workers tell."""
        with self._guard:
            for place, job in enumerate(self._jobs):
                if not job.has_begun:
                    job.tell(Waiting(place))

    # What workers say

    def describe(self, path: Path, loading: Loading | None = None) -> Description:
        """Say what a checkpoint holds, and make sure that a worker can load it; see `Engine`."""
        found: Description = self._ask("describe", path, loading)
        return found

    def placement(self, loading: Loading | None = None, num_parameters: int = 0) -> Placement:
        """Return where the workers' models are; see `Engine`."""
        found: Placement = self._ask("placement", None, loading, num_parameters)
        return found

    def resident(self, path: Path, loading: Loading | None = None) -> Resident | None:
        """Return what a checkpoint takes in a worker's memory; None where none has loaded it for this front."""
        return self._residents.get((path, loading or Loading()))

    def free_bytes(self) -> int | None:
        """Return None: it is not known which worker will be asked."""
        return None

    def seconds_of(self, order: AnyOrder) -> float | None:
        """Return None: it is not known how busy the workers are."""
        return None

    def _ask(self, verb: str, path: Path | None, *arguments: Any) -> Any:
        """Return what workers say, once for each version of a file; raises what they raise."""
        key = (verb, path, path and self.version(path), arguments)
        if key not in self._answers:
            asked = asyncio.run_coroutine_threadsafe(self._ask_all(verb, path, *arguments), self._loop)
            answers = asked.result()
            if not answers:
                raise ValueError(NO_ANSWER)
            if isinstance(answers[0], USER_ERRORS):
                raise answers[0]
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            self._answers[key] = answers[0]
        return self._answers[key]

    async def _ask_all(self, verb: str, path: Path | None, *arguments: Any) -> list[Any]:
        """Return what each worker says; those that do not answer are left out. To ask takes no room from runs."""
        addresses = addresses_of(path) if path else {}
        asked = self._handle.broadcast("ask", verb, path, addresses, *arguments)
        try:
            answers = await asked.results_async(timeout_s=ANSWER_SECONDS, return_exceptions=True)
        except TimeoutError:
            return []
        return [answer for answer in answers if not isinstance(answer, RayError)]

    def close(self) -> None:
        """Leave Ray; where this engine started it, it ends with all workers, else these go on for other fronts."""
        ray.shutdown()


def start_workers(
    settings: WorkerSettings, address: str | None, workers: int, max_workers: int
) -> DeploymentHandle[Worker]:
    """Return a handle of the workers, which are started unless another front did; see `RayEngine`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    if address is not None:
        check_address(address)
    at_sigterm = signal.getsignal(signal.SIGTERM)
    ray.init(address or "local", **options)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, at_sigterm)  # in whose place Ray puts its own
    if address is None:
        print(f"* Ray: {ray.get_runtime_context().gcs_address} (the --address of further fronts)")
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    serve.start(proxy_location="Disabled")
    running = serve.status().applications.get(APPLICATION)
    if running is not None and running.status == "RUNNING":
        return serve.get_app_handle(APPLICATION)
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    on_gpu = settings.device != "cpu" and there.get("GPU", 0) > 0
    num_cpus = max(1, int(there.get("CPU", 1) // max_workers))
    num_runs = RUNS_A_GPU if on_gpu else RUNS_A_WORKER
    scaling: dict[str, Any] = {"num_replicas": workers}
    if max_workers > workers:
        scaling = {
            "autoscaling_config": {
                "min_replicas": workers,
                "max_replicas": max_workers,
                "target_ongoing_requests": WANTED * num_runs,
            }
        }
    deployment = serve.deployment(Worker).options(  # type: ignore[attr-defined] # a decorator of classes and functions
        name="Worker",
        max_ongoing_requests=num_runs,
        ray_actor_options={"num_cpus": num_cpus, "num_gpus": int(on_gpu)},
        graceful_shutdown_timeout_s=5,
        **scaling,
    )
    try:
        return serve.run(deployment.bind(replace(settings, num_threads=num_cpus)), name=APPLICATION, route_prefix=None)
    except RuntimeError as error:
        raise ValueError(f"the workers do not start: {error}") from error


def check_address(address: str) -> None:
    """Raise ConnectionError where nothing answers at HOST:PORT, for which Ray would wait more than a minute."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit():
        return  # such as "auto"
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(
            f"--address {address}: nothing answers there. Start Ray with ray start --head, or leave --address out for "
            "workers of this machine alone."
        ) from error


def model_id_of(path: Path | None, loading: Loading) -> str:
    """Return a name for a model, by the content of its file and how it is loaded."""
    try:
        content = short_hash(path) if path else ""
    except OSError:
        content = ""
    return "-".join([content, *(str(part or "") for part in (loading.weights, loading.dtype, loading.num_heads))])


def addresses_of(asked: AnyOrder | Path) -> Mapping[Path, str]:
    """Return the address on the Hub of each file that is from there."""
    paths: Iterable[Path]
    if isinstance(asked, Path):
        paths = [asked]
    else:
        paths = asked.files.values() if isinstance(asked, ComparisonOrder) else [asked.path]
    return {path: str(address) for path in paths if (address := cached_address(path))}
