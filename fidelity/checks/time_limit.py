"""A bound on what the checks of one text may cost, for what nobody foresaw.

Every check takes time in proportion to its text, and tests try it with hostile ones. If one is slow nevertheless, it
is to be a rejected chunk, and not a stopped run. A regular expression holds the interpreter until it ends, so that no
other thread could end it; but it lets signals in. So texts are read in the main thread, and not in that of the models.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

# Of a chunk or of its rewrite; ten times the largest that a recipe asks for.
MAX_CHARACTERS = 200_000
LIMIT_S = 30.0


class TooSlowError(RuntimeError):
    """The work was interrupted at its limit."""


class _TimeIsUp(BaseException):
    """What the signal raises: no Exception, since a library may catch all of those and go on."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt what runs in this context after so many seconds, if it runs in the main thread, which gets signals.

    Raises:
        TooSlowError: the time is up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    is_up = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal is_up
        is_up = True
        raise _TimeIsUp

    # Another timer, such as one of a test, rests meanwhile and then goes on where it was.
    left_before, interval_before = signal.setitimer(signal.ITIMER_REAL, 0)
    began = time.monotonic()
    handler_before = signal.signal(signal.SIGALRM, stop)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            # Within the outer `try`, as the time may be up just now.
            signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as error:
        # A library may have raised another error because of the interruption.
        if is_up and isinstance(error, Exception | _TimeIsUp):
            raise TooSlowError(f"interrupted after {seconds:g} s") from error
        raise
    finally:
        signal.signal(signal.SIGALRM, handler_before)
        left = max(1e-3, left_before - (time.monotonic() - began)) if left_before else 0.0
        signal.setitimer(signal.ITIMER_REAL, left, interval_before)
