"""A part is written once, however often it is interrupted, and in corpus order, in whatever order its chains finish."""

import dataclasses
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import BagOfWords, ScriptedEngine, WordTokenizer, accept, passage, shout

from fidelity.checks.back_translation import BackReview
from fidelity.checks.diversity import near_duplicate
from rephrase.corpus.reading import ReadOptions
from rephrase.dataset.journal import Entry, Journal
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import make_plan
from rephrase.dataset.shards import read_commits, read_rejects, read_rewrites
from rephrase.engines.engine import EngineError
from rephrase.parts import run_part
from rephrase.progress import Progress
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Check, Domain, Verdict, digest
from rephrase.rewriting import RewriteTools
from rephrase.run_context import RunContext
from rephrase.scheduling.cost import Prices
from rephrase.scheduling.scheduler import Scheduler
from rephrase.scheduling.target import Target
from rephrase.storage.storage import Storage

RECIPES = {name: recipe.model_copy(update={"chunk_tokens": 16}) for name, recipe in load_recipes().items()}


def run_context(
    folder, engine, *, texts=(), check=accept, n_variants=1, n_retries=0, domain=Domain.KNOWLEDGE, choice="auto"
):
    corpus = folder / "corpus.jsonl"
    if not corpus.exists():
        lines = [json.dumps({"id": f"d{i}", "text": text}) for i, text in enumerate(texts)]
        corpus.write_text("\n".join(lines), encoding="utf-8")
    options = ReadOptions(domain=domain)
    tools = RewriteTools(engine=engine, tokenizer=WordTokenizer(), check=check, n_retries=n_retries, seed=0)
    plan = make_plan(str(corpus), options, {}, recipe_choice=choice)
    return RunContext(
        storage=Storage(folder / "out"),
        plan=plan,
        reader=PartReader(plan, options),
        recipes=RECIPES,
        recipe_choice=choice,
        n_variants=n_variants,
        tools=tools,
        near_duplicates=lambda texts: near_duplicate(texts, BagOfWords()),
        scheduler=Scheduler(engine),
        progress=Progress(),
    )


EMPTY = Entry(rewrite=None, rejects=[], n_chunks=0, n_prompt_tokens=0, n_completion_tokens=0, n_cached_tokens=0)


def by_variant(prompt, sampling):
    """A different text for each style, so that variants differ."""
    words = passage(prompt).split()
    return " ".join(random.Random(prompt.system).sample(words, len(words)))


def sentences(n: int, name: str) -> str:
    """Sentences that share too few words for one to count as a repetition of another."""
    words = [f"word{i}" for i in range(200)]
    return " ".join(" ".join([name, *random.Random(f"{name}{i}").sample(words, 6)]) + "." for i in range(n))


TEXTS = [sentences(n, f"d{i}") for i, n in enumerate([1, 9, 2, 30, 1, 5])] + ["", "  "]


def rows(context):
    rewrites = [row for table in read_rewrites(context.storage) for row in table.to_pylist()]
    rejects = [row for table in read_rejects(context.storage) for row in table.to_pylist()]
    return rewrites, rejects


async def run(context):
    return await run_part(context.plan.parts[0], context)


async def test_rows_are_in_corpus_order_and_all_records_are_accounted_for(tmp_path):
    context = run_context(tmp_path, ScriptedEngine(by_variant, delay_s=0.001), texts=TEXTS, n_variants=2)
    context = dataclasses.replace(context, near_duplicates=lambda texts: {})
    commit = await run(context)
    rewrites, rejects = rows(context)
    assert [(r["document_id"], r["variant"]) for r in rewrites] == [(f"d{i}", v) for i in range(6) for v in range(2)]
    assert [(r["document_id"], r["reason"]) for r in rejects] == [("d6", "empty_text"), ("d7", "empty_text")]
    assert (commit["n_records"], commit["n_documents_accepted"], commit["n_documents_rejected"]) == (8, 6, 2)
    for row in rewrites:
        assert sorted(row["text"].split()) == sorted(row["source_text"].split())
        assert (row["model"], row["engine"], row["recipe"]) == ("scripted", "scripted", "rephrase")
    assert len({row["id"] for row in rewrites}) == len(rewrites)
    progress = context.progress
    assert (progress.n_records_done, progress.n_documents_accepted, progress.n_chunks_rejected) == (8, 6, 0)
    assert progress.n_bytes_done == 2 * context.plan.parts[0].n_bytes
    assert progress.n_completion_tokens == commit["n_completion_tokens"]
    assert not (tmp_path / "out" / "journal" / "part-00000").exists()


async def test_the_engine_is_kept_full_but_not_overfull(tmp_path):
    engine = ScriptedEngine(delay_s=0.002, max_in_flight=3)
    await run(run_context(tmp_path, engine, texts=TEXTS))
    assert engine.most_running == 3


async def test_the_longest_chain_starts_first(tmp_path):
    engine = ScriptedEngine(max_in_flight=1)
    await run(run_context(tmp_path, engine, texts=TEXTS))
    assert "d3 word" in engine.prompts[0].user


async def test_rejected_chunks_are_among_the_rejects(tmp_path):
    async def check(chunk, completion, requirements):
        if chunk.document_id == "d1":
            return Verdict(accepted=False, reason="dissimilar")
        return await accept(chunk, completion, requirements)

    context = run_context(tmp_path, ScriptedEngine(), texts=TEXTS, check=check)
    commit = await run(context)
    rewrites, rejects = rows(context)
    assert "d1" not in {row["document_id"] for row in rewrites}
    assert {row["reason"] for row in rejects} == {"dissimilar", "empty_text"}
    refused = [row["source_text"] for row in rejects if row["document_id"] == "d1"]
    assert "".join(refused) == TEXTS[1]
    assert (commit["n_documents_accepted"], commit["n_documents_rejected"]) == (5, 3)
    assert commit["n_chunks"] - commit["n_chunks_accepted"] == len(refused)


@settings(max_examples=25)
@given(data=st.data())
async def test_work_finished_before_a_stop_is_not_repeated(tmp_path_factory, data):
    """Stop after any number of completions, any number of times: the result equals that of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("part")
    generated: list[str] = []

    def script(stop_after):
        n_calls = 0

        def answer(prompt, sampling):
            nonlocal n_calls
            n_calls += 1
            if n_calls > stop_after:
                return EngineError("the power went")
            generated.append(passage(prompt))
            return shout(prompt, sampling)

        return answer

    for stop_after in data.draw(st.lists(st.integers(0, 40), max_size=3)):
        context = run_context(folder, ScriptedEngine(script(stop_after), max_in_flight=2), texts=TEXTS)
        if not read_commits(context.storage):
            try:
                await run(context)
            except EngineError:
                assert not read_commits(context.storage)
    context = run_context(folder, ScriptedEngine(script(10**6), max_in_flight=2), texts=TEXTS)
    if not read_commits(context.storage):
        await run(context)
    rewrites, rejects = rows(context)
    assert [row["document_id"] for row in rewrites] == [f"d{i}" for i in range(6)]
    assert len(rejects) == 2
    assert [row["text"].replace("\n\n", " ").lower() for row in rewrites] == [text.lower() for text in TEXTS[:6]]
    # Only chains in progress, at most two at each stop, were generated twice.
    longest = max(generated.count(passage) for passage in generated)
    assert longest <= 4


async def test_a_finished_document_is_not_generated_again(tmp_path):
    context = run_context(tmp_path, ScriptedEngine(), texts=["One.", "Two."])
    Journal(context.storage, 0).write((0, 0), dataclasses.replace(EMPTY, document_id="d0", text=digest("One.")))
    await run(context)
    assert [passage(prompt) for prompt in context.tools.engine.prompts] == ["Two."]


@pytest.mark.parametrize("damage", [b"", b'{"rewrite": {"id"', b"null", b'{"rewrite": null}'])
async def test_a_torn_journal_entry_is_written_again(tmp_path, damage):
    context = run_context(tmp_path, ScriptedEngine(), texts=["One.", "Two."])
    context.storage.write("journal/part-00000/00000000-0.json", damage)
    context.storage.write("journal/part-00000/nonsense.json", damage)
    await run(context)
    assert [row["text"] for row in rows(context)[0]] == ["ONE.", "TWO."]


async def test_the_next_part_may_be_read_once_all_chains_are_queued(tmp_path):
    context = run_context(tmp_path, ScriptedEngine(delay_s=0.01), texts=TEXTS)
    opened = context.scheduler.part_opened(0)
    assert not opened.is_set()
    await run(context)
    assert opened.is_set()


async def test_running_a_part_again_writes_the_same_rows(tmp_path):
    def at_random(prompt, sampling):
        return " ".join(random.Random(sampling.seed).sample(passage(prompt).split(), len(passage(prompt).split())))

    context = run_context(tmp_path, ScriptedEngine(at_random), texts=TEXTS)
    await run(context)
    first = rows(context)
    await run(context)
    assert rows(context) == first


async def test_a_variant_that_repeats_another_is_rejected_as_a_whole(tmp_path):
    context = run_context(tmp_path, ScriptedEngine(), texts=[sentences(2, "d0")], n_variants=3)
    commit = await run(context)
    rewrites, rejects = rows(context)
    assert [row["variant"] for row in rewrites] == [0]
    assert [(row["stage"], row["reason"], row["variant"]) for row in rejects] == [
        ("variant", "near_duplicate", 1),
        ("variant", "near_duplicate", 2),
    ]
    assert "of variant 0" in rejects[0]["detail"]
    assert (commit["n_documents_accepted"], commit["n_documents_rejected"]) == (1, 0)


async def test_foreign_mathematics_is_translated_and_then_made_into_a_note(tmp_path):
    german = (
        "Der Satz sagt, dass die Summe der Winkel in jedem Dreieck gleich groß ist. Das zeigen wir jetzt ausführlich."
    )
    english = "The theorem says that the angles sum to the same in each triangle. We show this now at length."

    def answer(prompt, _):
        if "technical terms" in prompt.user:
            return ""
        if "You translate" in prompt.system:
            return english if "Satz" in passage(prompt) else "We show this now at length."
        return passage(prompt).upper()

    context = run_context(tmp_path, ScriptedEngine(answer), texts=[german], domain=Domain.MATH)
    assert context.plan.routes == {"translate+learning_note": 1}
    await run(context)
    ((translation, row), rejects) = rows(context)
    assert rejects == []
    assert (translation["recipe"], translation["steps"]) == ("translate", [])
    assert row["recipe"] == "translate+learning_note"
    assert row["detected_language"] == "de"
    assert row["source_text"] == german
    (step,) = row["steps"]
    assert step["recipe"] == "translate"
    assert step["text"].startswith("The theorem says")
    assert (translation["text"], translation["source_text"]) == (step["text"], german)
    assert row["text"].replace("\n\n", " ").lower() == step["text"].replace("\n\n", " ").lower()


async def test_a_translation_that_comes_back_wrong_is_rejected_and_all_tokens_are_counted(tmp_path):
    german = "Elf Kinder haben sich am Freitag für den langen Lauf angemeldet, und alle kamen ins Ziel."
    english = "Elves have signed up on Friday for the long race, and all of them reached the finish."

    def answer(prompt, _):
        back = prompt.system.startswith("You translate from English into German")
        return german.replace("Elf Kinder", "Elfen") if back else english

    engine = ScriptedEngine(answer)
    context = run_context(tmp_path, engine, texts=[german], domain=Domain.MATH, choice="translate")
    review = BackReview()
    context = dataclasses.replace(
        context,
        recipes={"translate": RECIPES["translate"].model_copy(update={"chunk_tokens": 64})},
        tools=dataclasses.replace(context.tools, check_back=review),
    )
    commit = await run(context)
    rewrites, (reject,) = rows(context)
    assert rewrites == []
    assert (reject["reason"], reject["text"]) == ("back_translation", english)
    assert reject["detail"].startswith("translated back, Elf is on one side only: Elfen haben")
    assert len(engine.prompts) == 2
    n_tokens = len(english.split()) + len(german.split()) - 1
    assert commit["n_completion_tokens"] == context.progress.n_completion_tokens == n_tokens
    assert commit["n_prompt_tokens"] == context.progress.n_prompt_tokens == 20


async def test_a_translation_is_kept_when_its_note_is_rejected_and_once_for_all_variants(tmp_path):
    async def check(chunk, completion, requirements):
        if Check.CROSS_LINGUAL in requirements.checks:
            return Verdict(accepted=True, scores={"similarity": 0.9})
        return Verdict(accepted=False, reason="unfaithful")

    context = run_context(
        tmp_path,
        ScriptedEngine(),
        texts=["Eins und zwei."],
        check=check,
        choice="translate+learning_note",
        n_variants=2,
    )
    commit = await run(context)
    ((row,), rejects) = rows(context)
    assert row["recipe"] == "translate"
    assert {reject["recipe"] for reject in rejects} == {"learning_note"}
    assert (commit["n_documents_accepted"], commit["n_tokens"]) == (1, row["n_tokens"])
    assert context.progress.n_documents_accepted == 1


async def test_a_document_of_which_too_little_was_rewritten_is_rejected_as_a_whole(tmp_path):
    async def check(chunk, completion, requirements):
        accepted = chunk.document_id == "d1" or chunk.index == 0
        return Verdict(accepted=accepted, reason=None if accepted else "unfaithful", scores={"similarity": 0.9})

    context = run_context(tmp_path, ScriptedEngine(), texts=[sentences(9, "d0"), sentences(2, "d1")], check=check)
    context = dataclasses.replace(context, tools=dataclasses.replace(context.tools, min_rewritten_share=0.5))
    await run(context)
    rewrites, rejects = rows(context)
    assert [row["document_id"] for row in rewrites] == ["d1"]
    (whole,) = [row for row in rejects if row["stage"] == "document"]
    assert (whole["reason"], whole["document_id"]) == ("incomplete", "d0")
    assert whole["detail"].endswith("of the source tokens were rewritten; 50% are required")
    # The document reads through: a rejected chunk has left its source in its place.
    assert whole["text"].lower().split() == sentences(9, "d0").lower().split()
    assert [chunk["source_kept"] for chunk in whole["chunks"]] == [False] + [True] * (len(whole["chunks"]) - 1)


async def test_a_step_that_does_not_translate_leaves_the_language(tmp_path):
    """What is rephrased in German and then translated is translated from German."""
    german = "Der Satz sagt, dass die Summe der Winkel in jedem Dreieck gleich groß ist."
    engine = ScriptedEngine(lambda prompt, _: german)
    await run(run_context(tmp_path, engine, texts=[german], choice="rephrase+translate"))
    (prompt,) = [prompt for prompt in engine.prompts if "You translate" in prompt.system]
    assert "Language: de" in prompt.user


async def test_a_rejected_translation_ends_the_route(tmp_path):
    async def check(chunk, completion, requirements):
        return Verdict(accepted=False, reason="wrong_language")

    context = run_context(
        tmp_path, ScriptedEngine(), texts=["Eins und zwei."], check=check, choice="translate+learning_note"
    )
    await run(context)
    rewrites, rejects = rows(context)
    assert rewrites == []
    assert {row["recipe"] for row in rejects} == {"translate"}


async def test_code_passes_through_unchanged(tmp_path):
    engine = ScriptedEngine()
    context = run_context(tmp_path, engine, texts=["def f(x):\n    return x\n", ""], domain=Domain.CODE)
    commit = await run(context)
    ((row,), (reject,)) = rows(context)
    assert engine.prompts == []
    assert row["text"] == row["source_text"] == "def f(x):\n    return x\n"
    assert row["recipe"] is None
    assert reject["reason"] == "empty_text"
    assert (commit["n_documents_accepted"], commit["n_documents_rejected"]) == (1, 1)


async def test_a_target_ends_the_run_at_the_end_of_a_document_and_a_larger_one_resumes_it(tmp_path):
    texts = [sentences(6, f"d{i}") for i in range(12)]
    generated = []

    def script(prompt, sampling):
        generated.append(passage(prompt))
        return shout(prompt, sampling)

    def shop_for(n_tokens):
        engine = ScriptedEngine(script, max_in_flight=2)
        context = run_context(tmp_path, engine, texts=texts)
        target = Target(n_tokens, expected_chunk_tokens=14)
        return dataclasses.replace(
            context, target=target, scheduler=Scheduler(engine, may_start_chain=target.may_start_chain)
        )

    context = shop_for(150)
    commit = await run(context)
    per_document = 48  # six sentences of seven words and a full stop
    assert commit["n_tokens"] == context.target.n_finished == 4 * per_document
    assert (commit["n_records"], commit["n_records_left"]) == (4, 8)
    assert (commit["n_documents_accepted"], commit["n_documents_rejected"]) == (4, 0)
    assert (context.progress.n_records_done, context.progress.n_tokens) == (4, 192)
    first = rows(context)[0]
    assert len(first) == 4

    context = shop_for(400)
    context.progress.count_part(context.plan.parts[0], 1, commit)  # as the flow does
    commit = await run(context)
    assert commit["n_tokens"] == 9 * per_document
    assert (context.progress.n_records_done, context.progress.n_tokens) == (9, 9 * per_document)
    context = shop_for(None)
    commit = await run(context)
    assert (commit["n_records"], commit["n_records_left"]) == (12, 0)
    assert [row["document_id"] for row in rows(context)[0]] == [f"d{i}" for i in range(12)]
    assert [row for row in rows(context)[0] if row["id"] in {r["id"] for r in first}] == first
    assert len(generated) == len(set(generated))
    assert not (tmp_path / "out" / "journal" / "part-00000").exists()


def with_target(context, n_tokens):
    """The context with a target; its chunks have 14 tokens, so no chain begins that is not needed."""
    target = Target(n_tokens, expected_chunk_tokens=14)
    scheduler = Scheduler(context.tools.engine, may_start_chain=target.may_start_chain)
    return dataclasses.replace(context, target=target, scheduler=scheduler)


async def test_documents_that_are_rejected_as_a_whole_do_not_count_towards_a_target(tmp_path):
    """Of each of the first ten one chunk is accepted: together more tokens than are wanted, and none is kept."""

    async def check(chunk, completion, requirements):
        accepted = chunk.index == 0 or int(chunk.document_id[1:]) >= 10
        return Verdict(accepted=accepted, reason=None if accepted else "unfaithful", scores={"similarity": 0.9})

    texts = [sentences(6, f"d{i}") for i in range(20)]
    context = run_context(tmp_path, ScriptedEngine(max_in_flight=1), texts=texts, check=check)
    context = with_target(
        dataclasses.replace(context, tools=dataclasses.replace(context.tools, min_rewritten_share=0.5)), 48
    )
    commit = await run(context)
    assert commit["n_documents_rejected"] == 10
    assert context.target.reached
    assert commit["n_records_left"] >= 8  # it ends after one or two of the others


async def test_sources_that_are_kept_count_towards_a_target_like_all_else_in_the_output(tmp_path):
    async def check(chunk, completion, requirements):
        return Verdict(accepted=chunk.index == 0, reason="unfaithful", scores={"similarity": 0.9})

    texts = [sentences(6, f"d{i}") for i in range(12)]
    context = with_target(run_context(tmp_path, ScriptedEngine(max_in_flight=1), texts=texts, check=check), 90)
    commit = await run(context)
    assert (commit["n_documents_accepted"], commit["n_records_left"]) == (2, 10)
    assert commit["n_tokens"] == context.target.n_finished == 96


async def written_until_reached(context):
    """The last commit of a part that, as in the flow, is opened again until the target is reached."""
    for _ in range(4):
        if context.target.reached:
            break
        context.scheduler.reopen()
        commit = await run(context)
        context.target.set_part(0, commit["n_tokens"])
    return commit


async def test_variants_that_repeat_others_do_not_count_towards_a_target_of_a_part_that_is_opened_again(tmp_path):
    """As the flow does: what the commit leaves out is written again, until the target is reached."""
    texts = [sentences(6, f"d{i}") for i in range(6)]
    context = run_context(tmp_path, ScriptedEngine(max_in_flight=1), texts=texts, n_variants=2)
    context = with_target(context, 192)
    commit = await written_until_reached(context)
    assert commit["rejects_by_reason"] == {"near_duplicate": 4}
    assert (commit["n_tokens"], commit["n_records_left"]) == (192, 2)


async def test_a_translation_that_all_variants_share_counts_once_in_a_part_that_is_opened_again(tmp_path):
    async def check(chunk, completion, requirements):
        return Verdict(accepted=Check.CROSS_LINGUAL in requirements.checks, reason="unfaithful")

    context = run_context(
        tmp_path,
        ScriptedEngine(max_in_flight=1),
        texts=[sentences(6, f"d{i}") for i in range(6)],
        check=check,
        choice="translate+learning_note",
        n_variants=3,
    )
    context = with_target(context, 144)
    commit = await written_until_reached(context)
    assert commit["n_tokens"] == 144


async def test_a_commit_has_the_usage_and_cost_of_each_recipe(tmp_path):
    context = run_context(tmp_path, ScriptedEngine(delay_s=0.01), texts=TEXTS)
    prices = Prices(per_hour=3600, per_million_prompt_tokens=1e6, per_million_completion_tokens=2e6)
    commit = await run(dataclasses.replace(context, prices=prices))
    ((recipe, usage),) = commit["usage"].items()
    assert recipe == "rephrase"
    assert usage["n_tokens"] == commit["n_tokens"] == sum(row["n_tokens"] for row in rows(context)[0])
    assert usage["engine_s"] == pytest.approx(context.scheduler.engine_s)
    assert usage["engine_s"] >= 3 * 0.01  # the longest chain alone
    expected = usage["engine_s"] + usage["n_prompt_tokens"] + 2 * usage["n_completion_tokens"]
    assert [commit["cost"], context.progress.cost] == pytest.approx([expected, expected])
