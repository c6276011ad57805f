"""Starts the processes of a run on one machine, as `torchrun` does on several."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from types import FrameType
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, start_processes

# How long the others may take to end after one process has ended with an error.
GRACE_S = 30.0


def run_processes(n_processes: int, act: Callable[[], int]) -> int:
    """Call `act`, a function that pickles, in processes that find each other; returns the first exit status but 0.

    They share the cores, unless OMP_NUM_THREADS says how many threads each has. SIGINT and SIGTERM are passed on to
    them, as they are out of reach of the terminal's own Ctrl-C.
    """
    # The server imports torch once for all processes.
    get_context("forkserver").set_forkserver_preload(["training.loop.run"])
    with _free_port() as port, _signals_passed_on() as to:
        arguments = (n_processes, port, act)
        processes = start_processes(_run, arguments, n_processes, join=False, start_method="forkserver")
        assert processes is not None
        to(processes)
        try:
            while not processes.join(grace_period=GRACE_S):
                pass
        except ProcessExitedException as error:
            return error.exit_code if error.exit_code > 0 else 128 - error.exit_code
    return 0


def _run(rank: int, n_processes: int, port: int, act: Callable[[], int]) -> None:
    os.setpgrp()
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(n_processes), **address}
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // n_processes))
    sys.exit(act())


@contextmanager
def _signals_passed_on() -> Iterator[Callable[[ProcessContext], None]]:
    """Yields what is to be called with the processes; signals that come before are passed on then."""
    started: list[Any] = []
    early: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if not started:
            early.append(number)
        for process in started:
            if process.is_alive():
                os.kill(process.pid, number)

    def to(processes: ProcessContext) -> None:
        started.extend(processes.processes)
        for number in early:
            pass_on(number, None)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield to
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _free_port() -> Iterator[int]:
    """A port for the first process, which listens there some seconds later: until then it goes to nobody else.

    Bound and not listened to, it is given to no socket that asks for any port, and may be bound by one that reuses
    addresses, as that of torch does.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
