"""Atomic checkpoints, written while training continues.

    RUN/checkpoints/step-00000200/    torch.distributed.checkpoint files: weights, optimizer, gates, random states
    RUN/checkpoints/step-00000200/state.json    what is not a tensor: loader, guard, step
    RUN/checkpoints/step-00000200/checksums.json    of the other files

`save` copies the state to the CPU and returns; a thread writes it under a temporary name, flushes it and renames it.
State is saved by name through `torch.distributed.checkpoint`: of a tensor that is divided among the ranks of a run each
writes its own part, with the checksums of its files, and rank 0 renames the folder when all have. A checkpoint can be
read by any number of ranks, however they divide the tensors.
"""

import errno
import json
import logging
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint import CheckpointException

from rephrase.storage.storage import Storage, flush_folder
from training.loop.checkpoint_files import (
    CHECKSUMS,
    METADATA,
    STATE,
    BrokenCheckpointError,
    Checksums,
    checksums,
    verify,
)
from training.loop.checkpoint_metadata import SafeReader
from training.parallel import Ranks

log = logging.getLogger("training")

Tensors = dict[str, Tensor]
T = TypeVar("T")


class Checkpoints:
    """The checkpoints of a run, of which the newest `n_kept` are kept. All `ranks` call the same methods."""

    def __init__(self, folder: str | Path, n_kept: int = 3, ranks: Ranks | None = None) -> None:
        if n_kept < 1:
            raise ValueError(f"n_kept is {n_kept}; at least one checkpoint must be kept")
        self.folder, self._n_kept, self._ranks = Path(folder), n_kept, ranks or Ranks()
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
        n_bytes = self._n_bytes(tensors)
        self._ranks.on_writer(lambda: self._require_space(n_bytes))

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
            BrokenCheckpointError: a file of the checkpoint is missing or damaged, as seen by any rank.
            ValueError: the checkpoint lacks one of these tensors, or its shape differs.
        """
        self._raise_together(lambda: self._check(step, tensors))
        folder = self._path(step)

        def read() -> dict[str, Any]:
            try:
                with _quiet():
                    dcp.load(dict(tensors), storage_reader=SafeReader(folder), no_dist=True)
                return self.state(step)
            except (CheckpointException, ValueError) as error:  # possible without checksums
                raise BrokenCheckpointError(f"the checkpoint {folder} is broken: its tensors cannot be read") from error

        return self._raise_together(read)

    def _check(self, step: int, tensors: Tensors) -> None:
        folder = self._path(step)
        try:
            verify(folder, self._ranks.rank, self._ranks.world_size)
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

    def _raise_together(self, act: Callable[[], T]) -> T:
        """What `act` returns; an error on any rank is raised on all, so that they choose the same checkpoint."""
        result, problem = None, None
        try:
            result = act()
        except Exception as error:
            problem = error
        for one in self._ranks.gather(problem):
            if one is not None:
                raise one
        return cast(T, result)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _write(self, step: int, tensors: Tensors, state: str) -> None:
        target, n_bytes = self._path(step), self._n_bytes(tensors)
        temporary = target.with_name(f".{target.name}.tmp")
        if not self._ranks.on_writer(lambda: self._begin(target, temporary, n_bytes)):
            return  # repeating the step gives the same state
        try:
            with _quiet():
                writer = dcp.FileSystemWriter(temporary, sync_files=True)
                dcp.save(
                    dict(tensors),
                    storage_writer=writer,
                    process_group=self._ranks.files,
                    no_dist=self._ranks.world_size == 1,
                )
            parts = self._ranks.gather(checksums(path for path in temporary.iterdir() if self._is_own(path)))
            self._ranks.on_writer(lambda: self._finish(step, temporary, state, parts))
        except (OSError, CheckpointException) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            cause = _os_error(error)
            if cause is not None and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._disk_full(n_bytes) from error
            raise cause or RuntimeError(f"no checkpoint could be written: {error}") from error

    def _begin(self, target: Path, temporary: Path, n_bytes: int) -> bool:
        """Make the folder to write to; False if the checkpoint is there already."""
        if _is_whole(target):
            return False
        self._require_space(n_bytes)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        return True

    def _finish(self, step: int, temporary: Path, state: str, parts: list[Checksums]) -> None:
        """Add the state and the checksums of all ranks, give the folder its name, and remove what is too old."""
        target = self._path(step)
        Storage(temporary).write(STATE, state.encode())
        rest = checksums(temporary / name for name in (METADATA, STATE))
        merged = {name: checksum for part in [*parts, rest] for name, checksum in part.items()}
        Storage(temporary).write(CHECKSUMS, json.dumps(merged).encode())
        shutil.rmtree(target, ignore_errors=True)  # a broken one
        temporary.rename(target)
        flush_folder(self.folder)
        # Those of later steps are broken, as the run did not go on from them: they must not push out whole ones.
        for old in [kept for kept in self.steps() if kept <= step][: -self._n_kept]:
            shutil.rmtree(self._path(old))

    def _is_own(self, path: Path) -> bool:
        """Whether this rank wrote the file: torch names it `__RANK_NUMBER.distcp`."""
        return path.name.startswith(f"__{self._ranks.rank}_")

    def _n_bytes(self, tensors: Tensors) -> int:
        """What a checkpoint takes on disk: all ranks' whole tensors, and about a kilobyte to describe each."""
        own = {name: tensor.numel() * tensor.itemsize + 1024 for name, tensor in tensors.items()}
        return sum({name: size for sizes in self._ranks.gather(own) for name, size in sizes.items()}.values())

    def _require_space(self, n_bytes: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < n_bytes:
            raise self._disk_full(n_bytes)

    def _disk_full(self, n_bytes: int) -> OSError:
        needed, free = n_bytes / 1e6, shutil.disk_usage(self.folder).free / 1e6
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
