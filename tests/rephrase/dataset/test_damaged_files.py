"""Files of a run that were cut off, emptied or changed by hand: one sentence with the name of the file."""

import json
import os
import shutil
from pathlib import Path

import pytest

from rephrase.dataset.journal import Journal
from rephrase.dataset.plan import PlanMismatchError, load_plan, read_config
from rephrase.dataset.shards import read_commit, read_commits, read_rewrites
from rephrase.storage.storage import DamagedFileError, Storage

WRITTEN = Path(__file__).parents[2] / "fixtures" / "v0.1.0" / "run"
CONTENTS = [b"", b"\x00" * 100, b"\xff", b"[]", b"null", b"{}", b"[" * 100_000, b'{"part": 0, "inp', b"<html>"]
PLAN, COMMIT, ROWS = "plan.json", "commits/part-00000.json", "rewrites/part-00000.parquet"
ENTRY = "journal/part-00001/00000000-0.json"


@pytest.fixture
def run(tmp_path) -> Storage:
    shutil.copytree(WRITTEN, tmp_path / "run")
    return Storage(tmp_path / "run")


def change(run: Storage, name: str, path: list, value) -> None:
    content = found = json.loads(run.read(name))
    for key in path[:-1]:
        found = found[key]
    found[path[-1]] = value
    run.write_json(name, content)


def remove(run: Storage, name: str, key: str) -> None:
    content = json.loads(run.read(name))
    del content[key]
    run.write_json(name, content)


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_plan_or_commit_is_named(run, content):
    run.write(PLAN, content)
    with pytest.raises((DamagedFileError, PlanMismatchError), match=r"run/plan\.json (is damaged|has version None)"):
        load_plan(run)
    run.write(COMMIT, content)
    for read in (read_commits, lambda run: read_commit(run, 0)):
        with pytest.raises(DamagedFileError, match=r"part-00000\.json is damaged .*run the same command again"):
            read(run)


@pytest.mark.parametrize("value", [None, 2.5])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        *[(PLAN, [key]) for key in ("config", "inputs", "skipped", "unreadable", "parts", "n_records", "routes")],
        *[(PLAN, ["parts", 0, key]) for key in ("index", "file", "start", "n_records", "duplicates")],
        *[(PLAN, ["inputs", 0, key]) for key in ("path", "name", "n_bytes", "version")],
        *[(COMMIT, [key]) for key in ("part", "n_tokens", "rejects_by_reason", "files", "usage", "by_recipe")],
    ],
)
def test_a_value_of_another_type_is_named(run, name, path, value):
    change(run, name, path, value)
    with pytest.raises(DamagedFileError, match=rf"{name} is damaged \({path[0]}"):
        (load_plan if name == PLAN else read_commits)(run)


@pytest.mark.parametrize("value", [None, [], "two", "2"])
@pytest.mark.parametrize("path", [["n_retries"], ["n_variants"], ["fidelity"], ["fidelity", "min_similarity"]])
def test_a_value_of_another_type_in_the_configuration_is_named(run, path, value):
    change(run, PLAN, ["config", *path], value)
    for read in (load_plan, read_config):
        with pytest.raises(DamagedFileError, match=rf"plan\.json is damaged \({'.'.join(path)}: .*restore it"):
            read(run)


@pytest.mark.parametrize("key", ["config", "inputs", "skipped", "unreadable", "parts", "n_records", "routes"])
def test_a_plan_without_a_key_is_named(run, key):
    remove(run, PLAN, key)
    with pytest.raises(DamagedFileError, match=rf"plan\.json is damaged \({key}"):
        load_plan(run)


@pytest.mark.parametrize("changed", [{"index": 1}, {"file": 1}, {"file": -1}])
def test_a_part_that_lies_in_no_file_of_the_plan_is_named(run, changed):
    for key, value in changed.items():
        change(run, PLAN, ["parts", 0, key], value)
    with pytest.raises(DamagedFileError, match=r"plan\.json is damaged \(parts\.0: it is number"):
        load_plan(run)


@pytest.mark.parametrize("key", ["n_records", "n_documents_accepted", "n_completion_tokens", "n_tokens_resumed"])
def test_a_commit_of_a_run_without_a_count_is_named(run, key):
    remove(run, COMMIT, key)
    with pytest.raises(DamagedFileError, match=rf"part-00000\.json is damaged \(.*{key} is missing\): remove it and"):
        read_commits(run)


def test_a_plan_that_is_a_pipe_is_not_waited_for(run):
    Path(run.path(PLAN)).unlink()
    os.mkfifo(run.path(PLAN))
    with pytest.raises(OSError, match="is not a file"):
        load_plan(run)


@pytest.mark.parametrize("content", [b"", b"PAR1PAR1", b"x" * 100, None])
def test_rows_that_cannot_be_read_are_named(run, content):
    run.write(ROWS, run.read(ROWS)[:-9] if content is None else content)
    with pytest.raises(DamagedFileError, match=r"rewrites/part-00000\.parquet is damaged .* remove commits/part-00000"):
        list(read_rewrites(run))


@pytest.mark.parametrize("value", [None, 2.5])
@pytest.mark.parametrize("field", ["rejects", "n_chunks", "n_completion_tokens", "route", "unknown"])
def test_a_damaged_entry_of_the_journal_is_left_out(run, field, value, caplog):
    n_before = len(Journal(run, 1).read())
    change(run, ENTRY, [field], value)
    assert len(Journal(run, 1).read()) == n_before - 1
    assert "00000000-0.json cannot be read; its document is rewritten" in caplog.text
