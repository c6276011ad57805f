"""Starts a complete run where its options ask for it; called by the command line and the flow."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from training.launching.processes import run_processes
from training.launching.ray_config import RayTrainConfig
from training.loop.run import train
from training.loop.run_options import RunOptions
from training.loop.stopping import StopRequest
from training.loop.trainer import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A complete run: what it reads, its folder, and how it trains."""

    shards: Sequence[str]
    run: Path
    options: RunOptions
    documents: Sequence[str] = ()
    text_field: str = "text"

    def train_here(self, stop: StopRequest | None = None) -> Summary:
        """Train as one process, or as the one of several that the environment describes."""
        return train(self.shards, self.run, self.options, self.documents, self.text_field, stop)


def launch(job: Job, ray: RayTrainConfig | None = None, stop: StopRequest | None = None) -> Summary:
    """Train in as many processes as the mesh has: on a Ray cluster, or on this machine.

    Without a mesh it is this process, which `torchrun` may have started with others. A request to stop, SIGINT and
    SIGTERM reach all of them: they save the last step.

    Raises:
        ValueError, OSError, TrainingStoppedError, RunStoppedError: as `train`, in whichever process it was.
        ProcessLostError: a process was killed, and not all have been started again.
        OutputInUseError: another run trains in its folder.
    """
    if ray is not None:
        try:
            from training.launching.ray_processes import run_on_ray
        except ImportError as error:
            raise ValueError(f"Ray Train is not installed ({error}): pip install -e '.[ray]'") from error
        return run_on_ray({n: layout.train_here for n, layout in layouts(job, ray.min_dp).items()}, ray, job.run, stop)
    n_processes = job.options.mesh_sizes.n_processes
    if n_processes > 1 and "WORLD_SIZE" not in os.environ:
        return run_processes(n_processes, job.train_here, stop)
    return job.train_here(stop)


def layouts(job: Job, min_dp: int | None) -> dict[int, Job]:
    """The job by the number of its processes: as it is, and with every smaller dp that fits the rows of a step.

    Args:
        min_dp: the smallest one; None: only as it is.
    """
    options, sizes = job.options, job.options.mesh_sizes
    found = {sizes.n_processes: job}
    for dp in range(sizes.dp - 1, (min_dp or sizes.dp) - 1, -1):
        smaller = replace(sizes, dp=dp)
        with suppress(ValueError):
            found[smaller.n_processes] = replace(job, options=replace(options, mesh=str(smaller)))
    return found
