"""Rewrite one document chunk by chunk; the prompt of each chunk shows the end of the text written so far.

Where a recipe's prompts show nothing of that, passages are written ahead of their turn while the engine has room: the
result is the same.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from rephrase.corpus.pieces import Piece, join_pieces
from rephrase.dataset.rows import CHUNK_SEPARATOR
from rephrase.engines.engine import Engine
from rephrase.models.tokenizer import Tokenizer
from rephrase.passages import Attempt, BackChecker, Checker, Passage, rewrite_passage
from rephrase.prompting.context import make_context
from rephrase.prompting.glossary import request_glossary
from rephrase.prompting.recipes import Recipe
from rephrase.records import (
    Chunk,
    ChunkRewrite,
    Completion,
    Document,
    Requirements,
    Rewrite,
    TokenUsage,
    Variant,
)
from rephrase.scheduling.ahead import work_ahead

# How to handle a chunk that is rejected after all attempts: leave it out ("reject"), keep its source in its place
# ("keep"), or reject the whole document ("document").
OnReject = Literal["reject", "keep", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteTools:
    """The engine, tokenizer, checker and settings that rewriting uses for every document."""

    engine: Engine
    tokenizer: Tokenizer
    check: Checker
    check_back: BackChecker | None = None  # without one, translations are not translated back
    n_retries: int
    seed: int
    n_candidates: int | None = None  # by default as many as the recipe says
    on_reject: OnReject = "keep"
    min_rewritten_share: float = 0.0  # of a document's source tokens
    # Returns once the engine has room for a request that may wait; without it, nothing is written ahead of its turn.
    spare_slot: Callable[[], Awaitable[None]] | None = None


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

    async def rewrite(chunk: Chunk) -> ChunkRewrite:
        # Where no prompt shows it, what comes before may not be done.
        before = done if recipe.shows_written else []
        written = CHUNK_SEPARATOR.join(part.text for part in before if part.verdict.accepted)
        return await rewrite_chunk(document, chunk, variant, recipe, glossary, written, tools)

    with_text = [chunk for chunk in chunks if chunk.text.strip()]  # whitespace needs no rewriting
    async with aclosing(work_ahead(with_text, rewrite, _spare_slot(recipe, tools))) as parts:
        async for part in parts:
            if part.verdict.accepted and part.chunk is not chunks[-1]:
                terms, part = await request_glossary(part, recipe, tools.engine)
                glossary |= terms
            elif not part.verdict.accepted and tools.on_reject == "keep" and not recipe.translates:
                part = dataclasses.replace(part, source_kept=True)
            done.append(part)
            on_chunk(part)
            if not part.verdict.accepted and tools.on_reject == "document":
                break
    return Rewrite(document=document, variant=variant, chunks=tuple(done))


def _spare_slot(recipe: Recipe, tools: RewriteTools) -> Callable[[], Awaitable[None]] | None:
    return None if recipe.shows_written else tools.spare_slot


async def rewrite_chunk(
    document: Document,
    chunk: Chunk,
    variant: Variant,
    recipe: Recipe,
    glossary: Mapping[str, str],
    written: str,
    tools: RewriteTools,
) -> ChunkRewrite:
    """Rewrite a chunk at once, or piece by piece where the recipe asks for it.

    A piece that is rejected after all attempts is left as it is in the source, and a chunk of pieces is checked as a
    whole. A style with a form of its own, such as questions, has no room for the source: there the first rejected piece
    rejects the chunk, as do elsewhere so many that too little new wording could be left.
    """
    requirements = recipe.requirements(variant.style)

    async def rewrite(source: Chunk, requirements: Requirements, written: str) -> Attempt:
        context = make_context(document.text, source, written, glossary, tools.tokenizer, recipe.context_tokens)
        return await rewrite_passage(
            Passage(document=document, source=source, variant=variant, context=context, written=written),
            recipe,
            requirements,
            engine=tools.engine,
            tokenizer=tools.tokenizer,
            check=tools.check,
            check_back=tools.check_back,
            n_candidates=tools.n_candidates or recipe.candidates,
            n_retries=tools.n_retries,
            seed=tools.seed,
        )

    pieces = recipe.pieces(chunk, tools.tokenizer)
    if not pieces:
        return _chunk_rewrite(chunk, await rewrite(chunk, requirements, written), tools.tokenizer)
    texts: list[str] = []
    attempts: list[Attempt] = []
    n_prose_tokens = sum(piece.passage.n_tokens for piece in pieces if piece.prose)
    n_left_tokens = (1 - requirements.reworded) * n_prose_tokens if requirements.form is None else 0.0

    async def rewrite_piece(piece: Piece) -> Attempt:
        before = (written, join_pieces(pieces, texts)) if recipe.shows_written else ()
        return await rewrite(piece.passage, requirements.of_piece(), CHUNK_SEPARATOR.join(filter(None, before)))

    prose = [piece for piece in pieces if piece.prose]
    async with aclosing(work_ahead(prose, rewrite_piece, _spare_slot(recipe, tools))) as found:
        for piece in pieces:
            text = piece.passage.text
            if piece.prose:
                attempt = await anext(found)
                if not recipe.shows_written:
                    attempt = attempt.following(join_pieces(pieces, texts))
                attempts.append(attempt)
                if attempt.verdict.accepted:
                    text = attempt.text
                else:
                    n_left_tokens -= piece.passage.n_tokens
                    if n_left_tokens < 0:
                        rejected = _as_chunk(chunk, pieces, texts, _summed(attempts))
                        return _chunk_rewrite(chunk, rejected, tools.tokenizer)
            texts.append(text)
    whole = Completion(text=join_pieces(pieces, texts), finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=0)
    verdict = await tools.check(chunk, whole, requirements)
    attempt = dataclasses.replace(_summed(attempts), text=whole.text, verdict=verdict, finish_reason="stop")
    return _chunk_rewrite(chunk, attempt, tools.tokenizer)


def _as_chunk(chunk: Chunk, pieces: Sequence[Piece], texts: Sequence[str], attempt: Attempt) -> Attempt:
    """The attempt at the piece that follows `texts` as one at the chunk, which it rejects: what was written so far."""
    piece = pieces[len(texts)].passage
    text = join_pieces(pieces, [*texts, attempt.text])
    in_source, in_text = piece.start - chunk.start, len(text) - len(attempt.text)
    verdict = attempt.verdict
    return dataclasses.replace(
        attempt,
        text=text,
        verdict=dataclasses.replace(
            verdict,
            detail=f"too many sentences are rejected, the last one because: {verdict.detail}"
            if texts
            else verdict.detail,
            discrepancies=tuple(found.shifted(in_source, in_text) for found in verdict.discrepancies),
        ),
    )


def _summed(attempts: Sequence[Attempt]) -> Attempt:
    """The last attempt, with the tokens and removed sentences of all."""
    return dataclasses.replace(
        attempts[-1],
        n_attempts=max(attempt.n_attempts for attempt in attempts),
        n_sentences_removed=sum(attempt.n_sentences_removed for attempt in attempts),
        usage=sum((attempt.usage for attempt in attempts), TokenUsage()),
    )


def _chunk_rewrite(chunk: Chunk, attempt: Attempt, tokenizer: Tokenizer) -> ChunkRewrite:
    return ChunkRewrite(
        chunk=chunk,
        text=attempt.text,
        verdict=attempt.verdict,
        finish_reason=attempt.finish_reason,
        seed=attempt.seed,
        n_attempts=attempt.n_attempts,
        n_sentences_removed=attempt.n_sentences_removed,
        max_tokens=attempt.max_tokens,
        n_tokens=len(tokenizer.token_starts(attempt.text)),
        source_kept=False,
        **dataclasses.asdict(attempt.usage),
    )
