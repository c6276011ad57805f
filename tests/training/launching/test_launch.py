from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rephrase.storage.storage import Storage
from training import __main__ as command
from training.launching.launch import Job, layouts
from training.launching.ray_config import RayTrainConfig
from training.loop.run_options import RunOptions


@pytest.fixture
def job(tmp_path: Path) -> Job:
    options = RunOptions(preset="nano", tokenizer="t", n_steps=1, rows_per_step=16, mesh="ep=2,dp=4")
    return Job(shards=["out"], run=tmp_path / "run", options=options)


def test_a_smaller_layout_divides_the_rows_and_keeps_the_experts_together(job: Job) -> None:
    assert layouts(job, None) == {8: job}
    found = layouts(job, 1)
    assert {n: layout.options.mesh for n, layout in found.items()} == {
        8: "ep=2,dp=4",
        4: "pp=1,dp=2,ep=2",
        2: "pp=1,dp=1,ep=2",
    }
    assert {n: layout.options.mesh_sizes.n_processes for n, layout in found.items()} == {8: 8, 4: 4, 2: 2}
    assert sorted(layouts(job, 2)) == [4, 8]
    without_mesh = replace(job, options=replace(job.options, mesh=None))
    assert layouts(without_mesh, 1) == {1: without_mesh}


def test_the_command_passes_the_cluster_on(
    monkeypatch: pytest.MonkeyPatch, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launched: list[tuple[Job, RayTrainConfig | None]] = []

    def note(job: Job, ray: RayTrainConfig | None) -> Any:
        launched.append((job, ray))
        raise ValueError("noted")

    monkeypatch.setattr(command, "launch", note)
    arguments = ["out", "more", "run", "--documents", "corpus", "--tokenizer", str(tokenizer_folder), "--n-steps", "3"]
    assert command.main(arguments) == 2
    assert launched[-1][1] is None
    cluster = "--mesh dp=2 --runner ray --ray-address 10.0.0.1:6379 --ray-gpus 1 --ray-min-dp 1 --ray-max-restarts 7"
    assert command.main([*arguments, *cluster.split()]) == 2
    job, ray = launched[-1]
    assert ray == RayTrainConfig(address="10.0.0.1:6379", gpus_per_process=1, min_dp=1, max_restarts=7)
    assert (list(job.shards), job.run, list(job.documents), job.options.mesh) == (
        ["out", "more"],
        Path("run"),
        ["corpus"],
        "dp=2",
    )
    capsys.readouterr()
    assert command.main([*arguments, "--ray-gpus", "1"]) == 2
    assert capsys.readouterr().err == "error: the options for Ray need --runner ray\n"
    assert command.main([*arguments, "--runner", "ray", "--ray-cpus", "0"]) == 2
    assert capsys.readouterr().err == "error: --ray-cpus is 0.0: Input should be greater than 0\n"
    assert len(launched) == 2


@pytest.mark.slow
def test_what_all_processes_refuse_is_said_once(
    shards: Storage, tokenizer_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = ["--n-steps", "1", "--rows-per-step", "3", "--row-length", "32", "--held-out-share", "0.2", "--mesh", "ep=3"]
    assert command.main([shards.url, str(tmp_path / "run"), "--tokenizer", str(tokenizer_folder), *run]) == 2
    assert capfd.readouterr().err.count("16 experts do not divide evenly among the 3 processes of ep") == 1
