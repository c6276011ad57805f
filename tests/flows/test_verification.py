"""Verdicts on files of pairs: every row keeps its place, whatever it holds."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scripted import BagOfWords, lenient

import flows.verification
from fidelity.verify import SCORE_NAMES
from flows.config import VerifyConfig
from flows.verification import verify_pairs

SOURCE = "The treaty was signed in Paris in 1783. It ended a long and bitter war."
ROWS = [
    {"id": 1, "article": SOURCE, "summary": SOURCE, "tags": ["a", "b"], "score": 1},
    {"id": 2, "article": SOURCE, "summary": "The treaty was signed in Rome in 1784.", "tags": None, "score": 0.5},
    {"id": 3, "article": SOURCE, "summary": None},
    {"id": 4, "article": SOURCE, "summary": "  "},
    {"id": 5, "article": SOURCE, "summary": 7},
]


@pytest.fixture(autouse=True)
def _scripted(monkeypatch):
    monkeypatch.setattr(flows.verification, "open_encoder", lambda model: BagOfWords())
    monkeypatch.setattr(flows.verification, "load_calibration", lenient)


def config(source, out, **changes):
    fields = {"source_field": "article", "rewrite_field": "summary", "batch_rows": 2}
    return VerifyConfig(source=str(source), output=str(out), **(fields | changes))


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_rows_come_out_in_order_with_their_columns_and_verdicts(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS[:2]) + "{broken\n[1]\n" + lines(ROWS[2:]))
    heard = []
    found = verify_pairs(
        config(tmp_path / "pairs.jsonl", tmp_path / "new" / "scored.parquet"), lambda *counts: heard.append(counts)
    )
    table = pq.read_table(tmp_path / "new" / "scored.parquet")
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [1, 2, None, None, 3, 4, 5]
    assert rows[0]["tags"] == '["a", "b"]'
    assert [row["score"] for row in rows[:2]] == [1.0, 0.5]
    assert [row["reason"] for row in rows] == [
        *(None, None, "invalid_row", "invalid_row", "missing_rewrite", "empty_rewrite"),
        "missing_rewrite" if rows[6]["summary"] is None else "rewrite_not_text",
    ]
    assert [row["accepted"] for row in rows] == [True, True, *[False] * 5]
    assert all((row["probability"] is None) == (index > 1) for index, row in enumerate(rows))
    assert {f"score_{name}" for name in SCORE_NAMES} <= set(table.column_names)
    assert rows[0]["score_support_min"] > 0.9 > rows[1]["score_support_min"]
    assert rows[0]["score_entailment_min"] is None
    assert (found.n_pairs, found.n_accepted, found.n_unreadable) == (7, 2, 5)
    assert heard[-1] == (7, 7)


def test_what_is_wrong_is_shown_where_it_stands(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS[1:2]))
    verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "s.parquet"))
    (row,) = pq.read_table(tmp_path / "s.parquet").to_pylist()
    places = {row["summary"][d["rewrite_start"] : d["rewrite_end"]] for d in row["discrepancies"] if d["rewrite_end"]}
    assert any("1784" in place for place in places)


def test_parquet_keeps_its_types_and_compressed_lines_are_read(tmp_path):
    table = pa.table({"article": [SOURCE], "summary": [SOURCE], "when": pa.array([5], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "pairs.parquet")
    verify_pairs(config(tmp_path / "pairs.parquet", tmp_path / "s.parquet"))
    assert pq.read_schema(tmp_path / "s.parquet").field("when").type == pa.timestamp("us")
    (tmp_path / "pairs.jsonl.gz").write_bytes(gzip.compress(lines(ROWS[:1]).encode()))
    assert verify_pairs(config(tmp_path / "pairs.jsonl.gz", tmp_path / "t.parquet")).n_pairs == 1


def test_a_failure_leaves_no_half_file(tmp_path, monkeypatch):
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS))

    def stopped(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "s.parquet"), stopped)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_what_cannot_work_is_said(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS))
    with pytest.raises(ValueError, match=r"no field 'text'.*article"):
        verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "s.parquet", source_field="text"))
    with pytest.raises(FileNotFoundError, match=r"plan\.json"):
        verify_pairs(config(tmp_path, None, is_run=True))
