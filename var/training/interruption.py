"""Ctrl+C and SIGTERM during a stage: noted, so that it ends between two steps, with its state saved."""

import os
import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Notes, while it is entered, that the user or the system asks the process to end; the second Ctrl+C ends it.

    Args:
        notice: said at the first signal; empty for nothing.
        patient: whether every signal is only noted; of several processes each may get the same one twice.
    """

    def __init__(self, notice: str, patient: bool):
        self.notice, self.patient = notice, patient
        self.number: int | None = None
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._earlier = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def is_set(self) -> bool:
        """Whether a signal came."""
        return self.number is not None

    def exit_code(self) -> int:
        """What a process returns that this signal ended."""
        return 128 + (self.number or signal.SIGINT)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.is_set() and not self.patient:
            raise KeyboardInterrupt
        if self.notice and not self.is_set():
            os.write(2, f"\n{self.notice}\n".encode())  # print may be busy with another line at this very moment
        self.number = number
