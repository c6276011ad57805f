"""Committed parts are readable by every common library; uncommitted ones are not visible."""

import hashlib
import json
from pathlib import Path

import duckdb
import polars
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from rephrase.dataset import schema
from rephrase.dataset.shards import commit_part, parquet_bytes, read_commit, read_commits, read_rejects, read_rewrites
from rephrase.storage.lease import OutputInUseError
from rephrase.storage.lock import locked
from rephrase.storage.storage import Storage

CHUNK = {"index": 0, "start": 0, "end": 3, "accepted": True, "scores": [{"name": "similarity", "value": 0.5}]}
REWRITE = {"id": "a", "text": "Tëxt 中", "source_text": "src", "document_id": "d", "n_tokens": 3, "chunks": [CHUNK]}
REJECT = {"stage": "read", "reason": "empty_text", "text": "", "document_id": "e"}


@pytest.fixture
def out(tmp_path):
    storage = Storage(tmp_path / "out")
    commit_part(storage, 0, [REWRITE, {**REWRITE, "id": "b"}], [REJECT], n_records=2)
    commit_part(storage, 1, [], [], n_records=0)
    return tmp_path / "out"


def test_the_commit_counts_and_its_checksums_match(out):
    commits = read_commits(Storage(out))
    assert sorted(commits) == [0, 1]
    commit = commits[0]
    assert (commit["n_rewrites"], commit["n_rejects"], commit["n_tokens"]) == (2, 1, 6)
    assert commit["rejects_by_reason"] == {"empty_text": 1}
    for name, facts in commit["files"].items():
        data = (out / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (facts["n_bytes"], facts["sha256"])


def test_both_files_have_the_schema_and_its_version(out):
    for folder, expected in [("rewrites", schema.REWRITES), ("rejects", schema.REJECTS)]:
        found = pq.read_schema(out / folder / "part-00000.parquet")
        assert found.equals(expected)
        assert found.metadata[b"palimpsest.schema_version"] == b"4"


def test_an_empty_part_has_a_commit_and_no_files(out):
    assert read_commits(Storage(out))[1]["files"] == {}
    assert sorted(path.name for path in out.rglob("*.parquet")) == ["part-00000.parquet"] * 2
    commit_part(Storage(out), 0, [], [], n_records=0)
    assert list(out.rglob("*.parquet")) == []


def test_a_part_without_its_commit_is_not_visible(out):
    (out / "commits" / "part-00000.json").unlink()
    assert sum(table.num_rows for table in read_rewrites(Storage(out))) == 0
    assert sum(table.num_rows for table in read_rejects(Storage(out))) == 0


def test_columns_can_be_chosen(out):
    assert next(read_rewrites(Storage(out), ["id"])).to_pydict() == {"id": ["a", "b"]}


def test_a_late_null_or_a_new_key_does_not_break_a_write():
    rows = [REWRITE, {**REWRITE, "title": None, "chunks": None}, {**REWRITE, "unknown": 1}]
    assert pq.read_table(pyarrow.BufferReader(parquet_bytes(rows, schema.REWRITES))).num_rows == 3


def test_committing_a_part_again_replaces_it(out):
    commit_part(Storage(out), 0, [REWRITE], [], n_records=1)
    assert [table.num_rows for table in read_rewrites(Storage(out))] == [1]


def test_pyarrow_duckdb_polars_and_datasets_read_the_shards(out, tmp_path):
    glob = str(out / "rewrites" / "*.parquet")
    assert pyarrow.dataset.dataset(out / "rewrites").to_table()["text"].to_pylist() == ["Tëxt 中"] * 2
    assert duckdb.sql(f"select text, chunks[1].scores[1].value from '{glob}'").fetchall() == [("Tëxt 中", 0.5)] * 2
    frame = polars.read_parquet(glob)
    assert frame["text"].to_list() == ["Tëxt 中"] * 2
    assert frame["chunks"][0][0]["scores"][0]["value"] == 0.5

    import datasets

    loaded = datasets.load_dataset("parquet", data_files=glob, split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["text"] == ["Tëxt 中"] * 2


def test_a_write_leaves_no_temporary_file_and_a_failed_one_leaves_the_old(out, monkeypatch):
    storage = Storage(out)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        storage.write("commits/part-00000.json", b"{}")
    assert json.loads((out / "commits" / "part-00000.json").read_bytes())["n_rewrites"] == 2
    assert not [path for path in Path(out).rglob("*") if ".tmp" in path.name]


def test_only_one_run_writes_to_a_folder(out):
    with (
        locked(Storage(out)),
        pytest.raises(OutputInUseError, match="another run is writing"),
        locked(Storage(out)),
    ):
        pass
    with locked(Storage(out)):
        pass


def test_another_filesystem_gets_the_same_files():
    storage = Storage("memory://bucket/out")
    commit_part(storage, 0, [REWRITE], [REJECT], n_records=1)
    assert [table.num_rows for table in read_rewrites(storage)] == [1]
    assert storage.names("commits") == ["part-00000.json"]
    storage.remove("commits")
    assert read_commits(storage) == {}


def test_a_crash_while_a_part_is_committed_again_leaves_it_uncommitted(out, monkeypatch):
    monkeypatch.setattr(
        "rephrase.dataset.shards.parquet_bytes", lambda *_: (_ for _ in ()).throw(OSError("no space left"))
    )
    with pytest.raises(OSError, match="no space left"):
        commit_part(Storage(out), 0, [REWRITE], [], n_records=1)
    assert sorted(read_commits(Storage(out))) == [1]


def test_known_commits_are_not_read_again_unless_their_part_is_incomplete(tmp_path, monkeypatch):
    storage = Storage(tmp_path)
    for index, n_left in enumerate([0, 3, 0]):
        commit_part(storage, index, [], [], n_records_left=n_left)
    known = read_commits(storage)
    commit_part(storage, 3, [], [], n_records_left=0)
    commit_part(storage, 1, [], [], n_records_left=0)
    read = []
    read_many = Storage.read_many
    monkeypatch.setattr(Storage, "read_many", lambda self, names: read_many(self, read.extend(names) or read))
    found = read_commits(storage, known)
    assert sorted(read) == ["commits/part-00001.json", "commits/part-00003.json"]
    assert found == {index: read_commit(storage, index) for index in range(4)}


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[]", b'{"part": 0'])
def test_a_damaged_commit_is_named_with_what_to_do(out, damaged):
    Storage(out).write("commits/part-00000.json", damaged)
    with pytest.raises(ValueError, match=r"commits/part-00000\.json is damaged.*remove it"):
        read_commits(Storage(out))
