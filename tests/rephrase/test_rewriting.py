"""A document is a chain: each chunk sees the end of what was written, and a refused one is tried again."""

import pytest
from scripted import ScriptedEngine, WordTokenizer, accept

from rephrase.engine import EngineError, PromptTooLongError, RequestRefusedError
from rephrase.recipes import load_recipes
from rephrase.records import Chunk, Completion, Document, Variant, Verdict
from rephrase.rewriting import rewrite_document, tail
from rephrase.rows import Provenance, reject_rows, rewrite_row

RECIPE = load_recipes()["rephrase"]
VARIANT = Variant(index=0, recipe="rephrase", style="lecture", perspective="expert")
PROVENANCE = Provenance(
    model="m", model_revision="r", engine="e", recipe_version=1, prompt_hash="h", temperature=0.5, top_p=0.9, seed=0
)


def chunks_of(*texts: str) -> tuple[Document, list[Chunk]]:
    document = Document(id="d", text="".join(texts), source="s")
    chunks, start = [], 0
    for index, text in enumerate(texts):
        chunks.append(Chunk(document_id="d", index=index, start=start, end=start + len(text), text=text, n_tokens=4))
        start += len(text)
    return document, chunks


async def rewrite(engine, *texts, check=accept, n_retries=2, seed=0):
    document, chunks = chunks_of(*texts)
    return await rewrite_document(
        document,
        chunks,
        VARIANT,
        RECIPE,
        engine=engine,
        tokenizer=WordTokenizer(),
        check=check,
        n_retries=n_retries,
        seed=seed,
    )


async def test_each_prompt_carries_the_end_of_what_was_written():
    engine = ScriptedEngine()
    await rewrite(engine, "First one. ", "Second one. ", "Third one.")
    assert [prompt.user for prompt in engine.prompts] == ["First one.", "Second one.", "Third one."]
    assert "continues a text" not in engine.prompts[0].system
    assert engine.prompts[1].system.endswith("that ends: FIRST ONE.")
    assert engine.prompts[2].system.endswith("that ends: FIRST ONE.\n\nSECOND ONE.")


async def refuse_second(chunk: Chunk, completion: Completion) -> Verdict:
    if chunk.index == 1:
        return Verdict(accepted=False, reason="dissimilar", detail="why")
    return Verdict(accepted=True, scores={"similarity": 0.9})


async def test_a_refused_chunk_is_tried_again_with_another_seed_and_left_out():
    seeds = []
    engine = ScriptedEngine(lambda prompt, sampling: seeds.append(sampling.seed) or prompt.user.upper())
    result = await rewrite(engine, "One. ", "Two. ", "Three.", check=refuse_second)
    assert [part.n_attempts for part in result.chunks] == [1, 3, 1]
    assert len(set(seeds)) == 5
    assert "TWO" not in engine.prompts[-1].system

    row = rewrite_row(result, PROVENANCE)
    assert row["text"] == "ONE.\n\nTHREE."
    assert (row["n_chunks"], row["n_chunks_accepted"], row["similarity"]) == (3, 2, 0.9)
    for chunk in row["chunks"]:
        if chunk["accepted"]:
            source = row["source_text"][chunk["start"] : chunk["end"]].strip()
            assert row["text"][chunk["text_start"] : chunk["text_end"]] == source.upper()
    (reject,) = reject_rows(result, PROVENANCE)
    assert (reject["reason"], reject["detail"], reject["text"], reject["source_text"]) == (
        "dissimilar",
        "why",
        "TWO.",
        "Two. ",
    )
    assert row["n_completion_tokens"] == 1 + 3 + 1


async def test_the_same_run_draws_the_same_seeds_and_another_run_others():
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
    [(PromptTooLongError("long"), "prompt_too_long"), (RequestRefusedError("no"), "request_refused")],
)
async def test_a_prompt_the_engine_refuses_is_a_reject_and_the_rest_goes_on(error, reason):
    engine = ScriptedEngine(lambda prompt, _: error if prompt.user == "Two." else prompt.user.upper())
    result = await rewrite(engine, "One. ", "Two. ", "Three.")
    assert [part.verdict.reason for part in result.chunks] == [None, reason, None]
    assert result.chunks[1].n_attempts == 1


async def test_a_dead_engine_stops_the_document():
    engine = ScriptedEngine(lambda *_: EngineError("dead"))
    with pytest.raises(EngineError):
        await rewrite(engine, "One.")


@pytest.mark.parametrize(
    ("text", "max_tokens", "expected"),
    [
        ("One two. Three four.", 10, "One two. Three four."),
        ("One two. Three four.", 4, "Three four."),
        ("One two three four five.", 3, "four five."),
        ("One two.", 0, ""),
        ("", 5, ""),
    ],
)
def test_the_tail_is_cut_at_a_sentence(text, max_tokens, expected):
    assert tail(text, WordTokenizer(), max_tokens) == expected
