"""A run on a Ray cluster of two nodes on this machine: a process is killed, it is stopped, and a node is lost."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from rephrase.storage.storage import Storage
from training.data.mixture import Mixture
from training.launching.launch import Job, launch
from training.launching.ray_config import RayTrainConfig
from training.loop.checkpoint import Checkpoints
from training.loop.run_options import RunOptions
from training.loop.stopping import RunStoppedError, StopRequest
from training.loop.telemetry import read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

REPOSITORY = Path(__file__).parents[3]
N_STEPS = 60


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    for name, value in {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, value)
    node = {"num_cpus": 1, "object_store_memory": 1 << 27}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.second = cluster.add_node(**node)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@pytest.fixture
def options(tokenizer_folder: Path) -> RunOptions:
    return RunOptions(
        preset="nano", tokenizer=str(tokenizer_folder), n_steps=N_STEPS, rows_per_step=4, micro_batch_rows=2,
        row_length=48, precision="float32", held_out_share=0.2, checkpoint_every=4, align_every=0, mesh="dp=2",
        mixture=Mixture(),
    )  # fmt: skip


def losses(run: Path) -> list[float]:
    """The loss of every step from the first on."""
    found = {row["step"]: row["loss"] for row in read_metrics(run, "train")}
    return [found[step] for step in sorted(found)]


def after_steps(run: Path, n_steps: int, act: Callable[[], object]) -> threading.Thread:
    def watch() -> None:
        while len(losses(run)) < n_steps:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def workers() -> list[psutil.Process]:
    found = (process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"])
    return [process for process in found if process.info["cmdline"][0].startswith("ray::RayTrainWorker")]


def test_a_run_survives_the_loss_of_a_process_and_of_a_node(
    shards: Storage, options: RunOptions, cluster: Any, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    alone = Job(shards=[shards.url], run=tmp_path / "alone", options=options)
    launch(alone)
    job = Job(shards=[shards.url], run=tmp_path / "run", options=options)
    stop = StopRequest()
    n_started: list[int] = []

    def kill_one() -> None:
        n_started.append(len(workers()))
        workers()[1].send_signal(signal.SIGKILL)
        # It has to go back to the last checkpoint first, and is then stopped.
        after_steps(job.run, N_STEPS // 2, stop.set)

    after_steps(job.run, 6, kill_one)
    with pytest.raises(RunStoppedError, match="stopped by SIGTERM; saved at step"):
        launch(job, RayTrainConfig(address=cluster.address), stop)
    assert n_started == [2]
    n_done = len(losses(job.run))
    assert N_STEPS // 2 <= n_done < N_STEPS
    assert Checkpoints(job.run / "checkpoints").newest_whole() == n_done
    assert losses(job.run) == losses(alone.run)[:n_done]

    # In place of a machine that is lost no other one comes: the rest goes on alone.
    after_steps(job.run, n_done + 2, lambda: cluster.remove_node(cluster.second, allow_graceful=False))
    summary = launch(job, RayTrainConfig(address=cluster.address, min_dp=1))
    assert (summary.n_steps, summary.finished) == (N_STEPS, True)
    assert losses(job.run)[: n_done + 2] == losses(alone.run)[: n_done + 2]
    assert losses(job.run) == pytest.approx(losses(alone.run), abs=0.02)
    assert not (job.run / "ray").exists()


def test_what_would_go_wrong_again_is_not_repeated(
    shards: Storage, options: RunOptions, cluster: Any, tmp_path: Path
) -> None:
    job = Job(shards=[str(tmp_path / "nothing")], run=tmp_path / "run", options=options)
    with pytest.raises(ValueError, match="there are no documents to train on"):
        launch(job, RayTrainConfig(address=cluster.address))
