"""Who may compute: the sessions that wait for the model, in order, and how each is stopped."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


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


class RunControl:
    """The runs of one tab: each session has one at a time, which waits in the line and can be stopped.

    Args:
        line: of all who wait for the model.
        tab: tells a session's runs here from those of its other tabs.
    """

    def __init__(self, line: Line, tab: str) -> None:
        self._line, self._tab = line, tab
        self._signals = StopSignals()

    def begin(self, session: str) -> int:
        """Enter the line; returns how many come first."""
        self._signals.renew(session)
        self._line.join(self._place(session))
        return self.before(session) or 0

    def before(self, session: str) -> int | None:
        """Return how many come first; None where the session's run does not wait."""
        return self._line.before(self._place(session))

    @contextmanager
    def turn(self, session: str) -> Iterator[threading.Event]:
        """Have the model; hands out the run's stop signal."""
        with self._line.turn(self._place(session)):
            yield self._signals.of(session)

    def stop(self, session: str) -> None:
        """Stop the session's run at its next block, or before it starts."""
        self._signals.stop(session)

    def leave(self, session: str) -> None:
        """Stop and forget: the session is over."""
        self._signals.leave(session)
        self._line.leave(self._place(session))

    def _place(self, session: str) -> str:
        return f"{session} {self._tab}"
