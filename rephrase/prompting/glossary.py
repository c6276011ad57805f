"""The terms of a translation, so that later chunks translate them the same way."""

import dataclasses
import re

from rephrase.engines.engine import Engine, RequestRefusedError
from rephrase.prompting.recipes import Recipe
from rephrase.prompting.thoughts import ThoughtCutOffError, without_thought
from rephrase.records import ChunkRewrite, Sampling

MAX_TOKENS = 160
_PAIR = re.compile(r"\W*(.+?)\s*(?:=|->|→|：|:)\s*(.+?)[\s.;,]*")
_MAX_CHARACTERS = 60
# A longer line is no pair of terms, and would take the pattern long.
_MAX_LINE = 200


async def request_glossary(part: ChunkRewrite, recipe: Recipe, engine: Engine) -> tuple[dict[str, str], ChunkRewrite]:
    """The terms of a chunk with their translations, and the chunk with the tokens of this request added.

    A glossary is optional: if the request is refused, the glossary is empty.
    """
    prompt = recipe.render_glossary(part.chunk.text.strip(), part.text)
    if prompt is None:
        return {}, part
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=MAX_TOKENS, seed=0)
    try:
        completion = await engine.complete(prompt, sampling)
    except RequestRefusedError:
        return {}, part
    part = dataclasses.replace(
        part,
        n_prompt_tokens=part.n_prompt_tokens + completion.n_prompt_tokens,
        n_completion_tokens=part.n_completion_tokens + completion.n_completion_tokens,
        n_cached_tokens=part.n_cached_tokens + completion.n_cached_tokens,
    )
    try:
        answer = without_thought(completion.text, f"{part.chunk.text}\n{part.text}")
    except ThoughtCutOffError:
        return {}, part
    return parse_glossary(answer, part.chunk.text, part.text), part


def parse_glossary(answer: str, source: str, rewrite: str) -> dict[str, str]:
    """The lines "term = translation" whose sides occur in the two texts; what the model makes up is left out."""
    return {
        term: english
        for line in answer.splitlines()
        if len(line) <= _MAX_LINE and (pair := _PAIR.fullmatch(line))
        for term, english in [pair.groups()]
        if term != english
        and max(len(term), len(english)) <= _MAX_CHARACTERS
        and term in source
        and english.lower() in rewrite.lower()
    }
