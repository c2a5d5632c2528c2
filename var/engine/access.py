"""Who has the models: one at a time, and whoever uses them in spare time gives way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Access:
    """Lets one thread at a time have the models.

    It is the stop signal of whoever has them in spare time: set while somebody waits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._spare = False

    @property
    def is_taken(self) -> bool:
        """Whether somebody has the models who does not give way."""
        return self._lock.locked() and not self._spare

    def is_set(self) -> bool:
        """Whether anybody waits."""
        return self._waiting > 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the models, and have them."""
        self._count(1)
        try:
            self._lock.acquire()
        finally:
            self._count(-1)
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def spare_time(self) -> Iterator[bool]:
        """Have the models if nobody has them; hands out whether it is so. To end soon once this is set is up to you."""
        if not self._lock.acquire(blocking=False):
            yield False
            return
        self._spare = True
        try:
            yield True
        finally:
            self._spare = False
            self._lock.release()

    def _count(self, change: int) -> None:
        with self._counting:
            self._waiting += change
