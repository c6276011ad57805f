"""Files added after a run was planned."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rephrase.corpus.inputs import list_inputs
from rephrase.corpus.reading import ReadOptions
from rephrase.dataset.new_files import earlier_ids, extend_plan, open_plan, split_changed, split_new
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import (
    PlanMismatchError,
    load_plan,
    make_plan,
    require_same_run,
    save_plan,
)
from rephrase.dataset.shards import commit_part
from rephrase.records import Document
from rephrase.storage.storage import Storage


def write(path, ids):
    path.write_text("".join(json.dumps({"id": name, "text": f"text of {name}"}) + "\n" for name in ids), "utf-8")


def extend(storage, plan, folder, part_bytes=None):
    found, skipped = list_inputs(str(folder))
    old, new = split_new(plan, found)
    require_same_run(plan, plan.config, old)
    return extend_plan(storage, plan, new, skipped, ReadOptions(), plan.config, part_bytes=part_bytes) if new else plan


def commit(storage, plan, part):
    """Commit as a run does: each document is a row in the rewrites or in the rejects."""
    rewrites, rejects = [], []
    for i, record in enumerate(PartReader(plan, ReadOptions()).read(part)):
        if not isinstance(record, Document):
            rejects.append({"stage": "read", "reason": record.reason, "document_id": record.document_id})
        elif i % 2:
            rejects.append({"stage": "rewrite", "reason": "dissimilar", "document_id": record.id})
        else:
            rewrites.append({"document_id": record.id, "text": record.text, "n_tokens": 1})
    commit_part(storage, part.index, rewrites, rejects, n_records=part.n_records)


def records(plan, parts=None):
    return [record for part in parts or plan.parts for record in PartReader(plan, ReadOptions()).read(part)]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@settings(max_examples=25)
@given(
    files=st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), min_size=2, max_size=5),
    n_committed=st.integers(0, 9),
    part_bytes=st.integers(1, 60),
)
def test_each_document_is_in_one_part_whatever_was_added_and_committed_when(
    tmp_path_factory, files, n_committed, part_bytes
):
    base = tmp_path_factory.mktemp("run")
    folder, storage = base / "in", Storage(base / "out")
    folder.mkdir()
    write(folder / "m.jsonl", ["first"])
    plan = make_plan(str(folder), ReadOptions(), {"seed": 0}, part_bytes=part_bytes)
    save_plan(storage, plan)
    before = [plan]
    for number, ids in enumerate(files):
        # Names that sort before and after the existing ones.
        write(folder / f"{'az'[number % 2]}{number}.jsonl", ids)
        for part in plan.parts[: n_committed - number]:
            commit(storage, plan, part)
        plan = extend(storage, plan, folder, part_bytes)
        assert plan.parts[: len(before[-1].parts)] == before[-1].parts
        before.append(plan)
    assert load_plan(storage) == plan
    assert [part.index for part in plan.parts] == [*range(len(plan.parts))]
    found = records(plan)
    assert len(found) == plan.n_records == 1 + sum(map(len, files))
    documents = [record.id for record in found if isinstance(record, Document)]
    assert sorted(documents) == sorted({"first", *(name for ids in files for name in ids)})
    assert {record.reason for record in found if not isinstance(record, Document)} <= {"duplicate_id"}
    assert sum(plan.routes.values()) == len(documents)


def test_an_unchanged_folder_changes_nothing_and_a_changed_or_removed_file_is_named(folder, tmp_path):
    storage = Storage(tmp_path / "out")
    write(folder / "a.jsonl", ["a"])
    write(folder / "b.jsonl", ["b"])
    plan = make_plan(str(folder), ReadOptions(), {})
    save_plan(storage, plan)
    assert extend(storage, plan, folder) is plan
    assert storage.names("", ".json") == ["plan.json"]

    write(folder / "c.jsonl", ["c"])
    plan = extend(storage, plan, folder)
    assert storage.names("", ".json") == ["plan-0001.json", "plan.json"]
    assert [record.id for record in records(plan)] == ["a", "b", "c"]

    write(folder / "b.jsonl", ["b", "more"])
    with pytest.raises(PlanMismatchError, match=r"input b\.jsonl has changed"):
        extend(storage, plan, folder)
    (folder / "b.jsonl").unlink()
    with pytest.raises(PlanMismatchError, match=r"input b\.jsonl is missing"):
        extend(storage, plan, folder)


def test_without_the_option_a_new_file_is_an_error_that_names_the_option(folder, tmp_path):
    write(folder / "a.jsonl", ["a"])
    plan = make_plan(str(folder), ReadOptions(), {})
    write(folder / "b.jsonl", ["b"])
    with pytest.raises(PlanMismatchError, match=r"input b\.jsonl is new \(--new-files adds it\)"):
        require_same_run(plan, {}, list_inputs(str(folder))[0])


def test_an_id_whose_record_was_not_a_document_is_free(folder, tmp_path):
    storage = Storage(tmp_path / "out")
    (folder / "a.jsonl").write_text('{"id": "x", "text": ""}\n{"id": "y", "text": "y"}\n')
    plan = make_plan(str(folder), ReadOptions(), {})
    save_plan(storage, plan)
    for commit_first in (False, True):
        if commit_first:
            commit(storage, plan, plan.parts[0])
        assert list(earlier_ids(storage, plan, ReadOptions())) == ["y"]


def test_new_files_without_any_document_are_added_and_counted(folder, tmp_path):
    storage = Storage(tmp_path / "out")
    write(folder / "a.jsonl", ["a"])
    plan = make_plan(str(folder), ReadOptions(), {})
    save_plan(storage, plan)
    (folder / "empty.jsonl").write_text("")
    (folder / "bad.jsonl").write_text("no json\n")
    plan = extend(storage, plan, folder)
    assert [file.name for file in plan.inputs] == ["a.jsonl", "bad.jsonl", "empty.jsonl"]
    assert plan.n_records == 2
    assert extend(storage, plan, folder) is plan


def test_a_file_that_changed_after_it_was_planned_does_not_keep_others_from_being_taken(folder, tmp_path):
    storage = Storage(tmp_path / "out")
    write(folder / "a.jsonl", ["a"])
    write(folder / "b.jsonl", ["b"])
    plan = open_plan(storage, str(folder), ReadOptions(), {}, new_files=True, part_bytes=1)
    write(folder / "a.jsonl", ["a", "more"])
    write(folder / "c.jsonl", ["c"])
    plan = open_plan(storage, str(folder), ReadOptions(), {}, new_files=True, part_bytes=1)
    assert [file.name for file in plan.inputs] == ["a.jsonl", "b.jsonl", "c.jsonl"]
    left, changed = split_changed(plan, plan.parts)
    assert changed == ["a.jsonl"]
    assert [record.id for record in records(plan, left)] == ["b", "c"]
    (folder / "b.jsonl").unlink()
    assert split_changed(plan, plan.parts) == ([plan.parts[2]], ["a.jsonl", "b.jsonl"])


def test_a_file_that_is_being_copied_is_left_to_the_next_plan(folder, tmp_path, monkeypatch):
    storage = Storage(tmp_path / "out")
    write(folder / "a.jsonl", ["a"])
    growing = (folder / "b.jsonl").open("w")
    growing.write('{"id": "b", "te')
    growing.flush()

    def write_on(seconds):
        growing.write('xt": "b"}')
        growing.close()

    monkeypatch.setattr("rephrase.corpus.inputs.time.sleep", write_on)
    plan = open_plan(storage, str(folder), ReadOptions(), {}, new_files=True)
    assert [file.name for file in plan.inputs] == ["a.jsonl"]
    assert plan.skipped == ("b.jsonl (still being written)",)
    monkeypatch.setattr("rephrase.corpus.inputs.time.sleep", lambda seconds: None)
    plan = open_plan(storage, str(folder), ReadOptions(), {}, new_files=True)
    assert [record.id for record in records(plan)] == ["a", "b"]
