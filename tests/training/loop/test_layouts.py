"""However processes divide the work, a run gives what it gives in one process."""

import dataclasses
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from layouts import Job, digest, parts, pinned_routing, saved, start, train_here, train_together

from rephrase.storage.storage import Storage
from training.export import export_run
from training.loop.run_options import RunOptions
from training.loop.telemetry import read_metrics
from training.model.config import ModelConfig
from training.model.gate import Gate

N_STEPS = 4
# Sums in another order differ in the last of float32's 24 bits: over the steps of a run the weights drift this far.
LOSS_BOUND = 2e-6
WEIGHT_BOUND = 2e-5
EXPERTS = "layers.1.mlp.experts.gate_up_proj"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the processes that are started: sums of two threads are rounded otherwise."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def tiny(tiny: ModelConfig) -> ModelConfig:
    """A layer more: each of two stages has a mixture."""
    return tiny.replace(n_layers=3)


@pytest.fixture
def options(tokenizer_folder: Path) -> RunOptions:
    return RunOptions(
        preset="tiny",
        tokenizer=str(tokenizer_folder),
        n_steps=N_STEPS,
        rows_per_step=4,
        micro_batch_rows=1,
        row_length=48,
        precision="float32",
        lr=0.01,
        n_warmup=1,
        clip_threshold=0.2,
        held_out_share=0.2,
        checkpoint_every=2,
        align_every=2,
    )


def assert_same_run(run: Path, alone: Path) -> None:
    rows, expected = (list(read_metrics(folder, "train")) for folder in (run, alone))
    assert [row["step"] for row in rows] == [row["step"] for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], abs=LOSS_BOUND)
        assert row["balance"] == pytest.approx(other["balance"], abs=LOSS_BOUND)
        assert row["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-5)
        assert row["expert_load"] == other["expert_load"]
        assert row["share_clipped"] == other["share_clipped"]
    assert any(row["share_clipped"] > 0 for row in rows)
    held_out, held_out_alone = (list(read_metrics(folder, "held_out")) for folder in (run, alone))
    for row, other in zip(held_out, held_out_alone, strict=True):
        assert row == pytest.approx(other, abs=LOSS_BOUND)
    tensors, tensors_alone = saved(run, N_STEPS), saved(alone, N_STEPS)
    assert tensors.keys() == tensors_alone.keys()
    for name, tensor in tensors.items():
        # The clip's decisions, the sum of the experts' loads and what was read are the same to the bit.
        if "n_clipped" in name or "e_score" in name or name in ("utility.tokens", "utility.scored"):
            assert torch.equal(tensor, tensors_alone[name]), name
        elif not name.startswith("random"):
            bound = 1e-4 if name.startswith("utility") else WEIGHT_BOUND
            torch.testing.assert_close(tensor, tensors_alone[name], rtol=1e-4, atol=bound)


def go_on_from(run: Path, job: Job) -> None:
    """Let the job begin where the run was at the checkpoint before its last."""
    shutil.copytree(run, job.run)
    shutil.rmtree(job.run / "checkpoints" / f"step-{N_STEPS:08d}")


def layout(folder: Path, options: RunOptions, mesh: str, shard: str) -> Job:
    changed = dataclasses.replace(options, mesh=mesh, shard=shard)  # type: ignore[arg-type]
    return Job(folder / f"{mesh} {shard}", changed)


@pytest.mark.usefixtures("one_thread")
def test_two_processes_give_what_one_gives(
    shards: Storage, options: RunOptions, tiny: ModelConfig, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    train_here(shards.url, Job(alone, options), tiny)
    # What one process has begun two go on with, from the middle: of the last checkpoint one file is damaged, which only
    # one of them reads before both choose the one before.
    resharded = layout(tmp_path, options, "ep=2", "weights")
    shutil.copytree(alone, resharded.run)
    with (resharded.run / "checkpoints" / f"step-{N_STEPS:08d}" / "__0_0.distcp").open("r+b") as file:
        file.write(b"damaged")
    copies, rows, experts, stages = (
        layout(tmp_path, options, mesh, shard)
        for mesh, shard in (("dp=2", "none"), ("dp=2", "weights"), ("ep=2", "none"), ("pp=2", "none"))
    )
    # Two stages go on with what one process has begun, and one process with what two stages have.
    staged, whole_again = layout(tmp_path, options, "pp=2", "optimizer"), Job(tmp_path / "whole again", options)
    go_on_from(alone, staged)
    train_together(2, shards.url, [copies, rows, experts, stages, resharded, staged], tiny)
    go_on_from(stages.run, whole_again)
    train_here(shards.url, whole_again, tiny)
    for job in (copies, rows, experts, stages, resharded, staged, whole_again):
        assert_same_run(job.run, alone)
    # Copies do not drift, and what is divided is not held twice.
    assert parts(copies.run, 0) == parts(copies.run, 1)
    assert (
        parts(experts.run, 0)["parts"]["embed_tokens.weight"] == parts(experts.run, 1)["parts"]["embed_tokens.weight"]
    )
    assert not parts(stages.run, 0)["parts"].keys() & parts(stages.run, 1)["parts"].keys()
    for job in (experts, resharded):
        whole = saved(job.run, N_STEPS)[f"model.{EXPERTS}"]
        assert [parts(job.run, rank)["parts"][EXPERTS] for rank in (0, 1)] == [
            [3 * rank, 3, digest(whole[3 * rank : 3 * rank + 3])] for rank in (0, 1)
        ]
    state = [parts(job.run, 0)["state_bytes"] for job in (copies, rows)]
    assert state[1] == pytest.approx(state[0] / 2, rel=0.02)


def test_rounding_may_send_a_token_to_another_expert_unless_routing_is_pinned(tiny: ModelConfig) -> None:
    gate = Gate(tiny)
    scores = torch.tensor([[0.5, 0.5 + 1e-7, 0.1, 0.1, 0.1, 0.9]])
    rounded = torch.tensor([[0.5 + 1e-7, 0.5, 0.1, 0.1, 0.1, 0.9]])
    assert gate.select(scores).tolist() != gate.select(rounded).tolist()
    assert pinned_routing(gate, scores).tolist() == pinned_routing(gate, rounded).tolist()


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("mesh", "shard"),
    [
        ("dp=2", "optimizer"),
        ("ep=2", "optimizer"),
        ("ep=2", "weights"),
        ("dp=4", "weights"),
        ("dp=2,ep=2", "none"),
        ("dp=2,ep=2", "optimizer"),
        ("dp=2,ep=2", "weights"),
        ("dp=4,ep=2", "weights"),
        ("pp=2,dp=2", "none"),
        ("pp=2,dp=2", "weights"),
        ("pp=2,ep=2", "optimizer"),
        ("pp=3", "none"),
    ],
)
def test_other_layouts(
    shards: Storage, options: RunOptions, tiny: ModelConfig, tmp_path: Path, mesh: str, shard: str
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "w1 w2", "answer": "w3", "distractors": ["w7"]}\n')
    options = dataclasses.replace(options, rows_per_step=8, evaluate_questions=str(questions))
    train_here(shards.url, Job(tmp_path / "alone", options), tiny)
    job = layout(tmp_path, options, mesh, shard)
    train_together(job.options.mesh_sizes.n_processes, shards.url, [job], tiny)
    assert_same_run(job.run, tmp_path / "alone")
    answers, expected = (next(read_metrics(run, "questions")) for run in (job.run, tmp_path / "alone"))
    assert answers == pytest.approx(expected, abs=1e-4)
    if shard != "none":
        n = job.options.mesh_sizes.n_processes
        whole, divided = (
            parts(tmp_path / "alone", 0)["state_bytes"],
            [parts(job.run, r)["state_bytes"] for r in range(n)],
        )
        assert sum(divided) == pytest.approx(whole, rel=0.05)  # each has its own count of steps
        assert max(divided) < 1.5 * whole / n  # six experts do not divide evenly among four


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("start_at", "mesh", "shard"),
    [
        ("a run", "ep=2", "weights"),
        ("a Hugging Face model", "ep=2", "weights"),
        ("a Hugging Face model", "pp=2", "none"),
    ],
)
def test_beginning_elsewhere(
    shards: Storage, options: RunOptions, tiny: ModelConfig, tmp_path: Path, start_at: str, mesh: str, shard: str
) -> None:
    first = tmp_path / "first"
    train_here(shards.url, Job(first, options), tiny)
    export_run(first, tmp_path / "exported", torch.float32)
    start_at = f"{first}@2" if start_at == "a run" else str(tmp_path / "exported")
    options = dataclasses.replace(options, start=start_at, lr=0.02)
    train_here(shards.url, Job(tmp_path / "alone", options), tiny)
    job = layout(tmp_path, options, mesh, shard)
    train_together(2, shards.url, [job], tiny)
    assert_same_run(job.run, tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("dp=2", "weights"), ("dp=2", "weights")),
        (("dp=2", "optimizer"), ("dp=1", "none")),
        (("dp=1", "none"), ("dp=2", "weights")),
        (("ep=2", "weights"), ("dp=1", "none")),
        (("dp=2", "none"), ("ep=2", "weights")),
        (("pp=2", "none"), ("pp=2", "none")),
        (("pp=2", "none"), ("dp=1", "none")),
        (("dp=2", "weights"), ("pp=2", "none")),
    ],
)
def test_killed_in_one_layout_a_run_goes_on_in_another(
    shards: Storage,
    options: RunOptions,
    tiny: ModelConfig,
    tmp_path: Path,
    first: tuple[str, str],
    then: tuple[str, str],
) -> None:
    """Ten kills of a process at random moments, the layouts taking turns; the other process then fails as well."""
    options = dataclasses.replace(options, n_steps=60, checkpoint_every=1, evaluate_every=0)
    train_here(shards.url, Job(tmp_path / "alone", options), tiny)
    seed = int(os.environ.get("SEED", time.time_ns() % 1000))
    rng, run = random.Random(seed), tmp_path / "run"
    for number in range(11):
        mesh, shard = (first, then)[number % 2]
        job = Job(run, dataclasses.replace(options, mesh=mesh, shard=shard))  # type: ignore[arg-type]
        before = last_step(run)
        processes = start(job.options.mesh_sizes.n_processes, shards.url, [job], tiny)
        while number < 10 and processes[0].is_alive() and last_step(run) < before + 3:
            time.sleep(0.005)
        if number < 10:
            time.sleep(rng.random() * 0.1)
            victim = rng.choice(processes)
            assert victim.is_alive(), f"seed {seed}: it ended with {victim.exitcode} at step {last_step(run)}"
            victim.kill()
        for process in processes:
            process.join()
        assert [process.exitcode == 0 for process in processes] == [number == 10] * len(processes), f"seed {seed}"
    losses, expected = ([row["loss"] for row in read_metrics(folder, "train")] for folder in (run, tmp_path / "alone"))
    assert losses == pytest.approx(expected, abs=1e-3), f"seed {seed}"


def last_step(run: Path) -> int:
    return max((row["step"] for row in read_metrics(run, "train")), default=0)
