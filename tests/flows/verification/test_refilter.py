"""A finished run by another verdict: what was rejected may come back, nothing is lost, and the result is a run."""

import asyncio
import json
import random

import pytest
from scripted import BagOfWords, ScriptedEngine, SilentReader, WordTokenizer, lenient
from synthetic_run import documents, write_run

import flows.verification.refilter
from fidelity.checker import Checker, FidelityConfig
from flows.results.summary import summarize
from flows.verification.refilter import refilter, verdict_of_run
from flows.verification.run_documents import can_be_restored
from rephrase.corpus.reading import ReadOptions
from rephrase.dataset.audit import audit
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import make_plan, save_plan
from rephrase.dataset.shards import read_rejects, read_rewrites
from rephrase.parts import run_part
from rephrase.progress import Progress
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Check, Verdict
from rephrase.rewriting import RewriteTools
from rephrase.run_context import RunContext
from rephrase.scheduling.scheduler import Scheduler
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


WORDS = [f"word{i}" for i in range(200)]
TEXT = " ".join(" ".join(["Then", *random.Random(i).sample(WORDS, 9)]) + "." for i in range(6))
RECIPES = {
    name: recipe.model_copy(update={"chunk_tokens": 24, "unit": "text"}) for name, recipe in load_recipes().items()
}


def rewrite(folder, decide, *, recipe="rephrase", on_reject="keep", n_variants=1, near_duplicates=lambda texts: {}):
    """A real run over TEXT, of three chunks, in which `decide(chunk, requirements)` gives a reject reason or None."""

    async def check(chunk, completion, requirements):
        reason = decide(chunk, requirements)
        return Verdict(accepted=reason is None, reason=reason, scores={"similarity": 0.9})

    async def write():
        engine, storage, options = ScriptedEngine(), Storage(folder / "out"), ReadOptions()
        (folder / "corpus.jsonl").write_text(json.dumps({"id": "d0", "text": TEXT}) + "\n", "utf-8")
        plan = make_plan(
            str(folder / "corpus.jsonl"), options, {"recipe": recipe, "on_reject": on_reject}, recipe_choice=recipe
        )
        save_plan(storage, plan)
        tools = RewriteTools(
            engine=engine, tokenizer=WordTokenizer(), check=check, n_retries=0, seed=0, on_reject=on_reject
        )
        context = RunContext(
            storage=storage,
            plan=plan,
            reader=PartReader(plan, options),
            recipes=RECIPES,
            recipe_choice=recipe,
            n_variants=n_variants,
            tools=tools,
            near_duplicates=near_duplicates,
            scheduler=Scheduler(engine),
            progress=Progress(),
        )
        await run_part(plan.parts[0], context)
        return storage

    return asyncio.run(write())


def refiltered(storage, tmp_path, monkeypatch, decide=yes):
    use(monkeypatch, decide)
    new = Storage(tmp_path / "new")
    found = refilter(storage, new, RECIPES, FidelityConfig())
    assert audit(new).problems == []
    return new, found


@pytest.mark.parametrize("reason", ["restart", "judged_unfaithful", "judged_incomplete", "back_translation"])
def test_what_the_checks_had_accepted_and_something_else_rejected_stays_rejected(tmp_path, monkeypatch, reason):
    storage = rewrite(tmp_path, lambda chunk, _: reason if chunk.index == 1 else None)
    new, found = refiltered(storage, tmp_path, monkeypatch)
    assert (found.n_chunks, found.n_accepted, found.n_recovered) == (3, 2, 0)
    (reject,) = rows(new, read_rejects)
    assert (reject["reason"], reject["chunk_index"]) == (reason, 1)


def test_a_rejected_chunk_of_a_later_step_comes_back_into_the_row_of_its_route(tmp_path, monkeypatch):
    def decide(chunk, requirements):
        return None if Check.CROSS_LINGUAL in requirements.checks or chunk.index != 1 else "unfaithful"

    storage = rewrite(tmp_path, decide, recipe="translate+learning_note")
    before = summarize(storage)
    new, found = refiltered(storage, tmp_path, monkeypatch)
    assert (found.n_chunks, found.n_accepted_before, found.n_recovered) == (before.n_chunks, before.n_chunks - 1, 1)
    translation, note = rows(new, read_rewrites)
    assert (translation["recipe"], note["recipe"]) == ("translate", "translate+learning_note")
    assert note["n_chunks_accepted"] == note["n_chunks"]
    assert rows(new, read_rejects) == []


def test_a_later_step_of_which_nothing_was_accepted_stays_rejected_since_its_source_is_gone(tmp_path, monkeypatch):
    def decide(chunk, requirements):
        return None if Check.CROSS_LINGUAL in requirements.checks else "unfaithful"

    storage = rewrite(tmp_path, decide, recipe="translate+learning_note")
    new, _ = refiltered(storage, tmp_path, monkeypatch)
    assert [row["recipe"] for row in rows(new, read_rewrites)] == ["translate"]
    assert [(row["recipe"], row["reason"]) for row in rows(new, read_rejects)] == [("learning_note", "unfaithful")] * 3


def test_a_chunk_is_not_taken_for_its_document(tmp_path, monkeypatch):
    """Of a document that ended with its first chunk, and of a variant that was rejected as a whole."""
    storage = rewrite(tmp_path, lambda chunk, _: "unfaithful", on_reject="document")
    new, _ = refiltered(storage, tmp_path, monkeypatch)
    assert rows(new, read_rewrites) == []
    (tmp_path / "repeated").mkdir()
    storage = rewrite(
        tmp_path / "repeated",
        lambda chunk, _: "unfaithful" if chunk.index == 0 else None,
        n_variants=2,
        near_duplicates=lambda texts: {1: (0, "the same")},
    )
    new, _ = refiltered(storage, tmp_path / "repeated", monkeypatch)
    assert [(row["variant"], row["n_chunks"]) for row in rows(new, read_rewrites)] == [(0, 3)]
    assert sorted(row["reason"] for row in rows(new, read_rejects)) == ["near_duplicate", "unfaithful"]


def test_the_summary_of_the_new_run_counts_what_is_accepted_now(tmp_path, monkeypatch):
    storage = rewrite(tmp_path, lambda chunk, _: "unfaithful" if chunk.index else None)
    before = summarize(storage)
    new, _ = refiltered(storage, tmp_path, monkeypatch)
    after = summarize(new)
    assert (before.n_chunks_accepted, after.n_chunks_accepted) == (1, 3)
    assert before.rewritten_share < after.rewritten_share == 1.0
    assert after.usage["rephrase"]["n_tokens"] == after.n_tokens
    assert after.usage["rephrase"]["n_chunks_accepted"] == 3
    assert after.n_completion_tokens == before.n_completion_tokens
    again, _ = refiltered(new, tmp_path / "again", monkeypatch, no)
    assert summarize(again).n_chunks_accepted == 0
    assert summarize(again).usage["rephrase"]["n_rewrites"] == 0


def test_similarity_is_measured_as_in_the_run_unless_it_is_said_otherwise(run, tmp_path):
    path = tmp_path / "out" / "plan.json"
    plan = json.loads(path.read_text())
    plan["config"]["fidelity"] = {"encoder": "my-encoder", "min_similarity": 0.4, "min_probability": 0.9}
    path.write_text(json.dumps(plan))
    _, config = verdict_of_run(run, encoder=None, min_similarity=None, min_probability=None)
    assert (config.encoder, config.min_similarity, config.min_probability) == ("my-encoder", 0.4, None)
    _, config = verdict_of_run(run, encoder="other", min_similarity=0.8, min_probability=0.7)
    assert (config.encoder, config.min_similarity, config.min_probability) == ("other", 0.8, 0.7)
    with pytest.raises(FileNotFoundError, match="holds no run"):
        verdict_of_run(Storage(tmp_path / "nothing"))


def test_a_rejected_document_comes_back_only_if_its_chunks_and_their_sources_are_known():
    row = {"stage": "document", "recipe": "rephrase", "chunks": [{"index": 0}]}
    assert can_be_restored(row)
    assert not can_be_restored({**row, "recipe": "translate+learning_note"})  # its chunks are spans of a lost text
    assert not can_be_restored({**row, "chunks": None})
    assert not can_be_restored({"stage": "document", "recipe": "rephrase"})  # as schema 3 has it
