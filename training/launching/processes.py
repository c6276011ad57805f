"""Starts the processes of a run on this machine, as `torchrun` does on several."""

import logging
import os
import pickle
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

import torch
from torch.multiprocessing.spawn import start_processes

from training.loop.stopping import StopRequest

T = TypeVar("T")

# How long the others may take to end after one process has ended with an error.
GRACE_S = 30.0
POLL_S = 0.2


class ProcessLostError(RuntimeError):
    """A process of a run ended without an error of its own: it was killed."""


def run_processes(n_processes: int, act: Callable[[StopRequest], T], stop: StopRequest | None = None) -> T:
    """Call `act`, a function that pickles, in processes that find each other; returns what it returns in the first.

    They share the cores, unless OMP_NUM_THREADS says how many threads each has. A request to stop is passed on to them;
    in the main thread, SIGINT and SIGTERM are such requests, as the processes are out of reach of the terminal's own
    Ctrl-C.

    Raises:
        ProcessLostError: a process was killed; the others are then ended.
        Exception: what `act` raised, in the process where it was raised first.
    """
    stop = stop or StopRequest()
    # The server imports torch once for all processes.
    get_context("forkserver").set_forkserver_preload(["training.loop.run"])
    processes: list[BaseProcess] = []
    grace_s = 0.0
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder, stop.on_signals(), _held_port() as port:
        try:
            arguments = (n_processes, port, act, Path(folder))
            started = start_processes(_run, arguments, n_processes, join=False, start_method="forkserver")
            assert started is not None
            processes += started.processes
            failed = _wait(processes, stop)
            grace_s = GRACE_S
        finally:
            _end(processes, grace_s)
        if failed:
            raise _first_error(Path(folder), failed)
        result: T = pickle.loads((Path(folder) / "result").read_bytes())
        return result


@contextmanager
def _held_port() -> Iterator[int]:
    """A port for the first process, which listens there some seconds later: until then it goes to nobody else.

    Bound and not listened to, it is given to no socket that asks for any port, and may be bound by one that reuses
    addresses, as that of torch does.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def _run(rank: int, n_processes: int, port: int, act: Callable[[StopRequest], object], folder: Path) -> None:
    os.setpgrp()
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(n_processes), **address}
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // n_processes))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    stop = StopRequest()
    try:
        with stop.on_signals():
            result = act(stop)
    except Exception as error:
        error.add_note(f"It was raised in process {rank} of {n_processes}:\n{traceback.format_exc()}")
        (folder / f"error-{rank}").write_bytes(_pickled(error))
        sys.exit(1)
    if rank == 0:
        (folder / "result").write_bytes(pickle.dumps(result))


def _pickled(error: Exception) -> bytes:
    """The error, or its text where its class does not survive pickling."""
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return data


def _wait(processes: list[BaseProcess], stop: StopRequest) -> dict[int, int]:
    """Wait until all have ended, or one has failed; returns the exit codes of those that have failed, by rank."""
    told = False
    while running := [process for process in processes if process.is_alive()]:
        if stop.signal and not told:
            for process in running:
                if process.pid is not None:
                    os.kill(process.pid, stop.signal)
            told = True
        connection.wait([process.sentinel for process in running], timeout=POLL_S)
        if failed := {rank: process.exitcode for rank, process in enumerate(processes) if process.exitcode}:
            return failed
    return {rank: process.exitcode for rank, process in enumerate(processes) if process.exitcode}


def _end(processes: list[BaseProcess], grace_s: float) -> None:
    deadline = time.monotonic() + grace_s
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()  # not SIGTERM, which only asks it to stop after its step
            process.join()


def _first_error(folder: Path, failed: dict[int, int]) -> Exception:
    """Why a run has failed: where a process was killed, the errors of the others only follow from it."""
    for rank, code in failed.items():
        if code < 0:
            return ProcessLostError(f"process {rank} of the run was ended by {signal.Signals(-code).name}")
    errors = sorted(folder.glob("error-*"), key=lambda path: path.stat().st_mtime_ns)
    if not errors:
        return ProcessLostError("a process of the run has ended; its output says more")
    error: Exception = pickle.loads(errors[0].read_bytes())
    return error
