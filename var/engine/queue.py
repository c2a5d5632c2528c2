"""Who may compute: the sessions that wait for the model, in order, and how each is stopped."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
LOOK_AT_LINE = 0.3  # seconds between two looks at who waits


class StopSignals:
    """One stop signal a session, new for each run."""

    def __init__(self) -> None:
        self._signals: dict[str, threading.Event] = {}

    def renew(self, session: str) -> None:
        """Begin a run: forget an earlier stop."""
        self._signals[session] = threading.Event()

    def of(self, session: str) -> threading.Event:
        """Return the signal of the session's run."""
        return self._signals.setdefault(session, threading.Event())

    def stop(self, session: str) -> None:
        """Stop the session's run at its next block, or before it starts."""
        self.of(session).set()

    def leave(self, session: str) -> None:
        """Stop and forget: the session is over."""
        self._signals.pop(session, threading.Event()).set()


class Line:
    """The sessions that wait for the model, and how many have it.

    It only tells: the order itself is that of Gradio's queue, which every waiting session has entered.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, None] = {}  # in order
        self._busy = 0

    def join(self, session: str) -> None:
        """Wait, behind all others."""
        with self._lock:
            self._waiting.pop(session, None)
            self._waiting[session] = None

    def leave(self, session: str) -> None:
        """Wait no longer."""
        with self._lock:
            self._waiting.pop(session, None)

    @contextmanager
    def turn(self, session: str | None = None) -> Iterator[None]:
        """Have the model; None for a caller who did not wait in this line."""
        with self._lock:
            self._waiting.pop(session, None)
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def before(self, session: str) -> int | None:
        """Return how many come first, those that have the model included; None for a session that does not wait."""
        with self._lock:
            if session not in self._waiting:
                return None
            return self._busy + list(self._waiting).index(session)


class RunControl(Generic[Asked]):
    """The runs of one tab: each session has one at a time, which waits in the line and can be stopped.

    What a run is asked to do is kept from the click on, so that nothing that is changed while it waits gets into it.

    Args:
        line: of all who wait for the model.
        tab: tells a session's runs here from those of its other tabs.
    """

    def __init__(self, line: Line, tab: str) -> None:
        self._line, self._tab = line, tab
        self._signals = StopSignals()
        self._asked: dict[str, Asked] = {}

    def begin(self, session: str, asked: Asked) -> int:
        """Enter the line; returns how many come first."""
        self._signals.renew(session)
        self._asked[session] = asked
        self._line.join(self._place(session))
        return self.before(session) or 0

    def before(self, session: str) -> int | None:
        """Return how many come first; None where the session's run does not wait."""
        return self._line.before(self._place(session))

    async def wait(self, session: str) -> AsyncIterator[int]:
        """Yield how many come first, at the beginning and whenever it changes, until the session's turn comes."""
        told = None
        while (before := self.before(session)) is not None:
            if before != told:
                yield before
            told = before
            await asyncio.sleep(LOOK_AT_LINE)

    @contextmanager
    def turn(self, session: str) -> Iterator[tuple[Asked, threading.Event] | None]:
        """Have the model; hands out what is asked and the run's stop signal, or None where it was called off."""
        if session not in self._asked:
            yield None
            return
        asked = self._asked.pop(session)
        with self._line.turn(self._place(session)):
            yield asked, self._signals.of(session)

    def stop(self, session: str) -> bool:
        """Stop the session's run at its next block; returns whether it waited, and then it is called off altogether."""
        self._signals.stop(session)
        self._line.leave(self._place(session))
        return self._asked.pop(session, None) is not None

    def leave(self, session: str) -> None:
        """Stop and forget: the session is over, or its run never began."""
        self.stop(session)
        self._signals.leave(session)

    def _place(self, session: str) -> str:
        return f"{session} {self._tab}"
