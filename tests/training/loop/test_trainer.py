import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rephrase.storage.storage import Storage
from training.__main__ import main
from training.data.batch import Batch
from training.data.held_out import held_out_rows
from training.data.loader import Loader, LoaderConfig
from training.data.mixture import Mixture, MixtureRule
from training.data.token_store import TokenStore
from training.loop.checkpoint import Checkpoints
from training.loop.loss_guard import TrainingStoppedError
from training.loop.stopping import RunStoppedError
from training.loop.telemetry import SkippedSteps, read_metrics
from training.loop.trainer import Trainer, TrainerConfig
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import QKClip, latent_attention_layers
from training.optimizer.schedule import wsd

REPOSITORY = Path(__file__).parents[3]
CONFIG = TrainerConfig(n_steps=10, micro_batch_rows=2, precision="float32", evaluate_every=5, checkpoint_every=4)


def trainer(
    run: Path, tiny: ModelConfig, store: TokenStore, config: TrainerConfig = CONFIG, mixture: Mixture | None = None
) -> Trainer:
    model = Decoder(tiny).initialise(0)
    clip = QKClip(latent_attention_layers(model), threshold=0.3)
    optimizer = MuonClip(model.named_parameters(), deepseek_rules(tiny), MuonClipConfig(lr=0.01), clip, torch.float32)
    loader_config = LoaderConfig(row_length=32, rows_per_step=4, seed=1, held_out_share=0.2)
    loader = Loader(store, mixture or Mixture(), loader_config)
    held_out = held_out_rows(store, 0.2, 32, max_rows=4)
    return Trainer(run, model, optimizer, wsd(config.n_steps, 2), store, loader, held_out, config)


def losses(run: Path) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in read_metrics(run, "train")}


def test_it_learns_and_writes_metrics(tmp_path: Path, tiny: ModelConfig, store: TokenStore) -> None:
    config = dataclasses.replace(CONFIG, n_steps=30)
    summary = trainer(tmp_path, tiny, store, config).train()
    assert summary.finished
    assert summary.n_tokens == 30 * 4 * 32
    assert losses(tmp_path)[30] < losses(tmp_path)[1] - 1
    assert set(summary.held_out_loss) == {str(stream) for stream in store.streams}
    row = next(read_metrics(tmp_path, "train"))
    assert {"lr", "grad_norm", "tokens_per_s", "mfu", "max_logit", "share_clipped", "expert_load"} < set(row)
    assert len(row["max_logits"]) == tiny.n_layers
    assert any(row["share_clipped"] > 0 for row in read_metrics(tmp_path, "train"))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_trains_too(tmp_path: Path, tiny: ModelConfig, store: TokenStore, precision: Any) -> None:
    config = dataclasses.replace(CONFIG, precision=precision, n_steps=20)
    summary = trainer(tmp_path, tiny, store, config).train()
    assert summary.loss < losses(tmp_path)[1] - 0.5


def test_micro_batches_add_up_to_the_whole_batch(tmp_path: Path, tiny: ModelConfig, store: TokenStore) -> None:
    for size in (1, 4):
        config = dataclasses.replace(CONFIG, micro_batch_rows=size, n_steps=4)
        trainer(tmp_path / str(size), tiny, store, config).train()
    whole, parts = losses(tmp_path / "4"), losses(tmp_path / "1")
    assert [parts[step] for step in whole] == pytest.approx(list(whole.values()), abs=2e-4)


@pytest.mark.parametrize("stopped_at", [4, 8])
def test_a_resumed_run_continues_bit_for_bit(
    tmp_path: Path, tiny: ModelConfig, store: TokenStore, stopped_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    summary = trainer(straight, tiny, store).train()
    first = trainer(broken, tiny, store)
    take_step = first._take_step

    def fail_after(data: Any) -> dict[str, Any]:
        if first.step == stopped_at + 1:
            raise KeyboardInterrupt
        return take_step(data)

    monkeypatch.setattr(first, "_take_step", fail_after)
    with pytest.raises(KeyboardInterrupt):
        first.train()
    torch.rand(7)  # the process that resumes has another random state
    resumed = trainer(broken, tiny, store)
    assert resumed.train() == summary
    assert losses(broken) == losses(straight)
    assert list(read_metrics(broken, "held_out")) == list(read_metrics(straight, "held_out"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_and_the_run_continues_bit_for_bit(
    tmp_path: Path, tiny: ModelConfig, store: TokenStore, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(CONFIG, checkpoint_every=0)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    summary = trainer(straight, tiny, store, config).train()
    first = trainer(stopped, tiny, store, config)
    take_step = first._take_step

    def signalled(data: Any) -> dict[str, Any]:
        if first.step == 2:
            os.kill(os.getpid(), number)  # the step under way is finished
        return take_step(data)

    monkeypatch.setattr(first, "_take_step", signalled)
    with pytest.raises(RunStoppedError, match=f"stopped by {signal.Signals(number).name}; saved at step 3"):
        first.train()
    assert first.checkpoints.steps() == [3]
    assert trainer(stopped, tiny, store, config).train() == summary
    assert losses(stopped) == losses(straight)


def test_checkpoints_by_time(tmp_path: Path, tiny: ModelConfig, store: TokenStore) -> None:
    config = dataclasses.replace(CONFIG, n_steps=3, checkpoint_every=0, checkpoint_minutes=1e-9)
    often = trainer(tmp_path, tiny, store, config)
    often.train()
    assert often.checkpoints.steps() == [1, 2, 3]


def test_a_bad_batch_stops_the_run_before_the_update(
    tmp_path: Path, tiny: ModelConfig, store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = trainer(tmp_path, tiny, store)
    before = [parameter.clone() for parameter in broken.model.parameters()]
    real_loss = broken.model.loss

    def poisoned(*arguments: Any) -> Any:
        loss = real_loss(*arguments)
        return dataclasses.replace(loss, tokens_BS=loss.tokens_BS * torch.nan)

    monkeypatch.setattr(broken.model, "loss", poisoned)
    with pytest.raises(TrainingStoppedError, match=r"step 1: the loss is nan.*p\dd\d+ \(corpus.jsonl"):
        broken.train()
    assert all(torch.equal(a, b) for a, b in zip(before, broken.model.parameters(), strict=True))
    assert broken.checkpoints.steps() == [0]  # nothing of the good steps is lost


def poison(run: Trainer, monkeypatch: pytest.MonkeyPatch, bad: set[int]) -> None:
    """Make the loss infinite for rows that contain these documents."""
    accumulate = run._accumulate

    def poisoned(batch: Batch) -> Any:
        loss, balance, token_losses = accumulate(batch)
        return (math.inf if bad & set(batch.document_BS.unique().tolist()) else loss), balance, token_losses

    monkeypatch.setattr(run, "_accumulate", poisoned)


def test_a_spike_can_be_skipped_and_its_documents_are_listed(
    tmp_path: Path, tiny: ModelConfig, store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(CONFIG, n_steps=8, on_spike="skip")
    clean = trainer(tmp_path / "clean", tiny, store, config)
    steps = iter(clean.loader)
    batches = [next(steps).batch.document_BS.unique().tolist() for _ in range(9)]
    steps.close()  # type: ignore[attr-defined]
    fifth_only = set(batches[4]).difference(*batches[:4], *batches[5:])
    assert fifth_only
    # It stops first; the same command with `skip` goes on from there.
    stopping = trainer(tmp_path / "run", tiny, store, dataclasses.replace(config, on_spike="stop"))
    poison(stopping, monkeypatch, fifth_only)
    with pytest.raises(TrainingStoppedError, match=r"step 5: the loss is inf"):
        stopping.train()
    assert stopping.checkpoints.steps() == [4]
    skipping = trainer(tmp_path / "run", tiny, store, config)
    poison(skipping, monkeypatch, fifth_only)
    summary = skipping.train()
    assert (summary.n_steps, summary.finished, skipping.n_skipped) == (8, True, 1)
    row = json.loads((tmp_path / "run" / "skipped.jsonl").read_text())
    assert row["before_step"] == 5
    assert row["documents"] == [store.document_id(d) for d in batches[4]]
    assert skipping.utility.ledger.tokens_KRT.sum() == 8 * 4 * 32  # the skipped rows are not counted
    assert skipping._state()["n_skipped"] == 1


def test_more_than_one_percent_of_spikes_stops_the_run(
    tmp_path: Path, tiny: ModelConfig, store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = trainer(tmp_path, tiny, store, dataclasses.replace(CONFIG, on_spike="skip"))
    poison(broken, monkeypatch, set(range(1000)))
    with pytest.raises(TrainingStoppedError, match="step 1"):
        broken.train()
    assert len((tmp_path / "skipped.jsonl").read_text().splitlines()) == 1


def test_data_that_runs_out_ends_the_run_with_a_checkpoint(
    tmp_path: Path, tiny: ModelConfig, store: TokenStore
) -> None:
    config = dataclasses.replace(CONFIG, n_steps=10_000, evaluate_every=0, checkpoint_every=0)
    once = trainer(tmp_path, tiny, store, config, Mixture((MixtureRule(weight=1, max_epochs=1),)))
    summary = once.train()
    assert not summary.finished
    assert once.checkpoints.steps() == [summary.n_steps]


def test_ledger_counts_every_token(tmp_path: Path, tiny: ModelConfig, store: TokenStore) -> None:
    run = trainer(tmp_path, tiny, store)
    run.train()
    ledger = run.utility.ledger
    assert ledger.tokens_KRT.sum() == 10 * 4 * 32
    mean = sum(losses(tmp_path).values()) / 10
    assert float(ledger.loss_KRT.sum() / ledger.tokens_KRT.sum()) == pytest.approx(mean, rel=1e-6)


def command(shards: Storage, run: Path, tokenizer: Path) -> list[str]:
    arguments = [str(run), "--tokenizer", str(tokenizer), "--n-steps", "12", "--rows-per-step", "4"]
    arguments += ["--micro-batch-rows", "2", "--row-length", "48", "--precision", "float32", "--lr", "0.01"]
    arguments += ["--held-out-share", "0.2", "--checkpoint-every", "4", "--evaluate-every", "6", "--align-every", "4"]
    return [shards.url, *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the processes that are started: sums of two threads are rounded otherwise."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
def test_kill_9_and_resume_gives_the_same_losses(shards: Storage, tokenizer_folder: Path, tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    # Only the killed run needs a process of its own: starting one takes ten seconds of imports.
    assert main(command(shards, straight, tokenizer_folder)) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "training", *command(shards, killed, tokenizer_folder)], env=environment()
    )
    while process.poll() is None and max(losses(killed), default=0) < 6:
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(command(shards, killed, tokenizer_folder)) == 0
    assert losses(killed) == losses(straight)
    assert (killed / "utility.parquet").read_bytes() == (straight / "utility.parquet").read_bytes()
    assert json.loads((killed / "mixture.json").read_text()) == json.loads((straight / "mixture.json").read_text())


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("starts_them", "mesh"),
    [
        ("the command", ["--mesh", "dp=2"]),
        pytest.param("torchrun", [], marks=pytest.mark.slow),
        pytest.param("the command", ["--mesh", "pp=2"], marks=pytest.mark.slow),
        pytest.param("torchrun", ["--mesh", "pp=2"], marks=pytest.mark.slow),
    ],
)
def test_two_processes_train_like_one(
    shards: Storage,
    tokenizer_folder: Path,
    tmp_path: Path,
    starts_them: str,
    mesh: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    clip = ["--clip-threshold", "0.2", "--n-steps", "6"]
    assert main([*command(shards, alone, tokenizer_folder), *clip]) == 0
    if starts_them == "the command":
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert main([*command(shards, together, tokenizer_folder), *clip, *mesh]) == 0
    else:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training"]
        arguments = [*command(shards, together, tokenizer_folder), *clip, *mesh]
        subprocess.run([sys.executable, *launcher, *arguments], env=environment(), check=True)
    rows = {run: list(read_metrics(run, "train")) for run in (alone, together)}
    assert [row["loss"] for row in rows[together]] == pytest.approx([row["loss"] for row in rows[alone]], abs=2e-3)
    assert rows[together][0]["loss"] == pytest.approx(rows[alone][0]["loss"], abs=1e-6)
    assert [row["share_clipped"] for row in rows[together]] == [row["share_clipped"] for row in rows[alone]]
    assert any(row["share_clipped"] > 0 for row in rows[alone])
    for a, b in zip(rows[alone], rows[together], strict=True):
        torch.testing.assert_close(torch.tensor(a["max_logits"]), torch.tensor(b["max_logits"]), rtol=2e-2, atol=2e-2)


def test_what_does_not_fit_is_said_once_before_processes_start(
    shards: Storage, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(shards, tmp_path / "run", tokenizer_folder)
    assert main([*arguments, "--mesh", "dp=3"]) == 2
    assert capsys.readouterr().err == (
        "error: rows_per_step is 4; it must be a multiple of the 3 processes that divide the rows with the mesh dp=3\n"
    )
    assert main([*arguments, "--mesh", "tp=2"]) == 2
    assert "'tp=2' in the layout 'tp=2' is not one of pp, dp, ep" in capsys.readouterr().err
    assert main([*arguments, "--mesh", "ep=2", "--precision", "float16"]) == 2
    assert "precision is float16 and the mesh ep=2 divides the model" in capsys.readouterr().err
    assert main([*arguments, "--mesh", "pp=2", "--precision", "float16"]) == 2
    assert "precision is float16 and the mesh pp=2 divides the model" in capsys.readouterr().err
    for mesh, micro_batch_rows in (("pp=2", "3"), ("pp=2,dp=2", "2")):
        assert main([*arguments, "--mesh", mesh, "--micro-batch-rows", micro_batch_rows]) == 2
        assert f"of the mesh {mesh} reads must be 2 or more whole micro-batches" in capsys.readouterr().err


@pytest.mark.slow
def test_a_signal_reaches_all_processes(shards: Storage, tokenizer_folder: Path, tmp_path: Path) -> None:
    arguments = [*command(shards, tmp_path, tokenizer_folder), "--n-steps", "200"]
    started = [sys.executable, "-m", "training", *arguments, "--mesh", "ep=2", "--shard", "weights"]
    process = subprocess.Popen(started, env=environment(), stderr=subprocess.PIPE, text=True)
    while process.poll() is None and max(losses(tmp_path), default=0) < 3:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate()
    assert process.returncode == 143, error
    n_steps = max(losses(tmp_path))
    assert f"stopped by SIGTERM; saved at step {n_steps}" in error
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.newest_whole() == n_steps


def test_a_skipped_step_in_float16_is_followed_by_others(
    tmp_path: Path, tiny: ModelConfig, store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipping = trainer(tmp_path, tiny, store, dataclasses.replace(CONFIG, precision="float16", on_spike="skip"))
    losses = iter([math.inf])
    accumulate = skipping._accumulate

    def first_is_infinite(batch: Batch) -> Any:
        loss, *rest = accumulate(batch)
        return next(losses, loss), *rest

    monkeypatch.setattr(skipping, "_accumulate", first_is_infinite)
    assert skipping.train().finished
    assert skipping.n_skipped == 1


def test_a_step_skipped_again_after_a_kill_is_listed_once(tmp_path: Path) -> None:
    skipped = SkippedSteps(tmp_path)
    for number, rank in ((1, 0), (1, 1), (2, 0), (2, 1)):
        skipped.write(number, {"rank": rank})
    skipped.drop_after(1)  # the newest checkpoint was written between the two
    skipped.write(2, {"rank": 0})
    rows = map(json.loads, skipped.path.read_text().splitlines())
    assert [(row["number"], row["rank"]) for row in rows] == [(1, 0), (1, 1), (2, 0)]
