"""What is done belongs to documents, by id and text, and not to positions."""

import json
import os
from pathlib import Path

import pytest

from rephrase.corpus.reading import ReadOptions
from rephrase.dataset.audit import audit
from rephrase.dataset.journal import Entry, Journal
from rephrase.dataset.new_files import open_plan
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import InputChangedError, PlanMismatchError, load_plan, require_own_commits
from rephrase.dataset.shards import commit_part, read_commits
from rephrase.records import Document, digest
from rephrase.storage.storage import Storage


def write(path: Path, texts: dict[str, str]) -> None:
    path.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()), "utf-8")
    os.utime(path, (1_700_000_000, 1_700_000_000))


def commit(storage, plan, part):
    """Commit as a run does, with all documents rejected."""
    rejects = [
        {
            "stage": "rewrite",
            "reason": "dissimilar",
            "document_id": record.id,
            "source": record.source,
            "record": record.record,
        }
        for record in PartReader(plan, ReadOptions()).read(part)
    ]
    counts = {"n_records": len(rejects), "n_documents_accepted": 0, "n_documents_rejected": len(rejects)}
    return commit_part(storage, part.index, [], rejects, **counts, ids=part.ids, texts=part.texts)


@pytest.fixture
def run(tmp_path):
    """A folder of two parts, of which the first is committed."""
    corpus, storage = tmp_path / "a.jsonl", Storage(tmp_path / "out")
    write(corpus, {"a": "one", "b": "two"})
    plan = open_plan(storage, str(corpus), ReadOptions(), {}, part_bytes=1)
    commit(storage, plan, plan.parts[0])
    return corpus, storage, plan


def test_an_unchanged_run_goes_on_and_has_no_problems(run):
    corpus, storage, plan = run
    assert open_plan(storage, str(corpus), ReadOptions(), {}, part_bytes=1) == plan == load_plan(storage)
    require_own_commits(plan, read_commits(storage))
    assert audit(storage).problems == []
    commit(storage, plan, plan.parts[1])
    assert audit(storage).problems == []


def test_an_input_of_equal_size_and_time_is_recognized(run):
    corpus, storage, plan = run
    write(corpus, {"a": "one", "b": "six"})
    with pytest.raises(PlanMismatchError, match=r"a\.jsonl has other content, with the same size and time"):
        open_plan(storage, str(corpus), ReadOptions(), {})
    with pytest.raises(InputChangedError):
        PartReader(plan, ReadOptions()).read(plan.parts[1])


def test_a_part_whose_documents_are_not_those_that_were_planned_is_not_read(run, tmp_path):
    """Not even if the plan does not know the content, as for a remote file."""
    corpus, storage, plan = run
    data = storage.read_json("plan.json")
    data["inputs"][0]["content"] = ""
    storage.write_json("plan.json", data)
    write(corpus, {"a": "one", "b": "six"})
    reader = PartReader(load_plan(storage), ReadOptions())
    assert [record.id for record in reader.read(plan.parts[0])] == ["a"]
    with pytest.raises(InputChangedError, match=r"a\.jsonl holds other documents than when the run was planned"):
        reader.read(plan.parts[1])


@pytest.mark.parametrize("left", ["commits/part-00000.json", "journal/part-00001/00000000-0.json"])
def test_what_is_left_of_a_run_without_its_plan_is_refused(tmp_path, left):
    corpus, storage = tmp_path / "a.jsonl", Storage(tmp_path / "out")
    write(corpus, {"a": "one"})
    storage.write_json(left, {})
    with pytest.raises(PlanMismatchError, match=r"but no plan\.json.*restore plan\.json .* or choose another folder"):
        open_plan(storage, str(corpus), ReadOptions(), {})
    assert storage.exists(left)
    assert not storage.exists("plan.json")


def test_the_commits_of_another_corpus_are_refused_and_reported(run, tmp_path):
    """The plan of a second run put into the folder of a first, with parts of the same shape."""
    _, storage, _ = run
    write(tmp_path / "b.jsonl", {"a": "uno", "c": "tres"})
    other = Storage(tmp_path / "other")
    foreign = open_plan(other, str(tmp_path / "b.jsonl"), ReadOptions(), {}, part_bytes=1)
    with pytest.raises(PlanMismatchError, match=r"part-00000\.json has documents with other ids than its part"):
        require_own_commits(foreign, read_commits(storage))
    storage.write("plan.json", other.read("plan.json"))
    assert "other ids than its part of the plan" in audit(storage).problems[0].problem


def test_rows_of_other_documents_are_reported_for_plans_of_any_version(run):
    _, storage, plan = run
    part = plan.parts[0]
    rows = [{"stage": "rewrite", "reason": "r", "document_id": "b", "source": "a.jsonl", "record": 1}]
    counts = {"n_records": 1, "n_documents_accepted": 0, "n_documents_rejected": 1}
    commit_part(storage, 0, [], rows, **counts, ids=part.ids, texts=part.texts)
    assert "not from the documents of its part" in audit(storage).problems[0].problem
    data = storage.read_json("plan.json")
    data["plan_version"] = 1
    for planned in data["parts"]:
        del planned["ids"], planned["texts"]
    storage.write_json("plan.json", data)
    commit_part(storage, 0, [], rows, **counts)
    assert "record 1 of a.jsonl, which is not in its part" in audit(storage).problems[0].problem


ENTRY = {"n_chunks": 1, "n_prompt_tokens": 1, "n_completion_tokens": 3, "n_cached_tokens": 0}


def test_a_journal_entry_belongs_to_its_document(tmp_path):
    journal = Journal(Storage(tmp_path), 0)
    documents = [Document(id=name, text=f"text of {name}", source="s", record=i) for i, name in enumerate("abc")]
    for i, document in enumerate(documents):
        entry = Entry(rewrite=None, rejects=[], **ENTRY, document_id=document.id, text=digest(document.text))
        journal.write((i, 0), entry)
    assert sorted(journal.read_own(documents)) == [(0, 0), (1, 0), (2, 0)]
    changed = [documents[1], documents[0], Document(id="c", text="another text", source="s")]
    assert journal.read_own(changed) == {}
    assert sorted(journal.read_own([documents[0]])) == [(0, 0)]
    assert journal.n_tokens_resumed == 3


def test_an_entry_of_an_earlier_version_is_known_by_its_rows(tmp_path):
    document = Document(id="a", text="First half. Second half.", source="s")
    other = Document(id="a", text="Something else.", source="s")
    written = Entry(rewrite={"document_id": "a", "source_text": document.text}, rejects=[], **ENTRY)
    rejected = Entry(rewrite=None, rejects=[{"document_id": "a", "source_text": "Second half."}], **ENTRY)
    for entry in (written, rejected):
        assert entry.is_of(document)
        assert not entry.is_of(other)
    assert not Entry(rewrite=None, rejects=[], **ENTRY).is_of(document)
