"""A finished run by another verdict: what was rejected may come back, nothing is lost, and the result is a run."""

import json

import pytest
from scripted import BagOfWords, SilentReader, lenient
from synthetic_run import documents, write_run

import flows.verification.refilter
from fidelity.checker import Checker, FidelityConfig
from flows.verification.refilter import refilter
from rephrase.dataset.audit import audit
from rephrase.dataset.shards import read_rejects, read_rewrites
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Verdict
from rephrase.storage.storage import Storage

N = 12


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "out", documents(N), part_bytes=3000)


def use(monkeypatch, decide):
    """Checkers decide by `decide(chunk)`."""

    class Deciding(Checker):
        async def __call__(self, chunk, completion, requirements):
            return decide(chunk, completion)

    monkeypatch.setattr(
        flows.verification.refilter,
        "open_checker",
        lambda config: Deciding(BagOfWords(), config, calibration=lenient(), open_reader=SilentReader),
    )


def yes(chunk, completion):
    return Verdict(accepted=True, scores={"similarity": 0.9}, probability=0.8, probabilities={"faithful": 0.8})


def no(chunk, completion):
    return Verdict(accepted=False, reason="number_changed", detail="1 became 2", probability=0.1)


def rows(storage, read):
    return [row for table in read(storage) for row in table.to_pylist()]


def test_everything_comes_back_if_everything_is_accepted(run, tmp_path, monkeypatch):
    use(monkeypatch, yes)
    counts = []
    new = Storage(tmp_path / "new")
    found = refilter(run, new, load_recipes(), FidelityConfig(), lambda *done: counts.append(done))
    assert found.n_chunks == found.n_accepted == 2 * N == counts[-1][0] == counts[-1][1]
    assert found.n_recovered == 2 * N - found.n_accepted_before > 0
    assert audit(new).problems == []
    rewrites = rows(new, read_rewrites)
    assert len(rewrites) == N
    assert rows(new, read_rejects) == []
    texts = {record["id"]: record["text"] for record in documents(N)}
    for row in rewrites:
        assert row["source_text"].strip() == texts[row["document_id"]].strip()
        assert row["probability_faithful"] == 0.8
        for chunk in row["chunks"]:
            piece = row["text"][chunk["text_start"] : chunk["text_end"]]
            source = row["source_text"][chunk["start"] : chunk["end"]]
            assert sorted(piece.replace(".", "").split()) == sorted(source.replace(".", "").split())


def test_what_is_rejected_now_is_a_reject_with_its_reason_and_text(run, tmp_path, monkeypatch):
    use(monkeypatch, lambda chunk, completion: (yes if chunk.index == 0 else no)(chunk, completion))
    new = Storage(tmp_path / "new")
    found = refilter(run, new, load_recipes(), FidelityConfig())
    assert (found.n_accepted, found.n_rewrites) == (N, N)
    rejects = rows(new, read_rejects)
    assert len(rejects) == N
    assert {row["reason"] for row in rejects} == {"number_changed"}
    assert all(row["text"] and row["source_text"] and row["chunk_index"] == 1 for row in rejects)
    assert audit(new).problems == []
    use(monkeypatch, no)
    empty = Storage(tmp_path / "empty")
    assert refilter(new, empty, load_recipes(), FidelityConfig()).n_rewrites == 0
    assert len(rows(empty, read_rejects)) == 2 * N
    use(monkeypatch, yes)
    # From a run that accepted nothing, the documents are put together again from its rejects.
    again = refilter(empty, Storage(tmp_path / "again"), load_recipes(), FidelityConfig())
    assert again.n_rewrites == N
    assert audit(Storage(tmp_path / "again")).problems == []


def test_a_stopped_call_goes_on_and_another_verdict_needs_another_folder(run, tmp_path, monkeypatch):
    seen = []

    def stop_at_the_fifth(chunk, completion):
        seen.append(chunk.document_id)
        if len(seen) == 11:
            raise KeyboardInterrupt
        return yes(chunk, completion)

    use(monkeypatch, stop_at_the_fifth)
    new = Storage(tmp_path / "new")
    with pytest.raises(KeyboardInterrupt):
        refilter(run, new, load_recipes(), FidelityConfig())
    use(monkeypatch, yes)
    assert refilter(run, new, load_recipes(), FidelityConfig()).n_accepted == 2 * N
    with pytest.raises(ValueError, match="holds another run"):
        refilter(run, new, load_recipes(), FidelityConfig(min_probability=0.5))


def test_bad_folders_are_named(run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run.*plan\.json"):
        refilter(Storage(tmp_path / "nothing"), Storage(tmp_path / "new"), load_recipes(), FidelityConfig())
    with pytest.raises(ValueError, match="cannot be replaced by itself"):
        refilter(run, run, load_recipes(), FidelityConfig())
    with pytest.raises(ValueError, match=r"recipe 'rephrase'.*--recipes"):
        refilter(run, Storage(tmp_path / "new"), {}, FidelityConfig())


def test_the_plan_says_where_the_run_came_from(run, tmp_path, monkeypatch):
    use(monkeypatch, yes)
    refilter(run, Storage(tmp_path / "new"), load_recipes(), FidelityConfig())
    config = json.loads((tmp_path / "new" / "plan.json").read_text())["config"]
    assert config["refiltered from"] == run.url
    assert config["fidelity"]["min_similarity"] == 0.7
