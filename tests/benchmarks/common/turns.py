"""Run commands in turns, so that changes in the machine's speed affect all of them equally.

The speed of a shared machine changes by a quarter from one minute to the next, so sequential runs cannot be compared.
Here one command runs for TURN_S while the others are stopped (SIGSTOP, with all their child processes), and so on until
all have ended. The `clock` of a stopped command pauses. When this process is told to end, it kills all commands and
their children.
"""

import ctypes
import math
import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import psutil

TURN_S = 4.0
_STOPPED_S = "BENCH_STOPPED_S"  # path of the file with the seconds for which a command was stopped
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class _Clock:
    def __init__(self) -> None:
        self._stopped: mmap.mmap | None = None
        if path := os.environ.get(_STOPPED_S):
            with Path(path).open("r+b") as file:
                self._stopped = mmap.mmap(file.fileno(), 8)

    def __call__(self) -> float:
        """Seconds during which this process was not stopped."""
        stopped_s: float = struct.unpack("d", self._stopped[:])[0] if self._stopped else 0.0
        return time.perf_counter() - stopped_s


clock = _Clock()


def end_with_parent() -> None:
    """For `preexec_fn`: the kernel kills this process when its parent ends, even by `kill -9`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Command:
    def __init__(self, command: Sequence[str], file: Path) -> None:
        file.write_bytes(struct.pack("d", 0.0))
        with file.open("r+b") as opened:
            self._stopped = mmap.mmap(opened.fileno(), 8)
        self._stopped_s = 0.0
        self._stopped_at = time.perf_counter()
        self.process = subprocess.Popen(command, env={**os.environ, _STOPPED_S: str(file)}, preexec_fn=end_with_parent)
        self.stop()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        self._stopped_at = time.perf_counter()
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._stopped_s += time.perf_counter() - self._stopped_at
        self._stopped[:] = struct.pack("d", self._stopped_s)
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: int) -> None:
        """Signal the process first, before it can start others, and then its children."""
        if self.ended:
            return
        process = psutil.Process(self.process.pid)
        known = process.children(recursive=True)  # a process that was killed has none any more
        process.send_signal(number)
        for child in {*known, *process.children(recursive=True)}:
            try:
                child.send_signal(number)
            except psutil.NoSuchProcess:
                continue


def take_turns(commands: Sequence[Sequence[str]], *, minutes: float = math.inf) -> None:
    """
    Raises:
        SystemExit: one of them failed, the time is over, or this process was told to end; all are killed.
    """
    ends_at = time.monotonic() + 60 * minutes
    before = signal.signal(signal.SIGTERM, _exit)
    with tempfile.TemporaryDirectory() as folder:
        running: list[_Command] = []
        try:
            for number, arguments in enumerate(commands):
                running.append(_Command(arguments, Path(folder) / str(number)))
            while running:
                for command in tuple(running):
                    if time.monotonic() > ends_at:
                        raise SystemExit(
                            f"not done after {minutes:g} minutes: the machine is too busy, or ask for less"
                        )
                    command.resume()
                    try:
                        command.process.wait(TURN_S)
                    except subprocess.TimeoutExpired:
                        command.stop()
                        continue
                    running.remove(command)
                    if command.process.returncode:
                        raise SystemExit(f"{command.process.args} failed with {command.process.returncode}")
        finally:
            for command in running:
                command.kill()
            signal.signal(signal.SIGTERM, before)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
