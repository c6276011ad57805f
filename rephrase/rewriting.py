"""Rewrite one document: chunk after chunk, each seeing the end of what was written before it."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import sentencex

from rephrase.engine import Engine, PromptTooLongError, RequestRefusedError
from rephrase.recipes import Recipe
from rephrase.records import (
    Chunk,
    ChunkRewrite,
    Completion,
    Document,
    Prompt,
    Rewrite,
    Sampling,
    Variant,
    Verdict,
)
from rephrase.rows import SEAM
from rephrase.tokenizer import Tokenizer


class Check(Protocol):
    """Whether a completion may stand for its chunk."""

    async def __call__(self, chunk: Chunk, completion: Completion) -> Verdict: ...


async def rewrite_document(
    document: Document,
    chunks: Sequence[Chunk],
    variant: Variant,
    recipe: Recipe,
    *,
    engine: Engine,
    tokenizer: Tokenizer,
    check: Check,
    n_retries: int,
    seed: int,
    on_chunk: Callable[[ChunkRewrite], None] = lambda _: None,
) -> Rewrite:
    """One variant of a document. What is refused after `n_retries` further tries stays out of the text that follows.

    `on_chunk` hears of each chunk as soon as it is done.

    Raises:
        EngineError: the engine no longer answers.
    """
    done: list[ChunkRewrite] = []
    for chunk in chunks:
        written = SEAM.join(part.text for part in done if part.verdict.accepted)
        prompt = recipe.render(document, chunk, variant, tail(written, tokenizer, recipe.context_tokens))
        part = await rewrite_chunk(
            chunk,
            prompt,
            variant,
            recipe,
            engine=engine,
            tokenizer=tokenizer,
            check=check,
            n_retries=n_retries,
            seed=seed,
        )
        done.append(part)
        on_chunk(part)
    return Rewrite(document=document, variant=variant, chunks=tuple(done))


async def rewrite_chunk(
    chunk: Chunk,
    prompt: Prompt,
    variant: Variant,
    recipe: Recipe,
    *,
    engine: Engine,
    tokenizer: Tokenizer,
    check: Check,
    n_retries: int,
    seed: int,
) -> ChunkRewrite:
    """Ask until the check accepts, each time with another seed; the last attempt is kept either way."""
    usage = {"n_prompt_tokens": 0, "n_completion_tokens": 0, "n_cached_tokens": 0}
    for attempt in range(1 + n_retries):
        sampling = Sampling(
            temperature=recipe.sampling.temperature,
            top_p=recipe.sampling.top_p,
            max_tokens=recipe.max_output_tokens(chunk),
            seed=attempt_seed(seed, chunk, variant, attempt),
        )
        try:
            completion = await engine.complete(prompt, sampling)
        except (PromptTooLongError, RequestRefusedError) as error:
            # Another seed would not help.
            reason = "prompt_too_long" if isinstance(error, PromptTooLongError) else "request_refused"
            verdict = Verdict(accepted=False, reason=reason, detail=str(error))
            completion = Completion(text="", finish_reason="unknown", n_prompt_tokens=0, n_completion_tokens=0)
        else:
            usage["n_prompt_tokens"] += completion.n_prompt_tokens
            usage["n_completion_tokens"] += completion.n_completion_tokens
            usage["n_cached_tokens"] += completion.n_cached_tokens
            verdict = await check(chunk, completion)
        if verdict.accepted or completion.finish_reason == "unknown":
            break
    text = completion.text.strip()
    return ChunkRewrite(
        chunk=chunk,
        text=text,
        verdict=verdict,
        finish_reason=completion.finish_reason,
        seed=sampling.seed,
        n_attempts=attempt + 1,
        max_tokens=sampling.max_tokens,
        n_tokens=len(tokenizer.starts(text)),
        **usage,
    )


def attempt_seed(seed: int, chunk: Chunk, variant: Variant, attempt: int) -> int:
    """A seed of 31 bits that depends on what is written and not on when or where."""
    name = f"{seed}/{chunk.document_id}/{variant.recipe}/{variant.index}/{chunk.index}/{attempt}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) >> 1


def tail(text: str, tokenizer: Tokenizer, max_tokens: int) -> str:
    """The last sentences of `text` that fit into `max_tokens`; when not even one does, its last `max_tokens` tokens."""
    if not text or max_tokens == 0:
        return ""
    # No token is longer than this, so the rest need not be looked at.
    text = text[-max_tokens * 32 :]
    starts = tokenizer.starts(text)
    if len(starts) <= max_tokens:
        return text
    earliest = starts[len(starts) - max_tokens]
    ends = [boundary["end_index"] for boundary in sentencex.get_sentence_boundaries("en", text)]
    return text[next((end for end in ends if earliest <= end < len(text)), earliest) :].strip()
