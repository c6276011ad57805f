"""Closed-book questions in a file: JSON Lines or Parquet with `question` and `answer`, and optionally more."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

# The name under which results of all questions stand among those of the groups.
TOTAL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and its right answer.

    `distractors` are wrong answers that the right one is ranked among. Questions about one `entity` are not independent
    of each other: intervals are over entities. Results are also given for each `group`.
    """

    question: str
    answer: str
    distractors: tuple[str, ...] = ()
    entity: str
    group: str | None = None


def read_questions(path: str | Path) -> list[Question]:
    """The questions of a file, in its order; one without an entity is an entity of its own.

    Raises:
        ValueError: the file has no questions, or a row lacks a field or has one of another type.
        OSError: the file cannot be read.
    """
    path = Path(path)
    rows = pq.read_table(path).to_pylist() if path.suffix == ".parquet" else _json_lines(path)
    questions = [_question(row, f"{path}, row {number}", number) for number, row in enumerate(rows, start=1)]
    if not questions:
        raise ValueError(f"{path} holds no questions; write one JSON object with `question` and `answer` a line")
    return questions


def _json_lines(path: Path) -> Iterator[Any]:
    # `splitlines` would also cut at separators that JSON allows inside a text.
    for number, line in enumerate(path.read_text("utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number} is not JSON: {error}") from error


def _question(row: Any, where: str, number: int) -> Question:
    if not isinstance(row, Mapping):
        raise ValueError(f"{where} is {row!r}; it must be an object with `question` and `answer`")
    for name in ("question", "answer"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise ValueError(f"{where}: `{name}` is {row.get(name)!r}; it must be a text that is not empty")
    distractors = row.get("distractors") or ()
    if not isinstance(distractors, list | tuple) or not all(isinstance(d, str) and d.strip() for d in distractors):
        raise ValueError(f"{where}: `distractors` is {distractors!r}; it must be a list of texts")
    entity, group = row.get("entity"), row.get("group")
    if group == TOTAL:
        raise ValueError(f"{where}: `group` is {TOTAL!r}, the name of the results over all questions; rename it")
    return Question(
        question=row["question"].strip(),
        answer=row["answer"].strip(),
        distractors=tuple(d.strip() for d in distractors if d.strip() != row["answer"].strip()),
        entity=f"row {number}" if entity is None else str(entity),
        group=None if group is None else str(group),
    )
