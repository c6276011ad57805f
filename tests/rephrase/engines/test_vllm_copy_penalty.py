"""The copy penalty in the real vLLM, with the real model."""

import asyncio

import pytest

from rephrase.corpus.words import words_of
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.records import CopyPenalty, Prompt, Sampling

pytestmark = pytest.mark.model

TEXT = "The treaty was signed in Paris in 1783 and ended the long war between Britain and its colonies across the sea."
PROMPT = Prompt(system="Repeat the text word by word.", user=f"Repeat this text: {TEXT}")


def penalty(amount, words):
    return CopyPenalty(amount=amount, passage=TEXT, word_starts=tuple(word.start for word in words))


async def test_a_penalized_copy_ends_after_four_tokens_and_kept_words_are_copied():
    engine = await asyncio.to_thread(
        VLLMEngine, max_context_tokens=512, options={"max_num_seqs": 4}, penalizes_copies=True
    )

    async def answer(copy_penalty):
        sampling = Sampling(temperature=0, top_p=1, max_tokens=32, seed=0, copy_penalty=copy_penalty)
        return (await engine.complete(PROMPT, sampling)).text.strip()

    words = words_of(TEXT)
    try:
        # In one batch: each request has its own penalty, or none.
        plain, free, penalized, barred = await asyncio.gather(
            answer(None),
            answer(penalty(100.0, [])),
            answer(penalty(100.0, [word for word in words if not word.kept])),
            answer(penalty(100.0, words)),
        )
    finally:
        await engine.close()
    assert plain == free == TEXT[: len(plain)]
    assert len(plain) > 60
    assert penalized.startswith("The treaty was signed")
    assert not penalized.startswith("The treaty was signed in")
    assert barred.startswith("The treaty was signed")
