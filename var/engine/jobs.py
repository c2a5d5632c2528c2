"""A job as whoever asked for it sees it: what it tells, and whether it is over."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress

from .events import Done, Event, Failed, Scale, Waiting


class Job:
    """Something that an engine was asked for, from that moment to its end.

    Args:
        merges: whether scales that are not heard of in time become one, so that pictures do not pile up.

    Attributes:
        signal: set once it is to stop.
    """

    def __init__(self, *, merges: bool = True) -> None:
        self.signal = threading.Event()
        self._merges = merges
        self._told: deque[Event] = deque()
        self._told_any = threading.Condition()
        self._wakes: set[Callable[[], None]] = set()
        self._over = False

    def tell(self, event: Event) -> None:
        """Hand an event on, unless the job is over."""
        with self._told_any:
            if self._over:
                return
            last = self._told[-1] if self._told else None
            if self._merges and isinstance(event, Scale) and isinstance(last, Scale):
                self._told.pop()
                event = event.after(last)
            elif isinstance(event, Waiting) and isinstance(last, Waiting):
                self._told.pop()
            self._told.append(event)
            self._over = isinstance(event, Done | Failed)
            self._told_any.notify_all()
            for wake in self._wakes:
                wake()

    @property
    def is_over(self) -> bool:
        """Whether its last event was told."""
        return self._over

    def __iter__(self) -> Iterator[Event]:
        """Wait for the events, for scripts and tests: each is handed out once, `Done` or `Failed` last."""
        while True:
            with self._told_any:
                self._told_any.wait_for(lambda: self._told)
                event = self._told.popleft()
            yield event
            if isinstance(event, Done | Failed):
                return

    async def events(self, every: float | None = None) -> AsyncIterator[Event | None]:
        """Hand out the events, each once, `Done` or `Failed` last; no thread waits for them.

        Args:
            every: seconds after which None comes where nothing else did; None: never.
        """
        with self._woken() as told:
            while True:
                told.clear()
                with self._told_any:
                    event = self._told.popleft() if self._told else None
                if event is not None:
                    yield event
                    if isinstance(event, Done | Failed):
                        return
                    continue
                try:
                    await asyncio.wait_for(told.wait(), every)
                except asyncio.TimeoutError:
                    yield None

    async def over(self) -> None:
        """Wait until the job is over, beside whoever else does; no thread waits for it."""
        with self._woken() as told:
            while not self._over:
                told.clear()
                if not self._over:
                    await told.wait()

    @contextmanager
    def _woken(self) -> Iterator[asyncio.Event]:
        """Hand out what is set, in the loop that runs, whenever something is told."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the server is closed meanwhile
                loop.call_soon_threadsafe(told.set)

        with self._told_any:
            self._wakes.add(wake)
        try:
            yield told
        finally:
            with self._told_any:
                self._wakes.discard(wake)
