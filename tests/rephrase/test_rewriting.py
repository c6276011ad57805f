"""A document is a chain: each prompt shows the end of the text so far, and a rejected chunk is retried."""

import asyncio

import pytest
from scripted import ScriptedEngine, WordTokenizer, accept, passage, shout

from rephrase.dataset.rows import ModelInfo, reject_rows, rewrite_row
from rephrase.engines.engine import EngineError, PoisonError, PromptTooLongError, RequestRefusedError
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Check, Chunk, Completion, Discrepancy, Document, Requirements, Variant, Verdict
from rephrase.rewriting import RewriteTools, rewrite_document

RECIPE = load_recipes()["rephrase"]
VARIANT = Variant(index=0, recipe="rephrase", style="lecture", perspective="expert")
INFO = ModelInfo(model="m", model_revision="r", engine="e", seed=0)


def chunks_of(*texts: str) -> tuple[Document, list[Chunk]]:
    document = Document(id="d", text="".join(texts), source="s")
    chunks, start = [], 0
    for index, text in enumerate(texts):
        chunks.append(Chunk(document_id="d", index=index, start=start, end=start + len(text), text=text, n_tokens=4))
        start += len(text)
    return document, chunks


async def rewrite(engine, *texts, check=accept, n_retries=2, seed=0, recipe=RECIPE, variant=VARIANT, **options):
    document, chunks = chunks_of(*texts)
    tools = RewriteTools(
        engine=engine, tokenizer=WordTokenizer(), check=check, n_retries=n_retries, seed=seed, **options
    )
    return await rewrite_document(document, chunks, variant, recipe, tools)


async def test_each_prompt_shows_the_end_of_the_text_so_far():
    engine = ScriptedEngine()
    await rewrite(engine, "First one. ", "Second one. ", "Third one.")
    assert [passage(prompt) for prompt in engine.prompts] == ["First one.", "Second one.", "Third one."]
    assert "Written before" not in engine.prompts[0].user
    assert "\nWritten before: FIRST ONE.\n</context>" in engine.prompts[1].user
    assert "\nWritten before: FIRST ONE. SECOND ONE.\n</context>" in engine.prompts[2].user
    assert len({prompt.system for prompt in engine.prompts}) == 1  # for the prefix cache, and against injection


async def refuse_second(chunk: Chunk, completion: Completion, requirements: Requirements) -> Verdict:
    if chunk.index == 1:
        return Verdict(accepted=False, reason="dissimilar", detail="why")
    return Verdict(accepted=True, scores={"similarity": 0.9})


async def test_a_rejected_chunk_is_retried_with_another_seed_and_left_out():
    seeds = []
    engine = ScriptedEngine(lambda prompt, sampling: seeds.append(sampling.seed) or shout(prompt, sampling))
    result = await rewrite(engine, "One. ", "Two. ", "Three.", check=refuse_second, on_reject="reject")
    assert [part.n_attempts for part in result.chunks] == [1, 3, 1]
    assert len(set(seeds)) == 5
    assert "TWO" not in engine.prompts[-1].user

    row = rewrite_row(result.document, [(result, RECIPE)], INFO)
    assert row["text"] == "ONE.\n\nTHREE."
    assert (row["n_chunks"], row["n_chunks_accepted"], row["similarity"]) == (3, 2, 0.9)
    for chunk in row["chunks"]:
        if chunk["accepted"]:
            source = row["source_text"][chunk["start"] : chunk["end"]].strip()
            assert row["text"][chunk["text_start"] : chunk["text_end"]] == source.upper()
    (reject,) = reject_rows(result.document, result, RECIPE, INFO)
    assert (reject["reason"], reject["detail"], reject["text"], reject["source_text"]) == (
        "dissimilar",
        "why",
        "TWO.",
        "Two. ",
    )
    assert row["n_completion_tokens"] == 1 + 3 + 1


async def test_the_source_may_replace_a_rejected_chunk():
    result = await rewrite(ScriptedEngine(), "One. ", "Two. ", "Three.", check=refuse_second)
    row = rewrite_row(result.document, [(result, RECIPE)], INFO)
    assert row["text"] == "ONE.\n\nTwo.\n\nTHREE."
    kept = row["chunks"][1]
    assert (kept["accepted"], kept["source_kept"], kept["reason"]) == (False, True, "dissimilar")
    assert row["text"][kept["text_start"] : kept["text_end"]] == "Two."
    assert row["n_chunks_accepted"] == 2
    assert [reject["reason"] for reject in reject_rows(result.document, result, RECIPE, INFO)] == ["dissimilar"]


async def test_a_rejected_chunk_may_end_its_document():
    engine = ScriptedEngine()
    result = await rewrite(engine, "One. ", "Two. ", "Three.", check=refuse_second, on_reject="document", n_retries=0)
    assert [part.verdict.accepted for part in result.chunks] == [True, False]
    assert [passage(prompt) for prompt in engine.prompts] == ["One.", "Two."]


async def test_the_next_prompt_names_what_the_last_attempt_lost():
    async def misses_the_year(chunk: Chunk, completion: Completion, requirements: Requirements) -> Verdict:
        if "1783" in completion.text:
            return Verdict(accepted=True)
        start = chunk.text.index("1783")
        lost = Discrepancy(
            kind="date",
            problem="missing",
            source=(start, start + 4),
            rewrite=None,
            detail="1783 of the source is missing",
        )
        return Verdict(accepted=False, reason="date_missing", discrepancies=(lost,))

    engine = ScriptedEngine(lambda prompt, _: "IN 1783." if "Keep exactly: 1783" in prompt.user else "LONG AGO.")
    result = await rewrite(engine, "It was signed in 1783.", check=misses_the_year)
    assert [prompt.user.rsplit("</text>", 1)[1].strip() for prompt in engine.prompts] == ["", "Keep exactly: 1783."]
    assert (result.chunks[0].text, result.chunks[0].n_attempts) == ("IN 1783.", 2)


async def test_the_same_run_draws_the_same_seeds_and_another_run_different_ones():
    def seeds_into(found):
        return ScriptedEngine(lambda prompt, sampling: found.append(sampling.seed) or "x")

    first, second, third = [], [], []
    await rewrite(seeds_into(first), "One. ", "Two.")
    await rewrite(seeds_into(second), "One. ", "Two.")
    await rewrite(seeds_into(third), "One. ", "Two.", seed=1)
    assert first == second
    assert not set(first) & set(third)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PromptTooLongError("long"), "prompt_too_long"),
        (RequestRefusedError("no"), "request_refused"),
        (PoisonError("died"), "engine_killed"),
    ],
)
async def test_a_prompt_the_engine_refuses_is_a_reject_and_the_rest_continues(error, reason):
    engine = ScriptedEngine(lambda prompt, _: error if passage(prompt) == "Two." else passage(prompt).upper())
    result = await rewrite(engine, "One. ", "Two. ", "Three.")
    assert [part.verdict.reason for part in result.chunks] == [None, reason, None]
    assert result.chunks[1].n_attempts == 1


async def test_a_dead_engine_stops_the_document():
    engine = ScriptedEngine(lambda *_: EngineError("dead"))
    with pytest.raises(EngineError):
        await rewrite(engine, "One.")


async def test_a_sentence_repeated_at_the_boundary_is_removed_and_counted():
    answers = iter(["The war ended in autumn. Peace came at last.", "Peace came at last. Trade grew again."])
    result = await rewrite(ScriptedEngine(lambda *_: next(answers)), "One. ", "Two.")
    assert [part.text for part in result.chunks] == [
        "The war ended in autumn. Peace came at last.",
        "Trade grew again.",
    ]
    assert [part.n_sentences_removed for part in result.chunks] == [0, 1]


async def test_a_chunk_that_starts_the_text_over_is_rejected():
    answers = iter(["The war ended in autumn.", "In this article we look at the war.", "Then trade grew."])
    result = await rewrite(ScriptedEngine(lambda *_: next(answers)), "One. ", "Two.", n_retries=1)
    assert result.chunks[1].text == "Then trade grew."
    result = await rewrite(ScriptedEngine(lambda *_: "The war ended in autumn."), "One. ", "Two.", n_retries=1)
    assert result.chunks[1].verdict.reason == "restart"


async def test_the_delimiters_of_a_passage_are_not_part_of_a_rewrite():
    result = await rewrite(ScriptedEngine(lambda prompt, _: prompt.user), "One.")
    assert result.chunks[0].text == "One."


MASKING = RECIPE.model_copy(update={"mask_formulas": True})


async def test_formulas_are_masked_and_come_back_unchanged():
    engine = ScriptedEngine(lambda prompt, _: "Es gilt " + passage(prompt).split()[1])
    result = await rewrite(engine, "holds $x^2$ here", recipe=MASKING)
    assert passage(engine.prompts[0]) == "holds ⟦1⟧ here"
    assert result.chunks[0].text == "Es gilt $x^2$"


async def test_a_lost_formula_is_retried_and_then_rejected():
    engine = ScriptedEngine(lambda *_: "nothing here.")
    result = await rewrite(engine, "holds $x^2$ here", recipe=MASKING)
    assert len(engine.prompts) == 3
    assert (result.chunks[0].verdict.reason, result.chunks[0].verdict.detail) == ("formula_lost", "formula lost: $x^2$")


async def test_a_glossary_is_requested_between_chunks_and_carried_along():
    recipe = load_recipes()["translate"].model_copy(update={"mask_formulas": False})

    def answer(prompt, _):
        if "technical terms" in prompt.user:
            return "Satz = theorem\nLüge = lie\n"
        return "The theorem is said." if "zwei" not in passage(prompt) else "The theorem is two."

    engine = ScriptedEngine(answer)
    document, chunks = chunks_of("Der Satz. ", "Satz zwei.")
    tools = RewriteTools(engine=engine, tokenizer=WordTokenizer(), check=accept, n_retries=0, seed=0)
    variant = Variant(index=0, recipe="translate", style="faithful", perspective="")
    result = await rewrite_document(document, chunks, variant, recipe, tools)
    assert len(engine.prompts) == 3
    assert "Terms: Satz = theorem; " in engine.prompts[2].user
    assert "Lüge" not in engine.prompts[2].user
    assert result.chunks[0].n_prompt_tokens == 20  # the glossary request counts


async def test_what_the_model_thinks_reaches_neither_the_text_nor_the_next_prompt():
    answers = iter(["<think>A secret.</think>\n\nOnce there was war.", "A secret.\n</think>\nThen came peace."])
    engine = ScriptedEngine(lambda *_: next(answers))
    result = await rewrite(engine, "One. ", "Two.")
    assert [part.text for part in result.chunks] == ["Once there was war.", "Then came peace."]
    assert "secret" not in engine.prompts[1].system + engine.prompts[1].user


async def test_a_thought_that_is_cut_off_is_retried_and_then_rejected():
    cut_off = Completion(text="<think>So, a secret", finish_reason="length", n_prompt_tokens=9, n_completion_tokens=5)
    engine = ScriptedEngine(lambda *_: cut_off)
    result = await rewrite(engine, "One.")
    assert len(engine.prompts) == 3
    assert (result.chunks[0].verdict.reason, result.chunks[0].text) == ("thought_cut_off", "")
    answers = iter([cut_off, "It was one."])
    result = await rewrite(ScriptedEngine(lambda *_: next(answers)), "One.")
    assert (result.chunks[0].verdict.reason, result.chunks[0].text) == (None, "It was one.")


async def test_a_glossary_has_no_terms_that_the_model_only_thinks_of():
    recipe = load_recipes()["translate"].model_copy(update={"mask_formulas": False})

    def answer(prompt, _):
        if "technical terms" in prompt.user:
            return "<think>\nSatz = said\n</think>\nSatz = theorem\n"
        return "The theorem is said." if "zwei" not in passage(prompt) else "The theorem is two."

    engine = ScriptedEngine(answer)
    document, chunks = chunks_of("Der Satz. ", "Satz zwei.")
    tools = RewriteTools(engine=engine, tokenizer=WordTokenizer(), check=accept, n_retries=0, seed=0)
    variant = Variant(index=0, recipe="translate", style="faithful", perspective="")
    await rewrite_document(document, chunks, variant, recipe, tools)
    assert "Terms: Satz = theorem; " in engine.prompts[2].user


PIECEWISE = RECIPE.model_copy(update={"piece_sentences": 1, "forms": {}})
FIVE = [f"The {name} sentence has six words." for name in ("first", "second", "third", "fourth", "fifth")]


def refusing(*names):
    async def check(chunk, completion, requirements):
        if any(f"the {name} sentence".upper() == chunk.text[: len(f"the {name} sentence")].upper() for name in names):
            return Verdict(accepted=False, reason="unfaithful", detail=chunk.text)
        return Verdict(accepted=True)

    return check


async def test_a_chunk_is_rewritten_in_pieces_that_see_what_was_written():
    engine = ScriptedEngine()
    result = await rewrite(engine, " ".join(FIVE), recipe=PIECEWISE)
    assert [passage(prompt) for prompt in engine.prompts] == FIVE
    assert f"Written before: {FIVE[0].upper()} {FIVE[1].upper()}" in engine.prompts[2].user
    (part,) = result.chunks
    assert part.text == " ".join(FIVE).upper()
    assert part.n_completion_tokens == 5 * 6


async def test_a_rejected_piece_stays_as_it_is():
    checked = []

    async def check(chunk, completion, requirements):
        checked.append((chunk.text, completion.text))
        return await refusing("second")(chunk, completion, requirements)

    result = await rewrite(ScriptedEngine(), " ".join(FIVE), recipe=PIECEWISE, check=check, n_retries=1)
    (part,) = result.chunks
    assert part.verdict.accepted
    assert part.text == " ".join([FIVE[0].upper(), FIVE[1], *(text.upper() for text in FIVE[2:])])
    assert part.n_attempts == 2
    assert checked[-1] == (" ".join(FIVE), part.text)  # the whole is checked too


async def test_too_many_rejected_pieces_reject_the_chunk():
    engine = ScriptedEngine()
    check = refusing("first", "second", "third")
    result = await rewrite(engine, " ".join(FIVE), recipe=PIECEWISE, check=check, n_retries=0)
    (part,) = result.chunks
    assert (part.verdict.accepted, part.verdict.reason) == (False, "unfaithful")
    assert len(engine.prompts) == 3  # nothing more is generated for it
    assert part.text == " ".join([*FIVE[:2], FIVE[2].upper()])
    assert part.verdict.detail == f"too many sentences are rejected, the last one because: {FIVE[2]}"


async def test_a_rejected_piece_shows_its_places_in_the_chunk():
    async def check(chunk, completion, requirements):
        word = chunk.text.index("has"), chunk.text.index("has") + 3
        wrong = Discrepancy(
            kind="number", problem="changed", source=word, rewrite=word, detail="HAS; the source has has"
        )
        return Verdict(
            accepted=not chunk.text.startswith(("The second", "The third", "The fourth")), discrepancies=(wrong,)
        )

    result = await rewrite(ScriptedEngine(), f"# Head\n\n{' '.join(FIVE)}", recipe=PIECEWISE, check=check, n_retries=0)
    (part,) = result.chunks
    (wrong,) = part.verdict.discrepancies
    assert part.chunk.text[: wrong.source[0]].endswith("The fourth sentence ")
    assert part.text[: wrong.rewrite[0]].endswith("THE FOURTH SENTENCE ")


async def test_a_chunk_without_prose_is_rewritten_as_a_whole():
    text = "# A heading\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n# Another"
    result = await rewrite(ScriptedEngine(), text, recipe=PIECEWISE)
    assert [part.text for part in result.chunks] == [text.upper() + "."]


async def test_in_a_style_with_a_form_a_rejected_piece_rejects_the_chunk():
    recipe = PIECEWISE.model_copy(update={"forms": {"lecture": "questions"}})
    result = await rewrite(ScriptedEngine(), " ".join(FIVE), recipe=recipe, check=refusing("first"), n_retries=0)
    assert result.chunks[0].verdict.reason == "unfaithful"


SEES_NOTHING = RECIPE.for_model(135e6).model_copy(update={"compose": {}, "forms": {}, "candidates": 1})


async def always_room():
    await asyncio.sleep(0)


@pytest.mark.parametrize(("recipe", "most_running"), [(PIECEWISE, 1), (SEES_NOTHING, 10)])
async def test_passages_are_written_ahead_of_their_turn_where_no_prompt_shows_what_was_written(recipe, most_running):
    variant = Variant(index=0, recipe="rephrase", style=next(iter(recipe.styles)), perspective="")
    texts = [" ".join(FIVE) + " ", " ".join(text.replace("six", "five or six") for text in FIVE)]
    check = refusing("second")
    engine, ahead = ScriptedEngine(delay_s=0.05), ScriptedEngine(delay_s=0.05)
    in_order = await rewrite(engine, *texts, recipe=recipe, variant=variant, check=check, n_retries=1)
    at_once = await rewrite(
        ahead, *texts, recipe=recipe, variant=variant, check=check, n_retries=1, spare_slot=always_room
    )
    assert engine.most_running == 1
    assert ahead.most_running == most_running
    assert at_once == in_order
    assert [part.verdict.accepted for part in at_once.chunks] == [True, True]


async def test_what_was_written_ahead_for_a_rejected_chunk_is_dropped():
    variant = Variant(index=0, recipe="rephrase", style="question_answer", perspective="")
    recipe = SEES_NOTHING.model_copy(update={"forms": {"question_answer": "questions"}})
    engine = ScriptedEngine(delay_s=0.05)
    result = await rewrite(
        engine,
        " ".join(FIVE),
        recipe=recipe,
        variant=variant,
        check=refusing("first"),
        n_retries=0,
        spare_slot=always_room,
    )
    assert result.chunks[0].n_completion_tokens == 6
    assert engine.n_running == 0


@pytest.mark.parametrize(("third", "reason"), [(FIVE[0], "restart"), (FIVE[1], "repetition")])
async def test_a_sentence_written_ahead_may_not_start_over_or_repeat_what_it_follows(third, reason):
    variant = Variant(index=0, recipe="rephrase", style="question_answer", perspective="")
    text = " ".join([*FIVE[:2], third, FIVE[3]])
    result = await rewrite(ScriptedEngine(), text, recipe=SEES_NOTHING, variant=variant, spare_slot=always_room)
    assert result.chunks[0].text == " ".join([FIVE[0].upper(), FIVE[1].upper(), third, FIVE[3].upper()])
    with_form = SEES_NOTHING.model_copy(update={"forms": {"question_answer": "questions"}})
    result = await rewrite(ScriptedEngine(), text, recipe=with_form, variant=variant, spare_slot=always_room)
    assert result.chunks[0].verdict.reason == reason


async def test_a_heading_that_stays_starts_nothing_over():
    variant = Variant(index=0, recipe="rephrase", style="question_answer", perspective="")
    texts = [f"{' '.join(FIVE[:2])}\n\n", f"## Introduction\n\n{' '.join(FIVE[2:])}"]
    result = await rewrite(ScriptedEngine(), *texts, recipe=SEES_NOTHING, variant=variant, spare_slot=always_room)
    assert [part.verdict.accepted for part in result.chunks] == [True, True]


async def test_a_translation_does_not_keep_the_source_of_a_rejected_chunk():
    recipe = RECIPE.model_copy(update={"checks": (Check.CROSS_LINGUAL,)})
    result = await rewrite(ScriptedEngine(), "One. ", "Two. ", "Three.", check=refuse_second, recipe=recipe)
    assert [part.final_text for part in result.chunks] == ["ONE.", None, "THREE."]
