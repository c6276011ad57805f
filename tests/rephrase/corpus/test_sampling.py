"""Estimates from a sample are close to the true values of the corpus, in every format."""

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rephrase.corpus import sampling as corpus_sample
from rephrase.corpus.inputs import list_inputs
from rephrase.corpus.reading import ReadOptions
from rephrase.corpus.sampling import sample_corpus
from rephrase.records import UnreadableRecord

N = 4000


@pytest.fixture(scope="module")
def records():
    """Alternating runs of 500 long and 500 short ones, so that the beginning alone is not representative."""
    generator = random.Random(0)
    return [
        {"text": " ".join(f"{generator.random():.6f}" for _ in range(100 if i // 500 % 2 else 12))} for i in range(N)
    ]


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet", "txt"])
def test_the_numbers_of_records_and_characters_are_close(records, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(corpus_sample, "WHOLE_BYTES", 10_000)
    n_files = 2
    for number in range(n_files):
        mine = records[number::n_files]
        path = tmp_path / f"{number}.{kind}"
        lines = "".join(json.dumps(record) + "\n" for record in mine).encode()
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(mine), path, row_group_size=200)
        elif kind == "txt":
            for i, record in enumerate(mine):
                (tmp_path / f"{number}-{i}.txt").write_text(record["text"])
        else:
            path.write_bytes(gzip.compress(lines) if kind.endswith("gz") else lines)
    files, _ = list_inputs(str(tmp_path))
    sample = sample_corpus(files, ReadOptions())
    assert not sample.whole
    assert len(sample.records) <= corpus_sample.N_PLACES * corpus_sample.RECORDS_PER_PLACE
    assert sample.n_records == pytest.approx(N, rel=max(0.01, 4 * sample.error))
    assert sample.error < 0.2
    n_characters = sum(weight * len(r.text) for weight, r in zip(sample.weights, sample.records, strict=True))
    assert n_characters == pytest.approx(sum(len(record["text"]) for record in records), rel=0.25)
    if kind == "txt":
        assert sample.n_records == N


def test_a_small_corpus_is_read_as_a_whole(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": ""}\n{"text": "three"}\n')
    files, _ = list_inputs(str(tmp_path))
    sample = sample_corpus(files, ReadOptions())
    assert (sample.whole, sample.n_records, sample.error) == (True, 3, 0.0)
    assert isinstance(sample.records[1], UnreadableRecord)
    assert sample_corpus(files, ReadOptions(), limit=2).n_records == 2


def test_a_limit_on_a_large_one(records, tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    files, _ = list_inputs(str(tmp_path))
    first = sample_corpus(files, ReadOptions(), limit=10)
    assert (first.whole, [r.text for r in first.records]) == (True, [r["text"] for r in records[:10]])
    assert sample_corpus(files, ReadOptions(), limit=1000).n_records == pytest.approx(1000)
