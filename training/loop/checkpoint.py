"""Atomic checkpoints, written while training continues.

    RUN/checkpoints/step-00000200/    torch.distributed.checkpoint files: weights, optimizer, gates, random states
    RUN/checkpoints/step-00000200/state.json    what is not a tensor: loader, guard, step
    RUN/checkpoints/step-00000200/checksums.json    of the other files

`save` copies the state to the CPU and returns; a thread writes it under a temporary name, flushes it and renames it. In
a data-parallel run all ranks hold the same state and rank 0 writes it. State is saved by parameter name through
`torch.distributed.checkpoint`, so that all ranks could write sharded state with the same calls.
"""

import errno
import json
import logging
import re
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint import CheckpointException

from rephrase.storage.storage import Storage, flush_folder
from training.loop.checkpoint_files import CHECKSUMS, STATE, BrokenCheckpointError, checksums, verify
from training.loop.checkpoint_metadata import SafeReader

log = logging.getLogger("training")

Tensors = dict[str, Tensor]


class Checkpoints:
    """The checkpoints of a run, of which the newest `n_kept` are kept."""

    def __init__(self, folder: str | Path, n_kept: int = 3) -> None:
        if n_kept < 1:
            raise ValueError(f"n_kept is {n_kept}; at least one checkpoint must be kept")
        self.folder, self._n_kept = Path(folder), n_kept
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def steps(self) -> list[int]:
        """The steps of the finished checkpoints, oldest first; folders with other names are somebody else's."""
        found = (re.fullmatch(r"step-(\d{8,})", path.name) for path in self.folder.glob("step-*") if path.is_dir())
        return sorted(int(match[1]) for match in found if match)

    def save(self, step: int, tensors: Tensors, state: dict[str, Any]) -> None:
        """Start writing a checkpoint; first waits for the previous one, and raises its error if it failed."""
        self.wait()
        copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        self._writing = self._writer.submit(self._write, step, copies, json.dumps({**state, "has_checksums": True}))

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk; raises its error if it failed."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def close(self) -> None:
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def require_space(self, tensors: Tensors) -> None:
        """
        Raises:
            OSError: a checkpoint of these tensors does not fit on the disk.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < _n_bytes(tensors):
            raise self._disk_full(tensors)

    def newest_whole(self) -> int | None:
        """The step of the newest checkpoint whose files are all as they were written."""
        return next((step for step in reversed(self.steps()) if _is_whole(self._path(step))), None)

    def load_newest(self, tensors: Tensors) -> dict[str, Any] | None:
        """Fill `tensors` in place from the newest whole checkpoint and return the other state; None if there is none.

        Broken checkpoints are skipped with a warning.

        Raises:
            ValueError: every checkpoint is broken, or the newest whole one is for another model.
        """
        problems = []
        for step in reversed(self.steps()):
            try:
                state = self.load(step, tensors)
            except BrokenCheckpointError as error:
                problems.append(str(error))
                continue
            for problem in problems:
                log.warning("%s; going on from step %d instead", problem, step)
            return state
        if problems:
            raise ValueError(f"{'; '.join(problems)}: remove {self.folder} to begin again, or restore a checkpoint")
        return None

    def state(self, step: int) -> dict[str, Any]:
        """What is not a tensor in a checkpoint."""
        return dict(json.loads((self._path(step) / STATE).read_text()))

    def load(self, step: int, tensors: Tensors) -> dict[str, Any]:
        """Fill `tensors` in place from a finished checkpoint; returns the other state.

        Raises:
            BrokenCheckpointError: a file of the checkpoint is missing or damaged.
            ValueError: the checkpoint lacks one of these tensors, or its shape differs.
        """
        folder = self._path(step)
        try:
            verify(folder)
            saved = SafeReader(folder).read_metadata().state_dict_metadata
        except ValueError as error:
            raise BrokenCheckpointError(f"the checkpoint {folder} is broken: {error}") from error
        for name, tensor in tensors.items():
            size = getattr(saved.get(name), "size", None)
            if size != tensor.shape:
                found = "nothing" if size is None else f"shape {tuple(size)}"
                raise ValueError(
                    f"{folder} holds {found} for {name}, here of shape {tuple(tensor.shape)}: it is for another model"
                )
        try:
            with _quiet():
                dcp.load(dict(tensors), storage_reader=SafeReader(folder), no_dist=True)
            return dict(json.loads((folder / STATE).read_text()))
        except (CheckpointException, ValueError) as error:  # possible without checksums
            raise BrokenCheckpointError(f"the checkpoint {folder} is broken: its tensors cannot be read") from error

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _write(self, step: int, tensors: Tensors, state: str) -> None:
        target = self._path(step)
        if _is_whole(target):
            return  # repeating the step gives the same state
        self.require_space(tensors)
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            with _quiet():
                dcp.save(dict(tensors), storage_writer=dcp.FileSystemWriter(temporary, sync_files=True), no_dist=True)
            Storage(temporary).write(STATE, state.encode())
            Storage(temporary).write(CHECKSUMS, checksums(temporary))
        except (OSError, CheckpointException) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            cause = _os_error(error)
            if cause is not None and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._disk_full(tensors) from error
            raise cause or RuntimeError(f"no checkpoint could be written: {error}") from error
        shutil.rmtree(target, ignore_errors=True)  # a broken one
        temporary.rename(target)
        flush_folder(self.folder)
        for old in self.steps()[: -self._n_kept]:
            shutil.rmtree(self._path(old))

    def _disk_full(self, tensors: Tensors) -> OSError:
        needed, free = _n_bytes(tensors) / 1e6, shutil.disk_usage(self.folder).free / 1e6
        return OSError(
            f"no checkpoint could be written: the disk of {self.folder} is full ({free:,.1f} MB free, {needed:,.1f} MB "
            "needed); earlier checkpoints are kept: free some space and run the same command again"
        )


def _is_whole(folder: Path) -> bool:
    try:
        verify(folder)
    except BrokenCheckpointError:
        return False
    return True


def _os_error(error: BaseException | None) -> OSError | None:
    """What the operating system said: torch wraps it, and reports a full disk as "unexpected pos 704 vs 598"."""
    if error is None or isinstance(error, OSError):
        return error
    inner = [failure for failure, _ in error.failures.values()] if isinstance(error, CheckpointException) else []
    return next(filter(None, map(_os_error, [*inner, error.__cause__ or error.__context__])), None)


def _n_bytes(tensors: Tensors) -> int:
    """What a checkpoint takes on disk: its tensors, and about a kilobyte for the description of each."""
    return sum(tensor.nbytes + 1024 for tensor in tensors.values())


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the warning that a single process writes, which is intended here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def random_state() -> Tensors:
    """The state of torch's generators, as tensors."""
    states = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: Tensors) -> None:
    torch.set_rng_state(states["random.cpu"])
    if "random.cuda" in states:
        torch.cuda.set_rng_state(states["random.cuda"])
