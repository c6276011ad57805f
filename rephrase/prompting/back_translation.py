"""Asks the rewriting model to translate its translation back, so that it can be compared in the source's language."""

import dataclasses

from babel import Locale, UnknownLocaleError

from rephrase.corpus.protected import without_protected
from rephrase.engines.engine import Engine, RequestRefusedError
from rephrase.prompting.masking import mask, without_placeholders
from rephrase.prompting.recipes import Recipe
from rephrase.prompting.thoughts import ThoughtCutOffError, without_thought
from rephrase.records import Chunk, Completion, Document, Sampling

# The source's language may need more tokens than the translation; the source itself needed `n_tokens`.
MAX_GROWTH = 1.5
EXTRA_TOKENS = 48


def source_language(document: Document, chunk: Chunk) -> str | None:
    """The language to translate back into, as a code; None if it is unknown or English, or the chunk has no prose."""
    code = (document.language or document.detected_language or "").replace("_", "-")
    try:
        language = Locale.parse(code, sep="-").language
    except (UnknownLocaleError, ValueError):
        return None
    has_prose = any(map(str.isalpha, without_protected(chunk.text)))
    return language if language != "en" and has_prose else None


def max_back_tokens(chunk: Chunk) -> int:
    return int(chunk.n_tokens * MAX_GROWTH) + EXTRA_TOKENS


async def request_back_translation(
    english: str, chunk: Chunk, language: str, recipe: Recipe, engine: Engine
) -> Completion:
    """The prose of `english`, a translation of the chunk, in the language of its source, without its formulas.

    Empty where the model refuses or does not come to its end: nothing follows from that.

    Raises:
        EngineError: the engine no longer answers.
    """
    masked = mask(english)
    prompt = recipe.render_back_translation(masked.text, language)
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_back_tokens(chunk), seed=0)
    try:
        completion = await engine.complete(prompt, sampling)
    except RequestRefusedError:
        return Completion(text="", finish_reason="unknown", n_prompt_tokens=0, n_completion_tokens=0)
    try:
        text = without_thought(completion.text, masked.text) if completion.finish_reason == "stop" else ""
    except ThoughtCutOffError:
        text = ""
    return dataclasses.replace(completion, text=without_placeholders(text).strip())
