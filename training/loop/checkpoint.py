"""Atomic checkpoints, written while training continues.

    RUN/checkpoints/step-00000200/    torch.distributed.checkpoint files: weights, optimizer, gates, random states
    RUN/checkpoints/step-00000200/state.json    what is not a tensor: loader, guard, step

`save` copies the state to the CPU and returns; a thread writes it under a temporary name, flushes it and renames it. In
a data-parallel run all ranks hold the same state and rank 0 writes it. State is saved by parameter name through
`torch.distributed.checkpoint`, so that all ranks could write sharded state with the same calls.
"""

import json
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

from rephrase.storage.storage import Storage, flush_folder

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
        """The steps of the finished checkpoints, oldest first."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("step-*"))

    def save(self, step: int, tensors: Tensors, state: dict[str, Any]) -> None:
        """Start writing a checkpoint; first waits for the previous one, and raises its error if it failed."""
        self.wait()
        copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        self._writing = self._writer.submit(self._write, step, copies, json.dumps(state))

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk; raises its error if it failed."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def close(self) -> None:
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def load(self, step: int, tensors: Tensors) -> dict[str, Any]:
        """Fill `tensors` in place from a finished checkpoint; returns the other state.

        Raises:
            ValueError: the checkpoint lacks one of these tensors, or its shape differs.
        """
        folder = self._path(step)
        saved = dcp.FileSystemReader(folder).read_metadata().state_dict_metadata
        for name, tensor in tensors.items():
            size = getattr(saved.get(name), "size", None)
            if size != tensor.shape:
                found = "nothing" if size is None else f"shape {tuple(size)}"
                raise ValueError(
                    f"{folder} holds {found} for {name}, here of shape {tuple(tensor.shape)}: it is for another model"
                )
        with _quiet():
            dcp.load(dict(tensors), checkpoint_id=folder, no_dist=True)
        return dict(json.loads((folder / "state.json").read_text()))

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _write(self, step: int, tensors: Tensors, state: str) -> None:
        target = self._path(step)
        if target.exists():
            return  # repeating the step gives the same state
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        with _quiet():
            dcp.save(dict(tensors), storage_writer=dcp.FileSystemWriter(temporary, sync_files=True), no_dist=True)
        Storage(temporary).write("state.json", state.encode())
        temporary.rename(target)
        flush_folder(self.folder)
        for old in self.steps()[: -self._n_kept]:
            shutil.rmtree(self._path(old))


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
