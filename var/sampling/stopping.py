"""How a generation is stopped from outside while it computes."""

from typing import Protocol


class StopSignal(Protocol):
    """Anything that says whether to stop, such as a `threading.Event`."""

    def is_set(self) -> bool: ...


class Stopped(Exception):  # noqa: N818 - it tells of a wish, not of an error
    """Raised inside of a generation that is told to stop; callers of the pipeline never see it."""


def raise_if_set(stop: StopSignal | None) -> None:
    """Raise Stopped once the signal is set."""
    if stop is not None and stop.is_set():
        raise Stopped
