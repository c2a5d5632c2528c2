"""Work that takes minutes, in a thread of its own: how far it is, and how it is called off."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Value = TypeVar("Value")
Report = Callable[[int, int], None]  # done, in total
MAX_SESSIONS = 1000  # of which something is kept
INTERVAL = 0.25  # seconds between two looks


class CancelledError(Exception):
    """Raised inside of a task that was called off, and by its result."""


class Task(Generic[Value]):
    """A running call of a function.

    Args:
        function: gets a function to report progress to; its reports end it once the task is called off.
        cancelled: set from outside to call it off.
    """

    def __init__(self, function: Callable[[Report], Value], cancelled: threading.Event | None = None) -> None:
        self.done, self.total = 0, 0
        self._cancelled = cancelled or threading.Event()
        self._value: list[Value] = []  # once it is there
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()

    async def watch(self) -> AsyncIterator[tuple[int, int]]:
        """Yield what is done and the total, some times a second, until the task ends or is called off."""
        while self._thread.is_alive() and not self._cancelled.is_set():
            await asyncio.sleep(INTERVAL)
            yield self.done, self.total

    def result(self) -> Value:
        """Return what the function returned, or raise what it raised; CancelledError at once when it was called off."""
        if self._cancelled.is_set():
            raise CancelledError
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value[0]

    def _run(self, function: Callable[[Report], Value]) -> None:
        try:
            self._value.append(function(self._report))
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            self._error = error

    def _report(self, done: int, total: int) -> None:
        if self._cancelled.is_set():
            raise CancelledError
        self.done, self.total = done, total


class FewThreads:
    """Threads for short calls that wait for another machine.

    Args:
        number: of calls at a time.
        most: calls that may wait or run.
    """

    def __init__(self, number: int, most: int) -> None:
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="few")  # begin with the first call
        self._most, self._running = most, 0

    def is_busy(self) -> bool:
        """Whether no further call should be made."""
        return self._running >= self._most

    async def run(self, function: Callable[[], Value]) -> Value:
        """Return what the function returns."""
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function)
        finally:
            self._running -= 1


class BySession(OrderedDict[str | None, Value]):
    """What is kept of each of the last `MAX_SESSIONS` sessions; nobody tells of the end of those that are invented."""

    def __setitem__(self, session: str | None, value: Value) -> None:
        super().__setitem__(session, value)
        self.move_to_end(session)
        while len(self) > MAX_SESSIONS:
            self.popitem(last=False)


class StopSignals:
    """One stop signal a session, new for each run."""

    def __init__(self) -> None:
        self._signals: BySession[threading.Event] = BySession()

    def renew(self, session: str | None) -> None:
        """Begin a run: forget an earlier stop."""
        self._signals[session] = threading.Event()

    def of(self, session: str | None) -> threading.Event:
        """Return the signal of the session's run."""
        return self._signals.setdefault(session, threading.Event())

    def stop(self, session: str | None) -> None:
        """Stop the session's run at its next block, or before it starts."""
        self.of(session).set()

    def leave(self, session: str | None) -> None:
        """Stop and forget: the session is over."""
        self._signals.pop(session, threading.Event()).set()
