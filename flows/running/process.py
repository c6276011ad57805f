"""Set up the process of a flow run, however it was started."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator

import psutil
from prefect import get_run_logger
from prefect.exceptions import TerminationSignal
from rich.console import Console

from flows.results.terminal import make_logs_visible
from flows.running.outages import wait_for_outages
from flows.running.run_setup import current_progress
from rephrase.engines.vllm_engine import set_environment

SERVED_BY = "PALIMPSEST_SERVED_BY"  # the process id of `palimpsest serve`, in the environment of its runs
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def prepare_process() -> None:
    """Set the variables that vLLM and torch read on import, wait for servers, and end together with `palimpsest serve`.

    A run whose worker was killed goes on, since its server is still there: it only loses its terminal.
    """
    set_environment()
    make_logs_visible()
    _end_with_serve()
    wait_for_outages(_teller())
    Console.on_broken_pipe = _discard_output  # type: ignore[method-assign, assignment]


def _end_with_serve() -> None:
    parent = int(os.environ.get(SERVED_BY, "0"))
    if not parent or sys.platform != "linux":
        return
    if os.getppid() == parent:
        # After a `kill -9`, `serve` cannot stop its runs; the kernel sends them SIGTERM instead.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if not psutil.pid_exists(parent):
        # It was killed before the kernel was told. Nobody waits for this run, and its server has gone.
        os._exit(128 + signal.SIGTERM)


def _teller() -> Callable[[str], None]:
    """Shows a line where the user of this run looks: in its log, or on the command line."""
    log, progress = get_run_logger(), current_progress.get()

    def tell(message: str) -> None:
        log.warning(message)
        if progress:
            progress.notices.append(message)

    return tell


def _discard_output(console: Console) -> None:
    """Instead of rich's own, which ends the process at the first log line that nobody reads."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


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
