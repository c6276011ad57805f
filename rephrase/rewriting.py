"""Rewrite one document chunk by chunk; the prompt of each chunk shows the end of the text written so far."""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rephrase.dataset.rows import CHUNK_SEPARATOR
from rephrase.engines.engine import Engine, PromptTooLongError, RequestRefusedError
from rephrase.models.tokenizer import Tokenizer
from rephrase.prompting.boundaries import find_restart, remove_overlap
from rephrase.prompting.context import Context, make_context
from rephrase.prompting.glossary import request_glossary
from rephrase.prompting.hints import make_hint
from rephrase.prompting.masking import MaskedText, PlaceholderError, mask
from rephrase.prompting.recipes import Recipe, delimiter
from rephrase.prompting.thoughts import ThoughtCutOffError, without_thought
from rephrase.records import (
    Chunk,
    ChunkRewrite,
    Completion,
    Document,
    Requirements,
    Rewrite,
    Sampling,
    Variant,
    Verdict,
)


class Checker(Protocol):
    """Decides whether a completion may replace its chunk."""

    async def __call__(self, chunk: Chunk, completion: Completion, requirements: Requirements) -> Verdict: ...


# How to handle a chunk that is rejected after all attempts: leave it out ("reject"), keep its source in its place
# ("keep"), or reject the whole document ("document").
OnReject = Literal["reject", "keep", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteTools:
    """The engine, tokenizer, checker and settings that rewriting uses for every document."""

    engine: Engine
    tokenizer: Tokenizer
    check: Checker
    n_retries: int
    seed: int
    on_reject: OnReject = "reject"


async def rewrite_document(
    document: Document,
    chunks: Sequence[Chunk],
    variant: Variant,
    recipe: Recipe,
    tools: RewriteTools,
    on_chunk: Callable[[ChunkRewrite], None] = lambda _: None,
) -> Rewrite:
    """Write one variant of a document.

    A chunk rejected after all attempts stays out of the prompts that follow. Where a rejected chunk rejects the whole
    document, the chunks after it are not generated.

    Args:
        on_chunk: called with each chunk as soon as it is done.

    Raises:
        EngineError: the engine no longer answers.
    """
    done: list[ChunkRewrite] = []
    glossary: dict[str, str] = {}
    for chunk in chunks:
        if not chunk.text.strip():
            continue  # whitespace needs no rewriting
        written = CHUNK_SEPARATOR.join(part.text for part in done if part.verdict.accepted)
        context = make_context(document.text, chunk, written, glossary, tools.tokenizer, recipe.context_tokens)
        part = await rewrite_chunk(document, chunk, variant, recipe, context, written, tools)
        if part.verdict.accepted and chunk is not chunks[-1]:
            terms, part = await request_glossary(part, recipe, tools.engine)
            glossary |= terms
        elif not part.verdict.accepted and tools.on_reject == "keep":
            part = dataclasses.replace(part, source_kept=True)
        done.append(part)
        on_chunk(part)
        if not part.verdict.accepted and tools.on_reject == "document":
            break
    return Rewrite(document=document, variant=variant, chunks=tuple(done))


async def rewrite_chunk(
    document: Document,
    chunk: Chunk,
    variant: Variant,
    recipe: Recipe,
    context: Context,
    written: str,
    tools: RewriteTools,
) -> ChunkRewrite:
    """Generate until the checks accept, each time with another seed and a hint at what was wrong with the last attempt.

    Returns the last attempt, accepted or not.
    """
    requirements = recipe.requirements(variant.style)
    masked = mask(chunk.text.strip()) if recipe.mask_formulas else MaskedText(chunk.text.strip(), ())
    hint = ""
    usage = {"n_prompt_tokens": 0, "n_completion_tokens": 0, "n_cached_tokens": 0}
    n_removed = 0
    for attempt in range(1 + tools.n_retries):
        sampling = Sampling(
            temperature=recipe.sampling.temperature,
            top_p=recipe.sampling.top_p,
            max_tokens=recipe.max_output_tokens(chunk),
            seed=attempt_seed(tools.seed, chunk, variant, attempt),
        )
        prompt = recipe.render(document, chunk, variant, context, masked.text, hint)
        try:
            completion = await tools.engine.complete(prompt, sampling)
        except (PromptTooLongError, RequestRefusedError) as error:
            # Another seed would not help.
            verdict = Verdict(accepted=False, reason=error.reason, detail=str(error))
            completion = Completion(text="", finish_reason="unknown", n_prompt_tokens=0, n_completion_tokens=0)
            break
        usage["n_prompt_tokens"] += completion.n_prompt_tokens
        usage["n_completion_tokens"] += completion.n_completion_tokens
        usage["n_cached_tokens"] += completion.n_cached_tokens
        text, n_removed = "", 0
        try:
            # First of all: neither the checks nor the prompts that follow may see what the model thinks.
            answer = without_thought(completion.text, f"{masked.text}\n{written}")
            text, n_removed = remove_overlap(written, _without_delimiter(answer, chunk))
            text = masked.restore(text)
        except ThoughtCutOffError as error:
            verdict = Verdict(accepted=False, reason="thought_cut_off", detail=str(error))
        except PlaceholderError as error:
            verdict = Verdict(accepted=False, reason="formula_lost", detail=str(error))
        else:
            verdict = await tools.check(chunk, dataclasses.replace(completion, text=text), requirements)
        completion = dataclasses.replace(completion, text=text)
        if verdict.accepted and (opening := find_restart(written, text)):
            verdict = dataclasses.replace(
                verdict, accepted=False, reason="restart", detail=f"it starts over: {opening}"
            )
        if verdict.accepted:
            break
        hint = make_hint(verdict, chunk)
    return ChunkRewrite(
        chunk=chunk,
        text=completion.text,
        verdict=verdict,
        finish_reason=completion.finish_reason,
        seed=sampling.seed,
        n_attempts=attempt + 1,
        n_sentences_removed=n_removed,
        max_tokens=sampling.max_tokens,
        n_tokens=len(tools.tokenizer.token_starts(completion.text)),
        source_kept=False,
        **usage,
    )


def _without_delimiter(text: str, chunk: Chunk) -> str:
    """Some models repeat the delimiters around the passage."""
    return re.sub(rf"<text id={delimiter(chunk)}>|</text>", "", text).strip()


def attempt_seed(seed: int, chunk: Chunk, variant: Variant, attempt: int) -> int:
    """A 31-bit seed that depends only on what is written, not on when or where."""
    name = f"{seed}/{chunk.document_id}/{variant.recipe}/{variant.index}/{chunk.index}/{attempt}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) >> 1
