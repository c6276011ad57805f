"""Everything that is wrong with a dataset is found and named, and the remedy fixes it."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from rephrase.corpus.reading import ReadOptions
from rephrase.dataset import schema
from rephrase.dataset.audit import audit
from rephrase.dataset.journal import Entry, Journal
from rephrase.dataset.plan import make_plan, save_plan
from rephrase.dataset.shards import commit_part
from rephrase.storage.storage import Storage

N = 6


def rewrite(i, variant=0, **columns):
    return {
        "id": f"{i}-{variant}",
        "text": "t",
        "source_text": "s",
        "document_id": f"d{i}",
        "source": "corpus.jsonl",
        "record": i,
        "n_tokens": 3,
        "variant": variant,
        "chunks": [],
        "steps": [],
        **columns,
    }


def reject(i):
    return {"stage": "rewrite", "reason": "truncated", "text": "", "source": "corpus.jsonl", "record": i}


def commit(storage, part, rewrites, rejects, n_records=2, n_accepted=None):
    n_accepted = len({row["record"] for row in rewrites}) if n_accepted is None else n_accepted
    commit_part(
        storage,
        part,
        rewrites,
        rejects,
        n_records=n_records,
        n_documents_accepted=n_accepted,
        n_documents_rejected=n_records - n_accepted,
    )


def commit_second(storage):
    commit(storage, 1, [rewrite(2)], [reject(2), reject(3)])


@pytest.fixture
def storage(tmp_path):
    """Three parts of two records; the first two are committed, and the second has a reject for a rejected chunk."""
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"id": f"d{i}", "text": "ten bytes!"}) + "\n" for i in range(N)))
    storage = Storage(tmp_path / "out")
    save_plan(storage, make_plan(str(corpus), ReadOptions(), {}, part_bytes=20))
    commit(storage, 0, [rewrite(0), rewrite(0, 1), rewrite(1)], [])
    commit_second(storage)
    return storage


def test_a_correct_dataset_is_counted_and_work_left_is_not_a_problem(storage):
    found = audit(storage)
    assert (found.problems, found.notes) == ([], [])
    assert (found.n_input, found.n_accepted, found.n_rejected, found.n_to_do) == (6, 3, 1, 2)
    assert (found.n_parts, found.n_parts_committed, found.n_rewrites, found.n_rejects) == (3, 2, 4, 2)
    assert found.n_bytes_read == sum(path.stat().st_size for path in storage_path(storage).rglob("*.parquet"))


def test_a_part_in_which_a_target_was_reached_is_correct_and_keeps_its_journal(storage):
    commit_part(
        storage,
        2,
        [rewrite(4)],
        [],
        n_records=1,
        n_records_left=1,
        n_documents_accepted=1,
        n_documents_rejected=0,
    )
    entry = Entry(
        rewrite=rewrite(4), rejects=[], n_chunks=1, n_prompt_tokens=0, n_completion_tokens=0, n_cached_tokens=0
    )
    Journal(storage, 2).write((0, 0), entry)
    found = audit(storage)
    assert (found.problems, found.notes) == ([], [])
    assert (found.n_accepted, found.n_to_do, found.n_parts_committed, found.n_journal_entries) == (4, 1, 2, 1)


def storage_path(storage):
    from pathlib import Path

    return Path(storage.root)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("harm", "file", "problem"),
    [
        (lambda out: (out / "rewrites/part-00001.parquet").unlink(), "rewrites/part-00001.parquet", "it is missing"),
        (lambda out: flip(out / "rejects/part-00001.parquet"), "rejects/part-00001.parquet", "its checksum differs"),
        (
            lambda out: (out / "rewrites/part-00001.parquet").write_bytes(b"PAR1"),
            "rewrites/part-00001.parquet",
            "it has 4 bytes, but was committed with",
        ),
        (
            lambda out: (out / "commits/part-00001.json").write_text('{"part": 1'),
            "commits/part-00001.json",
            "it is not a commit",
        ),
        (
            lambda out: (out / "commits/part-00001.json").write_text("[]"),
            "commits/part-00001.json",
            "it is not a commit",
        ),
        (lambda out: edit(out / "commits/part-00001.json", n_rewrites=2), "commits/part-00001.json", "2 rewrites"),
        (lambda out: edit(out / "commits/part-00001.json", n_tokens=2), "commits/part-00001.json", "2 tokens"),
        (
            lambda out: edit(out / "commits/part-00001.json", rejects_by_reason={"x": 2}),
            "commits/part-00001.json",
            "rejects by reason",
        ),
        (
            lambda out: edit(out / "commits/part-00001.json", n_documents_accepted=2, n_documents_rejected=0),
            "commits/part-00001.json",
            "2 accepted documents, but its files contain 1",
        ),
        (
            lambda out: edit(out / "commits/part-00001.json", n_documents_rejected=0),
            "commits/part-00001.json",
            "1 accepted and 0 rejected do not add up to 2 records",
        ),
        (
            lambda out: edit(out / "commits/part-00001.json", n_records=3, n_documents_rejected=2),
            "commits/part-00001.json",
            "it counts 3 records, but the plan 2",
        ),
        (
            lambda out: commit(Storage(out), 1, [rewrite(2), rewrite(3, id="0-1")], []),
            "commits/part-00001.json",
            "id 0-1 already exists",
        ),
        (
            lambda out: commit(Storage(out), 1, [rewrite(2), rewrite(1, 5)], []),
            "commits/part-00001.json",
            "record 1 of corpus.jsonl already exists",
        ),
        (
            lambda out: commit(Storage(out), 1, [rewrite(2)], [], n_accepted=1),
            "commits/part-00001.json",
            "it counts 2 records, but its files contain 1",
        ),
    ],
)
def test_a_problem_is_named_and_the_remedy_fixes_it(storage, harm, file, problem):
    harm(storage_path(storage))
    found = audit(storage)
    assert any(finding.file == file and problem in finding.problem for finding in found.problems), found.problems
    remedies = {finding.remedy for finding in found.problems}
    assert remedies == {"remove commits/part-00001.json and run the same command again: this part is then rewritten"}
    storage.remove("commits/part-00001.json")
    assert audit(storage).problems == []
    commit_second(storage)
    assert (audit(storage).problems, audit(storage).notes) == ([], [])


def test_a_foreign_schema_is_named(storage):
    import hashlib

    out = storage_path(storage)
    path = out / "rewrites/part-00001.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["metadata"]), path)
    data = path.read_bytes()
    files = json.loads((out / "commits/part-00001.json").read_text())["files"]
    files["rewrites/part-00001.parquet"] = {"n_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit(out / "commits/part-00001.json", files=files)
    (finding,) = audit(storage).problems
    assert "its schema is not version" in finding.problem
    assert "metadata" in finding.problem


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("rewrites/part-00000 (copy).parquet", "no commit names it"),
        ("rewrites/part-00007.parquet", "no commit names it"),
        ("rejects/part-00000.parquet", "no commit names it"),
        ("commits/notes.txt", "it is not a commit"),
        ("journal/part-00009/00000000-0.json", "it belongs to no part"),
    ],
)
def test_a_file_that_belongs_to_nothing_is_named(storage, name, problem):
    storage.write(name, b"x")
    (finding,) = audit(storage).problems
    assert (finding.file, finding.problem, finding.remedy) == (name, problem, "remove it")
    storage.remove(name)
    assert audit(storage).problems == []


@pytest.mark.parametrize(
    "name",
    [
        "rewrites/part-00002.parquet",
        "rewrites/.part-00002.parquet.0123456789abcdef0123456789abcdef.tmp",
        "journal/part-00000/00000000-0.json",
        "journal/part-00002/00000000-0.json",
    ],
)
def test_leftovers_of_a_killed_run_are_notes(storage, name):
    storage.write(name, b"{")
    found = audit(storage)
    assert found.problems == []
    assert len(found.notes) == 1


def test_a_plan_that_is_torn_or_missing(storage, tmp_path):
    (storage_path(storage) / "plan.json").write_text('{"plan_version": 1, "inp')
    (finding,) = audit(storage).problems
    assert finding.file == "plan.json"
    shutil.rmtree(storage_path(storage))
    with pytest.raises(FileNotFoundError, match="holds no run"):
        audit(storage)


def test_shards_of_an_earlier_schema_are_checked_by_it(storage):
    earlier = schema.of_version(schema.REWRITES, 2)
    assert "probability_faithful" not in earlier.names
    assert {field.name for field in earlier.field("chunks").type.value_type} == {
        field.name for field in schema.CHUNK
    } - {"probability_faithful", "probability_complete", "probability_fluent", "probability_in_style"}
    assert schema.of_version(schema.REJECTS, schema.VERSION) is schema.REJECTS
    with pytest.raises(ValueError, match="version 9; this program reads 2, 3"):
        schema.of_version(schema.REWRITES, 9)
