from pathlib import Path

import pyarrow.parquet as pq

from training.evaluating.question_scores import SCHEMA, write_question_scores

METRICS = [
    {"step": 10, "kind": "questions", "the town loss": 3.0, "the town exact": 0.1, "all loss": 2.5, "all exact": 0.2},
    {"step": 20, "kind": "questions", "the town loss": 1.0, "the town exact": 0.4, "all loss": 1.5, "all exact": 0.3},
]


def test_the_figures_of_every_evaluation_are_in_a_file(tmp_path: Path) -> None:
    write_question_scores(tmp_path, METRICS)
    table = pq.read_table(tmp_path / "questions.parquet")
    assert table.schema.equals(SCHEMA)
    rows = {(row["step"], row["group"]): row for row in table.to_pylist()}
    assert set(rows) == {(10, "the town"), (10, "all"), (20, "the town"), (20, "all")}
    assert (rows[20, "the town"]["loss"], rows[20, "the town"]["exact"], rows[20, "the town"]["rank"]) == (1, 0.4, None)


def test_a_run_without_questions_has_none(tmp_path: Path) -> None:
    write_question_scores(tmp_path, [])
    assert list(tmp_path.iterdir()) == []
