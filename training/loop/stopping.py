"""Stopping a run early without losing a step: on SIGINT, on SIGTERM, or when whoever holds the request asks for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class RunStoppedError(RuntimeError):
    """The run was asked to stop: its last step is saved, and the same call resumes it."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(number, step)  # with these it pickles: it may come from another process
        self.signal, self.step = number, step

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.signal).name}; saved at step {self.step}"


class StopRequest:
    """Asked of a run from a signal handler or another thread; `signal` is the signal's number, 0 until then."""

    def __init__(self) -> None:
        self.signal = 0

    def set(self, number: int = signal.SIGTERM) -> None:
        self.signal = self.signal or number

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM set the request; a second SIGINT interrupts at once, and nothing is saved.

        Only the main thread can handle signals: in any other, this changes nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: FrameType | None) -> None:
            if number == self.signal == signal.SIGINT:
                signal.default_int_handler(number, frame)
            self.set(number)

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
