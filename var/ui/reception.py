"""The visitors' orders: which are taken, who hears of them, and what becomes of them when the server is stopped."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable

import gradio as gr

from ..engine.engine import AnyOrder, Engine
from ..engine.events import Done, Event, Failed, Waiting
from ..engine.jobs import Job
from .html import duration
from .listeners import Listeners
from .metrics import Metrics
from .server_folder import check_disk

STOPPING = "The server is being stopped. Try again in a minute."
LAST_SECONDS = 2.0  # for what runs that were stopped have to tell
LOOK_SECONDS = 0.05


class RefusedOrderError(ValueError):
    """Raised where an order takes longer than one may, or the server is being stopped."""


class Reception:
    """Hands orders to the engine, and their events to those who hear of them.

    Args:
        engine: carries them out.
        listeners: who hears of them.
        max_seconds: that a run may compute; 0 for any time.
        metrics: is told of all of them; None where nobody measures.
    """

    def __init__(
        self, engine: Engine, listeners: Listeners, max_seconds: float = 0.0, metrics: Metrics | None = None
    ) -> None:
        self.engine, self.listeners, self.max_seconds, self._metrics = engine, listeners, max_seconds, metrics
        self._guard = threading.Lock()
        self._jobs: set[Job] = set()  # those that are over go with the next
        self.is_closing = False

    def submit(self, order: AnyOrder, request: gr.Request) -> Job:
        """Let an order be carried out when its turn comes.

        Args:
            order: what is asked for.
            request: tells whose it is.

        Raises:
            OSError: the disk has no room for what it makes.
            ValueError: no model could carry it out, it would take too long, or too many wait.
        """
        check_disk()
        try:
            seconds = self.engine.seconds_of(order) if self.max_seconds else None
            if seconds is not None and seconds > self.max_seconds:
                raise RefusedOrderError(
                    f"This takes about {duration(seconds)}, and this server computes up to "
                    f"{duration(self.max_seconds)} for a run. Ask for fewer images, or choose a smaller checkpoint."
                )
            with self._guard:
                if self.is_closing:
                    raise RefusedOrderError(STOPPING)
                job = self.engine.submit(order, request.client.host if request.client else "")
                self._jobs = {job, *(old for old in self._jobs if not old.is_over)}
        except ValueError:
            if self._metrics:
                self._metrics.refused()
            raise
        return job

    async def events(self, job: Job, session: str | None) -> AsyncIterator[Event]:
        """Hand out the events of a job; one that takes too long is stopped, and one of which nobody hears any more.

        Args:
            job: of `submit`.
            session: whose it is.
        """
        note = self._metrics.job() if self._metrics else None
        with TimeLimit(self.max_seconds, lambda: self.engine.stop(job)) as limit:
            async for event in self.listeners.events(self.engine, job, session):
                limit.note(event)
                if isinstance(event, Done) and limit.is_over:
                    event = Failed(
                        f"This run was stopped: it took more than the {duration(self.max_seconds)} that this server "
                        "computes for one. Ask for fewer images, or choose a smaller checkpoint."
                    )
                if note:
                    note(event)
                yield event

    def close(self, seconds: float) -> None:
        """Take no more orders, and wait until what was ordered is done, for so many seconds; then stop it."""
        with self._guard:
            self.is_closing = True
        self._wait(seconds)
        for job in self._live():
            self.engine.stop(job)
        self._wait(LAST_SECONDS)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self._live() and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)

    def _live(self) -> list[Job]:
        with self._guard:
            return [job for job in self._jobs if not job.is_over]


class TimeLimit:
    """Ends a run that computes too long; what it waits for others does not count.

    Args:
        seconds: that it may compute; 0 for any time.
        stop: ends it.
    """

    def __init__(self, seconds: float, stop: Callable[[], None]) -> None:
        self._left, self._stop = seconds, stop
        self._has_limit = seconds > 0
        self._turn: tuple[float, asyncio.TimerHandle] | None = None  # when it began, and what ends the run
        self.is_over = False

    def __enter__(self) -> "TimeLimit":
        return self

    def __exit__(self, *_: object) -> None:
        self._pause()

    def note(self, event: Event) -> None:
        """See whether the run computes or waits."""
        if isinstance(event, Waiting) and event.before or isinstance(event, Done | Failed):
            self._pause()
        elif self._turn is None and self._has_limit:
            loop = asyncio.get_running_loop()
            self._turn = loop.time(), loop.call_later(max(0.0, self._left), self._end)

    def _pause(self) -> None:
        if self._turn is not None:
            began, timer = self._turn
            timer.cancel()
            self._left -= asyncio.get_running_loop().time() - began
            self._turn = None

    def _end(self) -> None:
        self.is_over = True
        self._stop()
