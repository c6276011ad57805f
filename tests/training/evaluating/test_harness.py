"""Benchmarks of lm-evaluation-harness: a task with rows of its own, and what is refused before a model is loaded."""

import json

import pytest

from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
from training.evaluating.harness import evaluate_tasks

TASK = """
task: capitals
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: multiple_choice
doc_to_text: "The capital of {{country}} is"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
ROWS = [
    {"country": "France", "choices": ["Paris", "Oslo", "Lima"], "answer": 0},
    {"country": "Peru", "choices": ["Cairo", "Lima", "Rome"], "answer": 1},
    {"country": "Italy", "choices": ["Bern", "Oslo", "Rome"], "answer": 2},
    {"country": "Norway", "choices": ["Oslo", "Paris", "Cairo"], "answer": 1},  # wrong
]


@pytest.mark.slow
@pytest.mark.model
def test_a_task_with_local_rows_is_scored_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "capitals.yaml").write_text(TASK % (tmp_path / "rows.jsonl"))
    (score,) = evaluate_tasks(resolve_model(PACKAGED_MODEL), ["capitals"], task_folder=str(tmp_path))
    assert (score.task, score.metric, score.value, score.n_questions) == ("capitals", "acc", 0.75, 4)
    assert score.error > 0
    with pytest.raises(ValueError, match="no task 'capitls' in the harness or in"):
        evaluate_tasks(resolve_model(PACKAGED_MODEL), ["capitls"], task_folder=str(tmp_path))


def test_a_training_run_is_to_be_exported_first(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"`palimpsest export .*@4 FOLDER`"):
        evaluate_tasks(f"{tmp_path}@4", ["arc_easy"])
