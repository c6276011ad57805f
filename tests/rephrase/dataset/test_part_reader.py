"""The parts read are those of the plan, whatever the format and the order of reading."""

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rephrase.dataset.part_reader
from rephrase.corpus.reading import ReadOptions
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import InputChangedError, make_plan

RECORDS = [{"id": f"d{i}", "text": f"text {i} " * (1 + i % 7)} for i in range(60)]


def write(folder, kind):
    for number, rows in enumerate((RECORDS[:37], RECORDS[37:])):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), folder / f"{number}.parquet", row_group_size=10)
        elif kind == "jsonl.gz":
            (folder / f"{number}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
        else:
            (folder / f"{number}.jsonl").write_text(lines)


@pytest.fixture(params=["jsonl", "jsonl.gz", "parquet"])
def plan(request, tmp_path):
    write(tmp_path, request.param)
    return make_plan(str(tmp_path), ReadOptions(), {}, part_bytes=200)


def test_parts_in_order_open_each_file_once(plan, monkeypatch):
    opened = []
    read_file = rephrase.dataset.part_reader.read_file
    monkeypatch.setattr(rephrase.dataset.part_reader, "read_file", lambda *a: opened.append(a[0].name) or read_file(*a))
    reader = PartReader(plan, ReadOptions())
    assert len(plan.parts) > 5
    read = [record.id for part in plan.parts for record in reader.read(part)]
    assert read == [row["id"] for row in RECORDS]
    # If a part begins at the start of the second file, it opens that file again.
    assert len(opened) <= 3


def test_parts_in_any_order_are_the_same(plan):
    expected = {part.index: PartReader(plan, ReadOptions()).read(part) for part in plan.parts}
    reader = PartReader(plan, ReadOptions())
    for part in random.Random(0).sample([*plan.parts, *plan.parts], 2 * len(plan.parts)):
        assert reader.read(part) == expected[part.index]


def test_a_file_that_changes_between_two_parts_is_noticed(plan):
    reader = PartReader(plan, ReadOptions())
    reader.read(plan.parts[0])
    with open(plan.inputs[0].path, "ab") as file:  # noqa: PTH123
        file.write(b"\n")
    with pytest.raises(InputChangedError, match="has changed since the run was planned"):
        reader.read(plan.parts[1])
