"""Which files are the corpus: odd names, pipes, links, other runs, and folders that may not be listed."""

import json
import os
import tempfile
import time
from pathlib import Path

import pytest

import rephrase.corpus.inputs
from rephrase.corpus.inputs import has_changed, list_inputs
from rephrase.corpus.reading import ReadOptions, read_file
from rephrase.dataset.plan import load_plan, make_plan, save_plan
from rephrase.records import UnreadableRecord
from rephrase.storage.storage import Storage

LINE = '{"text": "one"}\n'


def names(source, output=None):
    return [file.name for file in list_inputs(str(source), output)[0]]


def texts(source):
    return [record.text for file in list_inputs(str(source))[0] for record, _ in read_file(file, ReadOptions())]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_text(LINE)
    return folder


def test_a_list_that_takes_long_is_said_to_be_waited_for(folder, monkeypatch, caplog):
    assert names(folder) == ["a.jsonl"]
    assert not caplog.messages
    monkeypatch.setattr(rephrase.corpus.inputs, "SLOW_LISTING_S", 0.01)
    find = rephrase.corpus.inputs._find
    monkeypatch.setattr(rephrase.corpus.inputs, "_find", lambda *found: time.sleep(0.3) or find(*found))
    assert names(folder) == ["a.jsonl"]
    assert caplog.messages == [f"waiting for the list of all files at '{folder}' …"]


@pytest.mark.parametrize("name", ["b::c.jsonl", "simplecache::b.jsonl", "b[1]*?.jsonl", "b{0} %20#.jsonl", "b\n.jsonl"])
def test_a_name_is_no_address(folder, name):
    (folder / name).write_text('{"text": "two"}\n')
    assert names(folder) == ["a.jsonl", name]
    assert texts(folder) == ["one", "two"]
    assert texts(folder / name) == ["two"]
    assert not has_changed(list_inputs(str(folder / name))[0][0])


def test_a_name_that_is_not_utf8_is_read_and_written_to_the_plan(folder, tmp_path):
    Path(os.fsdecode(os.fsencode(folder) + b"/b\xff.jsonl")).write_text('{"text": "two"}\n')
    assert names(folder) == ["a.jsonl", "b\\xff.jsonl"]
    assert texts(folder) == ["one", "two"]
    storage = Storage(tmp_path / "out")
    plan = make_plan(str(folder), ReadOptions(), {})
    save_plan(storage, plan)
    (tmp_path / "out" / "plan.json").read_text("utf-8")
    assert load_plan(storage) == plan


def test_a_pipe_is_not_read(folder):
    os.mkfifo(folder / "b.jsonl")
    (folder / "c.jsonl").symlink_to("b.jsonl")
    found, skipped = list_inputs(str(folder))
    assert [file.name for file in found] == ["a.jsonl"]
    assert skipped == ["b.jsonl", "c.jsonl"]
    with pytest.raises(ValueError, match=r"b\.jsonl' is a pipe, a socket or a device, which"):
        list_inputs(str(folder / "b.jsonl"))


def test_a_folder_that_may_not_be_listed_is_in_the_account():
    with tempfile.TemporaryDirectory() as base:  # pytest's own folder is closed to other users
        Path(base).chmod(0o755)
        (Path(base) / "a.jsonl").write_text(LINE)
        closed = Path(base) / "closed"
        closed.mkdir(mode=0o700 if os.geteuid() == 0 else 0)
        if os.geteuid() == 0:
            os.seteuid(65534)  # nobody: root may list everything
        try:
            files, _ = list_inputs(base)
            records = [record for file in files for record, _ in read_file(file, ReadOptions())]
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
            closed.chmod(0o700)
    assert [file.name for file in files] == ["a.jsonl", "closed"]
    assert isinstance(records[1], UnreadableRecord)
    assert records[1].reason == "unreadable_file"
    assert "closed cannot be read further" in records[1].detail


def test_linked_folders_are_followed_once(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.jsonl").write_text(LINE)
    (folder / "link").symlink_to(other)
    (other / "back").symlink_to(folder)
    (folder / "again").symlink_to(other)
    assert names(folder) == ["a.jsonl", "again/b.jsonl"]


def test_what_a_run_wrote_is_no_corpus(folder, tmp_path):
    for run in (folder / "out", folder / "other", tmp_path / "elsewhere"):
        save_plan(Storage(run), make_plan(str(folder / "a.jsonl"), ReadOptions(), {}))
        (run / "rewrites").mkdir()
        (run / "rewrites" / "part-00000.jsonl").write_text(LINE)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "linked.jsonl").symlink_to(tmp_path / "elsewhere" / "rewrites" / "part-00000.jsonl")
    (folder / "mine").mkdir()
    (folder / "mine" / "plan.json").write_text(json.dumps({"plan": "of something else"}))
    (folder / "mine" / "b.jsonl").write_text(LINE)
    # By a link to the output, too.
    (tmp_path / "to-elsewhere").symlink_to(tmp_path / "elsewhere")
    assert names(folder, str(tmp_path / "to-elsewhere")) == ["a.jsonl", "mine/b.jsonl"]
    # The rewrites of a run may be the corpus of another one, if named.
    assert names(tmp_path / "elsewhere" / "rewrites", str(tmp_path / "new")) == ["part-00000.jsonl"]
    with pytest.raises(ValueError, match="belong to a run or lie in the output folder"):
        list_inputs(str(folder / "other"))
    with pytest.raises(ValueError, match="belong to a run or lie in the output folder"):
        list_inputs(str(folder), str(folder))


def test_plain_json_is_read_if_named(folder):
    (folder / "c4.json").write_text(LINE)
    assert names(folder) == ["a.jsonl"]
    assert names(folder / "*.json") == ["c4.json"]
    assert texts(folder / "c4.json") == ["one"]
    (folder / "array.json").write_text('[{"text": "one"}]')
    (file,), _ = list_inputs(str(folder / "array.json"))
    ((record, _),) = read_file(file, ReadOptions())
    assert record.reason == "not_an_object"
    assert "jq" in record.detail


@pytest.mark.parametrize("source", ["", "  "])
def test_an_empty_source_is_an_error(source):
    with pytest.raises(ValueError, match="SOURCE is empty"):
        list_inputs(source)


@pytest.mark.parametrize("source", ["reference://x", "jupyter://x", "dbfs://x", "generic://x"])
def test_a_filesystem_that_needs_more_than_an_address_is_named(source):
    with pytest.raises(ValueError, match=f"'{source}' cannot be opened by its address alone"):
        list_inputs(source)


@pytest.mark.parametrize("name", ["README.md", "data.json", ".hidden.jsonl"])
def test_a_folder_of_what_is_read_only_if_named_says_so(tmp_path, name):
    (tmp_path / name).write_text(LINE)
    with pytest.raises(ValueError, match=rf"found {name}\. Hidden files, a README .* are read only if named"):
        list_inputs(str(tmp_path))
