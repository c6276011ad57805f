"""Set up the process of a flow run, however it was started."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator

import psutil
from prefect.exceptions import TerminationSignal

from rephrase.engines.vllm_engine import set_environment

SERVED_BY = "PALIMPSEST_SERVED_BY"  # the process id of `palimpsest serve`, in the environment of its runs
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def prepare_process() -> None:
    """Set the variables that vLLM and torch read on import, and end together with `palimpsest serve`."""
    set_environment()
    parent = int(os.environ.get(SERVED_BY, "0"))
    if not parent or sys.platform != "linux":
        return
    if os.getppid() == parent:
        # After a `kill -9`, `serve` cannot stop its runs; the kernel sends them SIGTERM instead.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if not psutil.pid_exists(parent):
        # It was killed before the kernel was told. Nobody waits for this run, and its server has gone.
        os._exit(128 + signal.SIGTERM)


@contextlib.contextmanager
def graceful_stop() -> Iterator[None]:
    """Let SIGTERM cancel the current task, and raise Prefect's TerminationSignal once everything is closed.

    Prefect's own handler raises it wherever the event loop happens to be: in a callback, asyncio logs it and continues;
    in another task, it ends that task, and the run waits forever.
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
    except (
        ValueError,
        RuntimeError,
        NotImplementedError,
    ):  # not the main thread, or Windows, where Prefect has no handler
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
