"""Rewrite one passage: several candidates at once, the best that passes, and another try where none does.

A run of N candidates and R retries generates at most N x (1 + R) texts for a passage: each retry draws N new ones.
"""

import asyncio
import dataclasses
import hashlib
import math
from dataclasses import dataclass
from typing import Protocol

from rephrase.corpus.protected import outermost, protected_spans, with_drawings
from rephrase.corpus.words import words_of
from rephrase.engines.engine import Engine, RequestRefusedError
from rephrase.models.tokenizer import Tokenizer
from rephrase.prompting.back_translation import request_back_translation, source_language
from rephrase.prompting.borders import release
from rephrase.prompting.boundaries import find_repetition, find_restart, remove_overlap
from rephrase.prompting.context import Context
from rephrase.prompting.echoes import find_example_echo
from rephrase.prompting.hints import make_hint
from rephrase.prompting.masking import MaskedText, PlaceholderError, mask
from rephrase.prompting.recipes import Recipe
from rephrase.prompting.thoughts import ThoughtCutOffError, without_thought
from rephrase.records import (
    Check,
    Chunk,
    Completion,
    CopyPenalty,
    Document,
    FinishReason,
    Prompt,
    Requirements,
    Sampling,
    TokenUsage,
    Variant,
    Verdict,
)

# Of two candidates by a 1.5B model of which one is faithful, complete and fluent, this weight ranks it first most often
# (docs/fidelity.md); anything from 0.05 to 0.2 does nearly as well.
LOGPROB_WEIGHT = 0.1


class BackChecker(Protocol):
    """Decides whether a translation may stay accepted, once it was translated back into the source's language."""

    def __call__(
        self, chunk: Chunk, back: Completion, language: str, requirements: Requirements, verdict: Verdict
    ) -> Verdict: ...


class Checker(Protocol):
    """Decides whether a completion may replace its chunk."""

    async def __call__(self, chunk: Chunk, completion: Completion, requirements: Requirements) -> Verdict: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What is rewritten at once: a chunk, or some of its sentences, with what its prompt shows besides it.

    `written` is all of the rewritten document so far, of which the context holds the end; it is empty where no prompt
    shows it.
    """

    document: Document
    source: Chunk
    variant: Variant
    context: Context
    written: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The best candidate for a passage, accepted or not; `usage` is that of all candidates of all attempts."""

    text: str
    verdict: Verdict
    logprob: float | None  # of the completion, in nats
    finish_reason: FinishReason
    seed: int
    n_attempts: int
    refused: bool  # by the engine, which would refuse it again
    n_sentences_removed: int  # at the boundary, because they repeated what was written before
    max_tokens: int
    usage: TokenUsage

    def following(self, written: str) -> "Attempt":
        """This attempt after `written`, which its prompt did not show: it may not start over, or repeat the end."""
        verdict = _reject_restart(self.verdict, written, self.text)
        if verdict.accepted and (repeated := find_repetition(written, self.text)):
            detail = f"it repeats what comes before it: {repeated}"
            verdict = dataclasses.replace(verdict, accepted=False, reason="repetition", detail=detail)
        return dataclasses.replace(self, verdict=verdict)


async def rewrite_passage(
    passage: Passage,
    recipe: Recipe,
    requirements: Requirements,
    *,
    engine: Engine,
    tokenizer: Tokenizer,
    check: Checker,
    check_back: BackChecker | None = None,
    n_candidates: int,
    n_retries: int,
    seed: int,
) -> Attempt:
    """Generate until the checks accept, each time with other seeds and a hint at what was wrong with the best one.

    Returns the best candidate of the last attempt. With `check_back`, what the checks accept of a recipe that asks for
    it is translated back and compared.

    Raises:
        EngineError: the engine no longer answers.
    """
    source = passage.source.text.strip()
    masked = mask(source) if recipe.mask_formulas else MaskedText(source, ())
    max_tokens = recipe.max_output_tokens(passage.source, passage.variant.style)
    penalty = _copy_penalty(recipe.sampling.copy_penalty, masked.text)
    usage = TokenUsage()
    hint = ""
    for attempt in range(1 + n_retries):
        prompt = recipe.render(passage.document, passage.variant, passage.context, masked.text, hint)

        async def candidate(number: int, prompt: Prompt = prompt, attempt: int = attempt) -> Attempt:
            sampling = Sampling(
                temperature=recipe.sampling.temperature,
                top_p=recipe.sampling.top_p,
                max_tokens=max_tokens,
                seed=passage_seed(seed, passage, attempt, number),
                logprob=n_candidates > 1,
                copy_penalty=penalty,
            )
            drawn = await _candidate(passage, recipe, masked, prompt, sampling, attempt, requirements, engine, check)
            if check_back and recipe.translates_back and drawn.verdict.accepted:
                return await _translated_back(drawn, passage, recipe, requirements, engine, check_back)
            return drawn

        found = await asyncio.gather(*(candidate(number) for number in range(n_candidates)))
        usage = sum((each.usage for each in found), usage)
        best = max(found, key=_rank)
        if best.verdict.accepted or best.refused:
            break  # another seed would not help
        hint = make_hint(best.verdict, passage.source)
    return dataclasses.replace(best, usage=usage)


async def _candidate(
    passage: Passage,
    recipe: Recipe,
    masked: MaskedText,
    prompt: Prompt,
    sampling: Sampling,
    attempt: int,
    requirements: Requirements,
    engine: Engine,
    check: Checker,
) -> Attempt:
    text, n_removed, refused = "", 0, False
    try:
        completion = await engine.complete(prompt, sampling)
    except RequestRefusedError as error:
        refused = True
        verdict = Verdict(accepted=False, reason=error.reason, detail=str(error))
        completion = Completion(text="", finish_reason="unknown", n_prompt_tokens=0, n_completion_tokens=0)
    else:
        try:
            # First of all: neither the checks nor the prompts that follow may see what the model thinks.
            answer = without_thought(completion.text, f"{masked.text}\n{passage.written}")
            answer = recipe.compose_rewrite(passage.variant.style, release(answer, passage.source.text), masked.text)
            text, n_removed = remove_overlap(passage.written, answer)
            text = masked.restore(text)
            if Check.FORMULAS in requirements.checks:
                text = with_drawings(text, passage.source.text)
        except ThoughtCutOffError as error:
            verdict = Verdict(accepted=False, reason="thought_cut_off", detail=str(error))
        except PlaceholderError as error:
            verdict = Verdict(accepted=False, reason="formula_lost", detail=str(error))
        else:
            verdict = await check(passage.source, dataclasses.replace(completion, text=text), requirements)
        verdict = _reject_restart(verdict, passage.written, text)
        verdict = _reject_echo(verdict, prompt, passage.source.text, text)
    return Attempt(
        text=text,
        verdict=verdict,
        logprob=completion.logprob,
        finish_reason=completion.finish_reason,
        seed=sampling.seed,
        n_attempts=attempt + 1,
        refused=refused,
        n_sentences_removed=n_removed,
        max_tokens=sampling.max_tokens,
        usage=completion.usage,
    )


def _reject_restart(verdict: Verdict, written: str, text: str) -> Verdict:
    """The verdict on `text`, which follows `written`; where it starts the document over, it is not accepted."""
    opening = find_restart(written, text) if verdict.accepted else None
    if opening is None:
        return verdict
    return dataclasses.replace(verdict, accepted=False, reason="restart", detail=f"it starts over: {opening}")


def _reject_echo(verdict: Verdict, prompt: Prompt, source: str, text: str) -> Verdict:
    """The verdict on `text`; where it tells of an example of its prompt, it is not accepted."""
    echo = find_example_echo(prompt.examples, source, text) if verdict.accepted else None
    if echo is None:
        return verdict
    detail = f"it tells of an example in the prompt: {echo}"
    return dataclasses.replace(verdict, accepted=False, reason="prompt_echo", detail=detail)


def _copy_penalty(amount: float, text: str) -> CopyPenalty | None:
    """Names, numbers, quotations, formulas and code may be copied."""
    if not amount:
        return None
    spans = outermost(protected_spans(text))
    starts = (word.start for word in words_of(text) if not word.kept)
    return CopyPenalty(
        amount=amount,
        passage=text,
        word_starts=tuple(at for at in starts if not any(start <= at < end for start, end in spans)),
    )


async def _translated_back(
    drawn: Attempt,
    passage: Passage,
    recipe: Recipe,
    requirements: Requirements,
    engine: Engine,
    check_back: BackChecker,
) -> Attempt:
    language = source_language(passage.document, passage.source)
    if language is None:
        return drawn
    back = await request_back_translation(drawn.text, passage.source, language, recipe, engine)
    return dataclasses.replace(
        drawn,
        verdict=check_back(passage.source, back, language, requirements, drawn.verdict),
        usage=drawn.usage + back.usage,
    )


def _rank(attempt: Attempt) -> tuple[bool, float, float]:
    """Accepted before rejected, then the likelier to be faithful, then the one with more new wording.

    The model's own log-probability counts besides the verdict: what a model invents, it is less sure of.
    """
    verdict = attempt.verdict
    probability = min(max(verdict.probabilities.get("faithful", 0.0), 1e-3), 1 - 1e-3)
    log_odds = math.log(probability / (1 - probability)) + LOGPROB_WEIGHT * (attempt.logprob or 0.0)
    return verdict.accepted, round(2 * log_odds), -verdict.scores.get("copied", 1.0)


def passage_seed(seed: int, passage: Passage, attempt: int, candidate: int) -> int:
    """A 31-bit seed that depends only on what is written, not on when or where."""
    source, variant = passage.source, passage.variant
    name = f"{seed}/{source.document_id}/{variant.recipe}/{variant.index}/{source.start}/{attempt}/{candidate}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) >> 1
