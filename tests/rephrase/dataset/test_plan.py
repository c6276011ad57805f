"""The plan splits a corpus into parts with every record once, and detects when the corpus has changed."""

import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rephrase.corpus.inputs import list_inputs
from rephrase.corpus.reading import ReadOptions, UnreadableFileError
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import (
    InputChangedError,
    PlanMismatchError,
    load_plan,
    make_plan,
    require_same_run,
    save_plan,
)
from rephrase.records import UnreadableRecord
from rephrase.storage.storage import Storage


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


@settings(max_examples=60)
@given(
    files=st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 60)), max_size=8), min_size=1, max_size=4),
    part_bytes=st.integers(1, 120),
    limit=st.none() | st.integers(1, 20),
)
def test_the_parts_contain_each_record_once_and_in_order(tmp_path_factory, files, part_bytes, limit):
    folder = tmp_path_factory.mktemp("corpus")
    records = []
    for number, file in enumerate(files):
        rows = [{"id": f"d{i}", "text": "x" * size} for i, size in file]
        write(folder / f"{number}.jsonl", rows)
        records += rows
    taken = records[:limit]
    if not any(row["text"] for row in taken):
        with pytest.raises(ValueError, match="none of the"):
            make_plan(str(folder), ReadOptions(), {}, limit=limit, part_bytes=part_bytes)
        return
    plan = make_plan(str(folder), ReadOptions(), {}, limit=limit, part_bytes=part_bytes)
    storage = Storage(folder / "out")
    save_plan(storage, plan)
    assert load_plan(storage) == plan

    read = [record for part in plan.parts for record in PartReader(plan, ReadOptions()).read(part)]
    assert [len(list(PartReader(plan, ReadOptions()).read(part))) for part in plan.parts] == [
        p.n_records for p in plan.parts
    ]
    assert (plan.n_records, plan.n_not_selected) == (len(taken), len(records) - len(taken))
    seen = set()
    for row, record in zip(taken, read, strict=True):
        if not row["text"]:
            assert record.reason == "empty_text"
        elif row["id"] in seen:
            assert isinstance(record, UnreadableRecord)
            assert (record.reason, record.text) == ("duplicate_id", row["text"])
        else:
            assert (record.id, record.text) == (row["id"], row["text"])
            seen.add(row["id"])


def test_a_corpus_without_the_text_field_is_an_error_that_lists_its_fields(tmp_path):
    write(tmp_path / "a.jsonl", [{"body": "x"}, {"body": "y"}])
    with pytest.raises(ValueError, match=r"none of the 2 records.*missing_text 2.*fields: body.*--text-field"):
        make_plan(str(tmp_path), ReadOptions(), {})


@pytest.fixture
def plan(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": "x"}])
    return make_plan(str(tmp_path), ReadOptions(), {"seed": 0, "recipe": "rephrase"})


def test_the_same_run_may_resume(plan):
    require_same_run(plan, plan.config, plan.inputs)


def test_a_changed_configuration_is_named(plan):
    with pytest.raises(PlanMismatchError, match="seed was 0 and is now 1"):
        require_same_run(plan, {**plan.config, "seed": 1}, plan.inputs)


def test_changed_inputs_are_named(plan, tmp_path):
    write(tmp_path / "a.jsonl", [{"text": "longer"}])
    write(tmp_path / "b.jsonl", [{"text": "new"}])
    with pytest.raises(PlanMismatchError, match=r"input a\.jsonl has changed since; input b\.jsonl is new"):
        require_same_run(plan, plan.config, list_inputs(str(tmp_path))[0])
    with pytest.raises(PlanMismatchError, match=r"input a\.jsonl is missing"):
        require_same_run(plan, plan.config, [])


def test_a_plan_of_another_version_is_an_error(plan, tmp_path):
    storage = Storage(tmp_path / "out")
    save_plan(storage, plan)
    storage.write_json("plan.json", {**storage.read_json("plan.json"), "plan_version": 99})
    with pytest.raises(PlanMismatchError, match="version 99"):
        load_plan(storage)


def test_a_large_corpus_makes_about_a_thousand_parts(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": "x" * 1000} for _ in range(3000)])
    plan = make_plan(str(tmp_path), ReadOptions(), {})
    assert len(plan.parts) == 12  # of the smallest size, 256 KiB
    assert replace(plan.parts[0], n_bytes=0).n_records == 262


def test_an_input_that_changes_under_a_run_stops_it(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": "one"}, {"text": "two"}])
    plan = make_plan(str(tmp_path), ReadOptions(), {}, part_bytes=3)
    assert len(PartReader(plan, ReadOptions()).read(plan.parts[1])) == 1
    write(tmp_path / "a.jsonl", [{"text": "one"}])
    with pytest.raises(InputChangedError, match=r"a\.jsonl has changed since the run was planned"):
        PartReader(plan, ReadOptions()).read(plan.parts[0])


def test_a_read_error_that_is_not_in_the_plan_stops_the_part(tmp_path, monkeypatch):
    write(tmp_path / "a.jsonl", [{"text": "one"}, {"text": "two"}])
    write(tmp_path / "b.jsonl", [{"text": "three"}])
    plan = make_plan(str(tmp_path), ReadOptions(), {})

    def failing(file, start):
        yield b'{"text": "one"}', 16
        raise UnreadableFileError("connection reset")

    monkeypatch.setattr("rephrase.corpus.reading._lines", failing)
    with pytest.raises(InputChangedError, match="connection reset; it could be read when the run was planned"):
        PartReader(plan, ReadOptions()).read(plan.parts[0])


def test_a_truncated_file_is_counted_with_a_limit(tmp_path):
    lines = "".join(json.dumps({"text": f"{i * 7919 % 104729:x} " * 30}) + "\n" for i in range(3000)).encode()
    packed = gzip.compress(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    plan = make_plan(str(tmp_path), ReadOptions(), {}, limit=5)
    assert (plan.n_records, plan.n_not_selected) == (5, 1)
    whole = make_plan(str(tmp_path), ReadOptions(), {})
    assert whole.unreadable == ("a.jsonl.gz",)
    assert len(PartReader(whole, ReadOptions()).read(whole.parts[-1])) == whole.parts[-1].n_records


def test_the_output_inside_the_corpus_is_not_part_of_it(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": "one"}])
    (tmp_path / "out").mkdir()
    write(tmp_path / "out" / "b.jsonl", [{"text": "two"}])
    plan = make_plan(str(tmp_path), ReadOptions(), {}, output=str(tmp_path / "out"))
    assert [file.name for file in plan.inputs] == ["a.jsonl"]
