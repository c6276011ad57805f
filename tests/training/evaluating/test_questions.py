import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.evaluating.questions import Question, read_questions

ROWS = [
    {"question": "Where?", "answer": " Oslo ", "distractors": ["Rome", "Oslo"], "entity": 4, "group": "city"},
    {"question": "When?", "answer": "1905"},
]


def test_both_formats_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "q.parquet")
    expected = [
        Question(question="Where?", answer="Oslo", distractors=("Rome",), entity="4", group="city"),
        Question(question="When?", answer="1905", entity="row 2"),
    ]
    assert read_questions(tmp_path / "q.jsonl") == expected
    assert read_questions(tmp_path / "q.parquet") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no questions"),
        ('{"question": "Where?"}', "row 1: `answer` is None"),
        ('{"question": "Where?", "answer": "Oslo", "distractors": "Rome"}', "must be a list of texts"),
        ('{"question": "Where?", "answer": "Oslo", "group": "all"}', "row 1: `group` is 'all'.* rename it"),
        ("[1]", "must be an object"),
        ("{", "line 1 is not JSON"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_questions(path)


def test_a_text_may_hold_any_character_and_a_file_blank_lines(tmp_path: Path) -> None:
    lines = [json.dumps({"question": f"a{c}b?", "answer": "c"}, ensure_ascii=False) for c in "\u2028\x85"]
    (tmp_path / "q.jsonl").write_text("\ufeff" + "\n\n".join(lines) + "\n")
    assert [q.question for q in read_questions(tmp_path / "q.jsonl")] == ["a\u2028b?", "a\x85b?"]
