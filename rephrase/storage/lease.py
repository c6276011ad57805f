"""Who may write to a folder of an object store, which has no locks: a lease kept alive by a heartbeat.

    OUT/lease/000003.json    the holder; its content changes with every heartbeat

The holder of the highest number holds the folder. A run takes a number by creating its object, which must not exist.
Where the filesystem does that atomically, as s3fs (`If-None-Match`) and gcsfs do, one of two competing runs gets the
folder; elsewhere both may start, and one learns at its next heartbeat that it lost. A run that finds a lease watches
it: if there is a heartbeat, the folder is in use; after a lease duration without one, the holder is gone and the run
takes the next number. Clocks of different machines are never compared. If the holder was a process of this machine
that no longer exists, there is no wait.

A holder that was silent too long (a stopped process, a lost network) checks before its next write whether another run
has taken the next number, and if so stops with an error. A short window remains between check and write: a write sent
before the takeover may arrive after it. It goes to the same names and carries the same documents.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from rephrase.storage.storage import Storage

FOLDER = "lease"
LEASE_S = 60.0
BEATS_PER_LEASE = 6


class OutputInUseError(RuntimeError):
    """Another process is writing to this folder."""


class Lease:
    """The right to write to `storage`, from `acquire` to `release`."""

    def __init__(self, storage: Storage, lease_s: float | None = None) -> None:
        self._storage = storage
        self._lease_s = lease_s or float(os.environ.get("PALIMPSEST_LEASE_S", LEASE_S))
        self._holder = uuid4().hex
        self._number = self._n_beats = 0
        self._beaten_s = 0.0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def acquire(self, on_wait: Callable[[str], None] = lambda message: None) -> None:
        """
        Raises:
            OutputInUseError: another run holds it.
        """
        newest = self._newest()
        if newest:
            self._wait_until_silent(newest, on_wait)
        self._number = newest + 1
        # If it exists, another run was faster, or our first attempt succeeded and its reply was lost: the check tells.
        with contextlib.suppress(FileExistsError):
            self._storage.create(self._name(self._number), self._content())
        self._beaten_s = time.monotonic()
        self._check_held()
        for number in self._numbers():
            if number < self._number:
                self._storage.remove(self._name(number))
        self._thread.start()

    def require(self) -> None:
        """
        Raises:
            OutputInUseError: another run has taken the lease.
        """
        if time.monotonic() - self._beaten_s > self._lease_s:
            self._beat()

    def release(self) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(Exception):  # it expires by itself
            if self._read(self._number).get("holder") == self._holder:
                self._storage.remove(self._name(self._number))

    def _keep(self) -> None:
        while not self._ended.wait(self._lease_s / BEATS_PER_LEASE):
            try:
                self._beat()
            except OutputInUseError:
                self._beaten_s = float("-inf")  # the next write checks again and raises
                return
            except Exception:  # the store does not answer: the next heartbeat retries
                continue

    def _beat(self) -> None:
        with self._lock:
            self._check_held()
            self._n_beats += 1
            began_s = time.monotonic()
            self._storage.fs.pipe_file(self._storage.path(self._name(self._number)), self._content())
            self._beaten_s = began_s

    def _check_held(self) -> None:
        """Check that the highest number is ours."""
        newest = self._newest()
        holder = self._read(newest).get("holder") if newest else None
        if newest != self._number or holder != self._holder:
            raise OutputInUseError(
                f"another run has taken over {self._storage.url}: {self._describe_holder(newest)}; this one stops. "
                "Finished work is kept"
            )

    def _wait_until_silent(self, number: int, on_wait: Callable[[str], None]) -> None:
        first = self._read(number)
        if first.get("machine") == _machine() and not _is_running(first.get("pid", 0)):
            return
        on_wait(
            f"waiting up to {self._lease_s:g} s to see whether the run that held {self._storage.url} "
            f"({self._describe_holder(number)}) is still there"
        )
        silent_since_s = time.monotonic()
        while time.monotonic() - silent_since_s < self._lease_s:
            time.sleep(self._lease_s / BEATS_PER_LEASE / 2)
            if self._newest() != number:
                number, first = self._newest(), self._read(self._newest())
                if not number:
                    return  # it ended meanwhile
                break
            if self._read(number) != first:
                break
        else:
            return
        raise OutputInUseError(
            f"another run is writing to {self._storage.url}: {self._describe_holder(number)}; wait for it, stop "
            "it, or choose another output folder"
        )

    def _describe_holder(self, number: int) -> str:
        lease = self._read(number) if number else {}
        return f"process {lease.get('pid', '?')} on {lease.get('host', '?')}"

    def _content(self) -> bytes:
        return json.dumps(
            {
                "holder": self._holder,
                "n_beats": self._n_beats,
                "host": os.uname().nodename,
                "machine": _machine(),
                "pid": os.getpid(),
                "written_at": time.time(),
            }
        ).encode()

    def _read(self, number: int) -> dict[str, Any]:
        try:
            return dict(self._storage.read_json(self._name(number)))
        except (FileNotFoundError, ValueError):
            return {}

    def _numbers(self) -> list[int]:
        names = [name.removesuffix(".json") for name in self._storage.names(FOLDER, ".json")]
        return sorted(int(name) for name in names if name.isdigit())

    def _newest(self) -> int:
        return max(self._numbers(), default=0)

    @staticmethod
    def _name(number: int) -> str:
        return f"{FOLDER}/{number:06d}.json"


def _machine() -> str:
    """An id shared by the processes that can see whether each other is running."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{os.uname().nodename}/{boot}/{Path('/proc/self/ns/pid').readlink()}"
    return uuid4().hex  # unknown: equal to no other


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
