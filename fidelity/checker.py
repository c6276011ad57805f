"""The verdict on a rewrite: form first, since it is cheapest, then embeddings in batches beside generation."""

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fidelity.diversity import near_duplicate
from fidelity.encoder import PACKAGED_ENCODER, PACKAGED_MULTILINGUAL, Encoder, open_encoder
from fidelity.form import FORM_CHECKS, Finding, copied_share, near_copy, truncated
from fidelity.language import not_english, other_language
from fidelity.obedience import obeyed
from fidelity.preserve import lost_answer, lost_formula, lost_number
from rephrase.records import Check, Chunk, Completion, Verdict


class FidelityConfig(BaseModel):
    """Which embedding model compares, and from which similarity on a rewrite is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(PACKAGED_ENCODER, description="Embedding model: packaged name, hub id or folder.")
    min_similarity: float = Field(
        0.7, ge=-1, le=1, description="Smallest cosine similarity of a rewrite to its chunk at which it is accepted."
    )
    multilingual_encoder: str = Field(PACKAGED_MULTILINGUAL, description="The same for translations.")
    min_cross_lingual: float = Field(
        0.8, ge=-1, le=1, description="The same for translations, by the multilingual model."
    )


# What a recipe may ask for and no model is needed to see.
RECIPE_CHECKS: dict[Check, Callable[[str, str], Finding | None]] = {
    Check.NEW_WORDING: near_copy,
    Check.SAME_LANGUAGE: other_language,
    Check.ENGLISH: not_english,
    Check.ANSWER: lost_answer,
    Check.NUMBERS: lost_number,
    Check.FORMULAS: lost_formula,
}
_WITH_MODEL = frozenset({Check.SIMILARITY, Check.CROSS_LINGUAL, Check.OBEDIENCE})


def check_form(source: str, completion: Completion, checks: Collection[Check]) -> Verdict:
    """Refuses what can be seen without a model: first what is wrong with any rewrite, then what the recipe asks for."""
    rewrite = completion.text.strip()
    finding = next((found for check in FORM_CHECKS if (found := check(source, rewrite))), None)
    finding = finding or truncated(completion.finish_reason, rewrite)
    finding = finding or next(
        (found for name, check in RECIPE_CHECKS.items() if name in checks and (found := check(source, rewrite))), None
    )
    scores = {"copied": copied_share(source, rewrite)}
    if finding:
        return Verdict(accepted=False, reason=finding[0], detail=finding[1], scores=scores)
    return Verdict(accepted=True, scores=scores)


def similarities(encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """The cosine similarity of each pair; a text that stands in several pairs is encoded once."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    vectors = dict(zip(texts, encoder.encode(texts), strict=True))
    return [float(np.dot(vectors[source], vectors[rewrite])) for source, rewrite in pairs]


@dataclass(frozen=True, slots=True)
class _Question:
    source: str
    rewrite: str
    checks: frozenset[Check]


@dataclass(slots=True)
class _Found:
    scores: dict[str, float] = field(default_factory=dict)
    finding: Finding | None = None


class Checker:
    """Checks completions as they come; those that come while the encoder is busy make up its next batch."""

    def __init__(
        self,
        encoder: Encoder,
        config: FidelityConfig,
        open_multilingual: Callable[[str], Encoder] = open_encoder,
    ) -> None:
        """`open_multilingual` is called when the first translation is to be checked."""
        self._encoder = encoder
        self._config = config
        self._multilingual: Encoder | None = None
        self._open_multilingual = open_multilingual
        self._waiting: list[tuple[_Question, asyncio.Future[_Found]]] = []
        self._worker: asyncio.Task[None] | None = None
        # One thread: torch uses the cores itself.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fidelity")

    async def __call__(self, chunk: Chunk, completion: Completion, checks: Collection[Check]) -> Verdict:
        source, rewrite = chunk.text.strip(), completion.text.strip()
        verdict = check_form(source, completion, checks)
        if not verdict.accepted or not _WITH_MODEL.intersection(checks):
            return verdict
        found = await self._in_batch(source, rewrite, frozenset(checks))
        verdict = dataclasses.replace(verdict, scores={**verdict.scores, **found.scores})
        if found.finding:
            return dataclasses.replace(verdict, accepted=False, reason=found.finding[0], detail=found.finding[1])
        return verdict

    async def _in_batch(self, source: str, rewrite: str, checks: frozenset[Check]) -> _Found:
        future: asyncio.Future[_Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((_Question(source, rewrite, checks), future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                found = await loop.run_in_executor(self._thread, self._answer, [question for question, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(answer)

    def _answer(self, questions: Sequence[_Question]) -> list[_Found]:
        """In the thread of the encoder: both similarities in one batch each, obedience for what is left."""
        found = [_Found() for _ in questions]
        self._compare(Check.SIMILARITY, self._encoder, self._config.min_similarity, questions, found)
        if any(Check.CROSS_LINGUAL in question.checks for question in questions):
            self._multilingual = self._multilingual or self._open_multilingual(self._config.multilingual_encoder)
            threshold = self._config.min_cross_lingual
            self._compare(Check.CROSS_LINGUAL, self._multilingual, threshold, questions, found)
        for question, answer in zip(questions, found, strict=True):
            if Check.OBEDIENCE in question.checks and not answer.finding:
                answer.finding = obeyed(question.source, question.rewrite, self._encoder)
        return found

    @staticmethod
    def _compare(
        check: Check, encoder: Encoder, threshold: float, questions: Sequence[_Question], found: Sequence[_Found]
    ) -> None:
        chosen = [i for i, question in enumerate(questions) if check in question.checks]
        if not chosen:
            return
        pairs = [(questions[i].source, questions[i].rewrite) for i in chosen]
        for i, similarity in zip(chosen, similarities(encoder, pairs), strict=True):
            found[i].scores["similarity"] = similarity
            if similarity < threshold:
                found[i].finding = ("dissimilar", f"cosine similarity {similarity:.2f} is below {threshold:g}")

    def near_duplicates(self, variants: Sequence[str]) -> dict[int, tuple[int, str]]:
        """See `fidelity.diversity.near_duplicate`; blocks."""
        return self._thread.submit(near_duplicate, variants, self._encoder).result()

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
