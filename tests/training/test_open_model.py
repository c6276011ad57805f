import dataclasses
import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from flows.cli.app import app
from rephrase.storage.storage import Storage
from training.evaluating.answering import evaluate, summarise
from training.evaluating.questions import Question, read_questions
from training.export import export_run
from training.loop.run import train
from training.loop.run_options import RunOptions
from training.loop.telemetry import read_metrics
from training.model.config import ModelConfig
from training.model.presets import PRESETS
from training.open_model import open_model

QUESTIONS = [
    Question(
        question=f"w{i} w{i + 1}", answer=f"w{i + 2} w{i + 3}", distractors=("w50 w9",), entity=str(i // 2), group=g
    )
    for i, g in enumerate(["even", "odd"] * 3)
]


@pytest.fixture
def run(
    shards: Storage, tokenizer_folder: Path, tiny: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setitem(PRESETS, "tiny", lambda vocab_size=61: tiny.replace(vocab_size=vocab_size))
    options = RunOptions(
        preset="tiny", tokenizer=str(tokenizer_folder), n_steps=2, rows_per_step=2, micro_batch_rows=2, row_length=32,
        n_warmup=1, held_out_share=0.2, checkpoint_every=1, align_every=0, precision="float32",
    )  # fmt: skip
    train(shards.url, tmp_path / "run", options)
    return tmp_path / "run"


def test_a_run_and_its_export_give_the_same_answers(run: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "exported", torch.float32)
    ours, exported = (
        evaluate(open_model(str(name), "cpu"), QUESTIONS, batch_size=4, template="{question}")
        for name in (run, tmp_path / "exported")
    )
    for one, other in zip(ours, exported, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-4)
        assert (one.generated, one.rank, one.n_tokens) == (other.generated, other.rank, 2)
    summary = summarise(ours)
    assert list(summary) == ["even", "odd", "all"]
    assert (summary["all"]["n_questions"], summary["all"]["n_entities"]) == (6, 3)
    earlier = evaluate(open_model(f"{run}@1", "cpu"), QUESTIONS, template="{question}")
    assert earlier[0].loss != ours[0].loss
    with pytest.raises(ValueError, match="no checkpoint of step 9; it has 1, 2"):
        open_model(f"{run}@9", "cpu")


def test_any_checkpoint_is_exported_and_never_into_a_run(run: Path, tmp_path: Path) -> None:
    export_run(f"{run}@1", tmp_path / "exported", torch.float32)
    earlier, exported = (
        evaluate(open_model(str(name), "cpu"), QUESTIONS[:1], template="{question}")[0]
        for name in (f"{run}@1", tmp_path / "exported")
    )
    assert earlier.loss == pytest.approx(exported.loss, rel=1e-4)
    config = (run / "config.json").read_text()
    with pytest.raises(ValueError, match=r"is a training run, whose config\.json would be lost"):
        export_run(run, run)
    assert (run / "config.json").read_text() == config
    with pytest.raises(ValueError, match=r"is no training run: it has no run\.json"):
        export_run(tmp_path / "exported", tmp_path / "again")


def test_questions_are_asked_during_training(run: Path, shards: Storage, tmp_path: Path) -> None:
    """The figures of the last evaluation are those of the finished model; asking changes nothing of the run."""
    rows = ({"question": q.question, "answer": q.answer, "group": q.group} for q in QUESTIONS)
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = RunOptions.from_json(json.loads((run / "run.json").read_text()))
    asking = dataclasses.replace(options, evaluate_questions=str(tmp_path / "q.jsonl"), evaluate_every=1)
    assert train(shards.url, tmp_path / "asking", asking).loss == train(shards.url, run, options).loss
    first, last = read_metrics(tmp_path / "asking", "questions")
    expected = summarise(evaluate(open_model(str(run), "cpu"), read_questions(tmp_path / "q.jsonl")))
    assert last["odd loss"] == pytest.approx(expected["odd"]["loss"]["mean"], rel=1e-5)
    assert first["all loss"] != last["all loss"]


def test_the_command(run: Path, tmp_path: Path) -> None:
    rows = ({"question": q.question, "answer": q.answer, "entity": q.entity, "group": q.group} for q in QUESTIONS)
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = ["evaluate", str(run), "--questions", str(tmp_path / "q.jsonl"), "--template", "{question}"]
    shown = CliRunner().invoke(app, [*arguments, "--answers", str(tmp_path / "a.jsonl")])
    assert shown.exit_code == 0, shown.output
    assert "odd" in shown.output
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 6
    summary = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert summary["all"]["loss"]["low"] < summary["all"]["loss"]["mean"] < summary["all"]["loss"]["high"]
    missing = CliRunner().invoke(app, ["evaluate", str(tmp_path), "--questions", str(tmp_path / "q.jsonl")])
    assert missing.exit_code == 1
    assert "neither a training run" in missing.output
