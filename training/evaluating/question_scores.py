"""The figures on closed-book questions over a run: from its metrics to rows and to `questions.parquet`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rephrase.storage.storage import Storage

NAME = "questions.parquet"
SCORES = ("loss", "exact", "first", "rank")
SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("group", pa.string()),  # "all": over all questions
        ("loss", pa.float64()),  # nats per token of the right answers
        ("exact", pa.float64()),  # share of greedy answers that are the right one
        ("first", pa.float64()),  # share of questions no distractor of which is likelier; null without distractors
        ("rank", pa.float64()),  # mean rank of the right answer, 1 is best; null without distractors
    ]
)


def question_rows(metrics: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row of `SCHEMA` for each evaluation and group, in order.

    Args:
        metrics: the rows of the kind "questions" of a run's `metrics.jsonl`, in which "GROUP SCORE" are the names.
    """
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for row in metrics:
        for name, value in row.items():
            group, _, score = name.rpartition(" ")
            if score in SCORES and group:
                found.setdefault((row["step"], group), dict.fromkeys(SCORES))[score] = value
    return [{"step": step, "group": group, **scores} for (step, group), scores in found.items()]


def write_question_scores(run: Path, metrics: Iterable[Mapping[str, Any]]) -> None:
    """Write `RUN/questions.parquet`, if the run asked questions."""
    if rows := question_rows(metrics):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), sink, compression="zstd")
        Storage(run).write(NAME, bytes(sink.getvalue()))
