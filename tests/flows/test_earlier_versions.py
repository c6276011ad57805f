"""Runs written by version 0.1.0 can still be read and judged anew, and its training runs resumed.

`tests/fixtures/v0.1.0` contains a killed run (two parts committed, one with a journal, one not started) and a training
run on its shards that was stopped after the checkpoint of step 4. Scripted models wrote both.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from chaos import Command
from scripted import BagOfWords, SilentReader, lenient

from fidelity.checker import Checker, FidelityConfig
from flows.report.writing import write_report
from flows.results.summary import summarize
from flows.verification.refilter import refilter
from rephrase.dataset.audit import audit
from rephrase.dataset.shards import read_rejects, read_rewrites
from rephrase.prompting.recipes import load_recipes
from rephrase.storage.storage import Storage
from training.export import load_model
from training.loop.run import train
from training.loop.run_options import RunOptions
from training.loop.telemetry import read_metrics
from training.model.config import ModelConfig
from training.model.presets import PRESETS

FIXTURE = Path(__file__).parents[1] / "fixtures" / "v0.1.0"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working copy: the plan identifies its input by path and modification time."""
    folder = tmp_path / "v0.1.0"
    shutil.copytree(FIXTURE, folder)
    os.utime(folder / "corpus.jsonl", (1_700_000_000, 1_700_000_000))
    plan = json.loads((folder / "run" / "plan.json").read_text())
    plan["inputs"][0]["path"] = str(folder / "corpus.jsonl")
    (folder / "run" / "plan.json").write_text(json.dumps(plan))
    monkeypatch.chdir(folder)
    return folder


def test_a_killed_run_is_read_checked_and_reported(old: Path) -> None:
    storage = Storage("run")
    assert audit(storage).problems == []
    summary = summarize(storage)
    assert (summary.n_read, summary.n_to_do, summary.n_parts, summary.n_parts_committed) == (14, 7, 4, 2)
    texts = [row["text"] for table in read_rewrites(storage) for row in table.to_pylist()]
    assert len(texts) == summary.n_rewrites == 5
    assert all(texts)
    assert {row["reason"] for table in read_rejects(storage) for row in table.to_pylist()} == {
        "duplicate_id",
        "empty_text",
    }
    assert write_report("run", None, n_sample=10, seed=0, links=False, encoder=None, notify=lambda _: None).n_rows


@pytest.mark.usefixtures("commands")
def test_a_killed_run_of_another_verdict_is_refused_with_what_to_do(old: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (old / "run").rglob("*") if path.is_file()}
    (old / "weights.json").unlink()  # fitted to scores that are no longer computed
    command = Command(
        *("rephrase", "corpus.jsonl", "run", "--model", "model", "--recipes", "plain.toml", "--recipe", "plain"),
        *("--part-bytes", 4500, "--json"),
        folder=tmp_path,
        working_directory=old,
    )
    code, _, error = command.wait()
    assert code == 1
    assert "belongs to another run: its weights of the verdict were" in error
    assert "palimpsest refilter OUT NEW" in error
    assert "Traceback" not in error
    assert before == {path: path.read_bytes() for path in before if path.exists()}


def test_its_rewrites_are_judged_anew(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "flows.verification.refilter.open_checker",
        lambda config: Checker(BagOfWords(), config, calibration=lenient(), open_reader=SilentReader),
    )
    new = Storage(tmp_path / "new")
    recipes = load_recipes([old / "plain.toml"])
    found = refilter(Storage("run"), new, recipes, FidelityConfig(min_similarity=-1))
    assert found.n_accepted_before > 0
    assert found.n_rewrites > 0
    assert audit(new).problems == []
    assert {row["reason"] for table in read_rejects(new) for row in table.to_pylist()} >= {"duplicate_id", "empty_text"}


def test_a_stopped_training_run_resumes(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(vocab_size: int = 0) -> ModelConfig:
        return ModelConfig(
            vocab_size=vocab_size,
            hidden_size=16,
            n_layers=2,
            n_dense_layers=1,
            n_heads=2,
            q_rank=8,
            kv_rank=8,
            nope_head_dim=8,
            rope_head_dim=4,
            v_head_dim=8,
            dense_ffn_size=24,
            expert_ffn_size=8,
            n_experts=4,
            n_active_experts=2,
            context_length=32,
        )

    monkeypatch.setitem(PRESETS, "tiny", tiny)
    options = RunOptions.from_json(json.loads(Path("training/run.json").read_text()))
    before = [row["loss"] for row in read_metrics(Path("training"), "train")][:4]
    summary = train("run", "training", options)
    assert summary.finished
    rows = list(read_metrics(Path("training"), "train"))
    assert [row["step"] for row in rows] == [*range(1, 9)]
    assert [row["loss"] for row in rows][:4] == before
    model, _ = load_model("training")
    assert model.config.hidden_size == 16
