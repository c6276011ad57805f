"""What a run wrote is not overwritten, and what others wrote is not removed, by whatever link."""

import pytest

from rephrase.corpus.reading import ReadOptions
from rephrase.dataset.new_files import open_plan
from rephrase.dataset.plan import PlanMismatchError
from rephrase.storage.lock import locked
from rephrase.storage.run_folder import require_no_data_of_a_run, run_around
from rephrase.storage.storage import Storage

OURS = "." + "part-00000.parquet" + "." + "0123456789abcdef" * 2 + ".tmp"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    storage = Storage(tmp_path / "out")
    open_plan(storage, str(tmp_path / "a.jsonl"), ReadOptions(), {})
    return storage


@pytest.mark.parametrize("inside", ["out/new", "out/rewrites", "link/new"])
def test_a_run_in_the_folder_of_another_is_refused(run, tmp_path, inside):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(PlanMismatchError, match=r"lies in the folder of the run .*out': choose another"):
        open_plan(Storage(tmp_path / inside), str(tmp_path / "a.jsonl"), ReadOptions(), {})


def test_a_file_of_a_run_is_no_place_to_write_to(run, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "out" / "rewrites")
    assert run_around(str(tmp_path / "out" / "report.html")) == tmp_path / "out"
    assert run_around(str(tmp_path / "out")) is None
    for name in ("out/plan.json", "out/rewrites/part-00000.parquet", "out/journal/x", "link/new.parquet"):
        with pytest.raises(ValueError, match="is a file of the run in"):
            require_no_data_of_a_run(str(tmp_path / name))
    for name in ("out/scored.parquet", "out/report.html", "scored.parquet", "plan.json"):
        require_no_data_of_a_run(str(tmp_path / name))


def test_only_own_temporary_files_in_own_folders_are_removed(run, tmp_path):
    own = [f"rewrites/{OURS}", f"journal/part-00000/{OURS}", OURS]
    others = ["rewrites/.mine.tmp", f"mine/{OURS}", ".cache.tmp", f"mine/rewrites/{OURS}"]
    for name in (*own, *others):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text("")
    run.remove_temporary_files()
    assert [name for name in (*own, *others) if run.exists(name)] == others


def test_an_output_that_is_a_file_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    for name in ("a.jsonl", "a.jsonl/out"):
        with pytest.raises(ValueError, match="is not a folder, or its parent is not"), locked(Storage(tmp_path / name)):
            pass
