"""What the process of a flow run sees to before it starts, however it was started."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator

from prefect.exceptions import TerminationSignal

from rephrase.engines.vllm_engine import set_environment

SERVED_BY = "PALIMPSEST_SERVED_BY"  # the process id of `palimpsest serve`, in the environment of its runs
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def prepare_process() -> None:
    """Set what vLLM and torch read when they are imported, and end when `palimpsest serve` does."""
    set_environment()
    if (parent := os.environ.get(SERVED_BY)) and sys.platform == "linux" and os.getppid() == int(parent):
        # A `kill -9` leaves `serve` no time to stop its runs; the kernel asks them to stop instead.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def graceful_stop() -> Iterator[None]:
    """SIGTERM cancels the task that is inside, and Prefect's TerminationSignal is raised when all has been closed.

    Prefect's own handler raises it wherever the event loop happens to be: inside a callback asyncio reports it and goes
    on, inside some other task it ends that one, and the run waits for it for ever.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    received = False

    def stop() -> None:
        nonlocal received
        received = True
        task.cancel()

    before = signal.getsignal(signal.SIGTERM)
    try:
        loop.add_signal_handler(signal.SIGTERM, stop)
    except (ValueError, RuntimeError, NotImplementedError):  # not the main thread, or Windows: there Prefect has none
        yield
        return
    try:
        yield
    except asyncio.CancelledError:
        if received:
            task.uncancel()
            raise TerminationSignal(signal.SIGTERM) from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
