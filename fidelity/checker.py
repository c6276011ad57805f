"""Checks rewrites during a run, cheapest tier first; each tier can settle the verdict.

form → embeddings, typed facts and the reader, batched, in parallel with generation → a language model, if there is one.
"""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from pydantic import Field, model_validator

from fidelity.calibration.calibration import Calibration, Kind, load_calibration
from fidelity.checks.diversity import near_duplicate
from fidelity.checks.ending import truncated
from fidelity.checks.finding import Finding
from fidelity.checks.form import FORM_CHECKS, copied_share, length_ratio, repetition
from fidelity.checks.language import not_english, other_language
from fidelity.checks.language_judge import LanguageJudge, require_judge
from fidelity.checks.preserve import changed_question, lost_answer, lost_formula, lost_number
from fidelity.checks.prompt_injection import obeyed_instruction
from fidelity.checks.time_limit import LIMIT_S, MAX_CHARACTERS, TooSlowError, time_limit
from fidelity.checks.wording import near_copy, reworded_share
from fidelity.embeddings.encoder import (
    PACKAGED_ENCODER,
    PACKAGED_MULTILINGUAL,
    Encoder,
    open_encoder,
)
from fidelity.embeddings.vector_cache import CachedEncoder
from fidelity.judge import CHECK_TOO_SLOW, Evidence, Judge, Pair, ReadPair, read_pair
from fidelity.reader.opening import open_reader
from rephrase.records import Check, Chunk, Completion, FinishReason, Requirements, Verdict
from rephrase.settings import Settings

if TYPE_CHECKING:
    from fidelity.reader.reader import Reader

Item = TypeVar("Item")
Result = TypeVar("Result")


class FidelityConfig(Settings):
    """The models that compare texts, and the thresholds for accepting a rewrite."""

    encoder: str = Field(PACKAGED_ENCODER, description="Embedding model: packaged name, hub id or folder.")
    min_similarity: float = Field(0.7, ge=-1, le=1, description="Minimum cosine similarity of a rewrite to its chunk.")
    multilingual_encoder: str = Field(PACKAGED_MULTILINGUAL, description="Embedding model for translations.")
    min_cross_lingual: float = Field(
        0.8, ge=-1, le=1, description="Minimum cosine similarity of a translation to its chunk."
    )
    calibration: str | None = Field(
        None, description="File of weights from `palimpsest calibrate`; default: the packaged weights."
    )
    min_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Minimum probability of being faithful, complete, fluent and in style together; default: the "
        "thresholds in the weights, one for each.",
    )
    judge_endpoints: tuple[str, ...] = Field(
        (), description="Servers of a language model that judges what all other checks accept."
    )
    judge_model: str | None = Field(None, description="Name of the model at these servers.")
    self_judge: bool = Field(False, description="The rewriting model judges its own rewrites.")
    back_translation: bool = Field(
        False,
        description="Translate each translation that passes all other checks back with the rewriting model, and "
        "compare it with its source.",
    )

    @model_validator(mode="after")
    def _judge_is_named(self) -> "FidelityConfig":
        require_judge(self.judge_endpoints, self.judge_model)
        if self.self_judge and self.judge_model:
            raise ValueError(
                f"there can be one judge: the rewriting model (--self-judge) or {self.judge_model} (--judge-model)"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _without_dropped_tiers(cls, values: Any) -> Any:
        """Plans of earlier versions name two tiers that the reader has replaced."""
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if name not in ("likelihood", "entailment")}
        return values


# Checks that a recipe may request and that need no model.
RECIPE_CHECKS: dict[Check, Callable[[str, str], Finding | None]] = {
    Check.SAME_LANGUAGE: other_language,
    Check.ENGLISH: not_english,
    Check.ANSWER: lost_answer,
    Check.NUMBERS: lost_number,
    Check.QUESTIONS: changed_question,
    Check.FORMULAS: lost_formula,
}
_WITH_MODEL = frozenset({Check.SIMILARITY, Check.CROSS_LINGUAL, Check.OBEDIENCE, Check.FACTS})


def check_form(source: str, completion: Completion, requirements: Requirements) -> Verdict:
    """Run the checks that need no model: first those for every rewrite, then those that the recipe requests."""
    rewrite = completion.text.strip()
    scores = {"copied": copied_share(source, rewrite), "reworded": reworded_share(source, rewrite)}
    finding = _form_finding(source, rewrite, completion.finish_reason, requirements)
    if finding is None and Check.NEW_WORDING in requirements.checks:
        finding = near_copy(scores["reworded"], requirements.reworded)
    if finding:
        return Verdict(accepted=False, reason=finding[0], detail=finding[1], scores=scores)
    return Verdict(accepted=True, scores=scores)


def check_form_in_time(source: str, completion: Completion, requirements: Requirements) -> Verdict:
    """`check_form`, with a rejection for texts on which it would take too long."""
    longest = max(len(source), len(completion.text))
    if longest > MAX_CHARACTERS:
        detail = f"{longest:,} characters; texts of more than {MAX_CHARACTERS:,} are not checked"
        return Verdict(accepted=False, reason=CHECK_TOO_SLOW, detail=detail)
    try:
        with time_limit(LIMIT_S):
            return check_form(source, completion, requirements)
    except TooSlowError as error:
        return Verdict(accepted=False, reason=CHECK_TOO_SLOW, detail=f"the checks of form were {error}")


def _form_finding(source: str, rewrite: str, finish_reason: FinishReason, requirements: Requirements) -> Finding | None:
    if finish_reason == "length":
        # What was cut off has many faults; only a loop explains it.
        return repetition(source, rewrite) or truncated(source, finish_reason, rewrite)
    finding = next((found for check in FORM_CHECKS if (found := check(source, rewrite))), None)
    finding = finding or truncated(source, finish_reason, rewrite)
    finding = finding or length_ratio(source, rewrite, requirements.max_more_words)
    wanted = [check for name, check in RECIPE_CHECKS.items() if name in requirements.checks]
    return finding or next((found for check in wanted if (found := check(source, rewrite))), None)


def kind_of(checks: Collection[Check]) -> Kind:
    """The kind that rewrites are checked as, derived from the checks of their recipe."""
    if Check.CROSS_LINGUAL in checks:
        return "translation"
    return "math" if Check.FORMULAS in checks else "knowledge"


def similarities(encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """The cosine similarity of each pair; a text that occurs in several pairs is encoded once."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    vectors = dict(zip(texts, encoder.encode(texts), strict=True))
    return [float(np.dot(vectors[source], vectors[rewrite])) for source, rewrite in pairs]


@dataclass(frozen=True, slots=True)
class _Request:
    source: str
    rewrite: str
    requirements: Requirements
    pair: ReadPair | None  # if its facts are to be compared


@dataclass(slots=True)
class _Result:
    scores: dict[str, float] = field(default_factory=dict)
    finding: Finding | None = None
    evidence: Evidence | None = None


class _Batcher(Generic[Item, Result]):
    """Processes requests in a thread; those that arrive while it is busy form the next batch."""

    def __init__(self, thread: ThreadPoolExecutor, process: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._thread = thread
        self._process = process
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, request: Item) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                found = await loop.run_in_executor(self._thread, self._process, [request for request, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(answer)


class Checker:
    """Checks completions as they arrive; those that arrive while the models are busy form the next batch."""

    def __init__(
        self,
        encoder: Encoder,
        config: FidelityConfig,
        open_multilingual: Callable[[str], Encoder] = open_encoder,
        *,
        calibration: Calibration | None = None,
        open_reader: "Callable[[], Reader]" = open_reader,
        language_judge: LanguageJudge | None = None,
    ) -> None:
        """
        Args:
            open_multilingual: called to check the first translation.
            calibration: overrides the one that the configuration names.
            open_reader: called to check the first rewrite.
            language_judge: asked about what everything else accepts.

        Raises:
            ValueError: the calibration cannot be loaded.
        """
        self._config = config
        self._encoder = CachedEncoder(encoder)
        self._multilingual: CachedEncoder | None = None
        self._open_multilingual = open_multilingual
        self.judge = Judge(
            calibration or load_calibration(config.calibration),
            self._encoder,
            self._multilingual_encoder,
            open_reader=open_reader,
            min_probability=config.min_probability,
        )
        self._language_judge = language_judge
        # One thread: torch uses all cores by itself.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fidelity")
        self._batcher = _Batcher(self._thread, self._process)

    @property
    def n_seen(self) -> Counter[str]:
        """How many rewrites each tier has scored so far, and the questions to the language model."""
        return self.judge.n_seen + (self._language_judge.n_seen if self._language_judge else Counter())

    async def __call__(
        self,
        chunk: Chunk,
        completion: Completion,
        requirements: Requirements,
    ) -> Verdict:
        checks = requirements.checks
        source, rewrite = chunk.text.strip(), completion.text.strip()
        # The places are those in the chunk as it is, not in the chunk stripped of surrounding white space.
        n_before = len(chunk.text) - len(chunk.text.lstrip())
        self.judge.n_seen["form"] += 1
        verdict = check_form_in_time(source, completion, requirements)
        if not verdict.accepted or not _WITH_MODEL.intersection(checks):
            return verdict
        pair = None
        if Check.FACTS in checks:
            # Here and not in the thread of the models, where nothing could interrupt it.
            pair = read_pair(
                Pair(
                    source=source,
                    rewrite=rewrite,
                    kind=kind_of(checks),
                    keeps=requirements.keeps,
                    form=requirements.form,
                    thresholds=requirements.thresholds,
                )
            )
        found = await self._batcher.submit(_Request(source, rewrite, requirements, pair))
        verdict = dataclasses.replace(verdict, scores={**verdict.scores, **found.scores})
        if found.evidence is not None:
            judged = self.judge.decide(found.evidence)
            verdict = dataclasses.replace(judged, scores={**verdict.scores, **judged.scores})
        if found.finding:
            verdict = dataclasses.replace(verdict, accepted=False, reason=found.finding[0], detail=found.finding[1])
        if self._language_judge and found.evidence is not None:
            verdict = await self._language_judge.review(
                source, rewrite, requirements.keeps, verdict, rubric=requirements.rubric
            )
        return dataclasses.replace(verdict, discrepancies=tuple(d.shifted(n_before) for d in verdict.discrepancies))

    def _process(self, requests: Sequence[_Request]) -> list[_Result]:
        """Runs in the encoder's thread: similarities and verdicts in one batch each, then obedience for the rest."""
        found = [_Result() for _ in requests]
        self._compare(Check.SIMILARITY, self._encoder, self._config.min_similarity, requests, found)
        if any(Check.CROSS_LINGUAL in request.requirements.checks for request in requests):
            threshold = self._config.min_cross_lingual
            self._compare(Check.CROSS_LINGUAL, self._multilingual_encoder(), threshold, requests, found)
        asked = [(answer, request.pair) for request, answer in zip(requests, found, strict=True) if request.pair]
        examined = self.judge.examine([pair for _, pair in asked]) if asked else []
        for (answer, _), evidence in zip(asked, examined, strict=True):
            answer.evidence = evidence
        for request, answer in zip(requests, found, strict=True):
            if Check.OBEDIENCE in request.requirements.checks and not answer.finding:
                answer.finding = obeyed_instruction(request.source, request.rewrite, self._encoder)
        return found

    @staticmethod
    def _compare(
        check: Check, encoder: Encoder, threshold: float, requests: Sequence[_Request], found: Sequence[_Result]
    ) -> None:
        chosen = [i for i, request in enumerate(requests) if check in request.requirements.checks]
        if not chosen:
            return
        pairs = [(requests[i].source, requests[i].rewrite) for i in chosen]
        for i, similarity in zip(chosen, similarities(encoder, pairs), strict=True):
            found[i].scores["similarity"] = similarity
            if similarity < threshold:
                found[i].finding = ("dissimilar", f"cosine similarity {similarity:.2f} is below {threshold:g}")

    def _multilingual_encoder(self) -> CachedEncoder:
        if self._multilingual is None:
            self._multilingual = CachedEncoder(self._open_multilingual(self._config.multilingual_encoder))
        return self._multilingual

    def near_duplicates(self, variants: Sequence[str]) -> dict[int, tuple[int, str]]:
        """See `fidelity.checks.diversity.near_duplicate`; blocks."""
        return self._thread.submit(near_duplicate, variants, self._encoder).result()

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def open_checker(config: FidelityConfig, language_judge: LanguageJudge | None = None) -> Checker:
    """Load the models that the configuration names; the multilingual one is loaded for the first translation.

    Raises:
        ValueError: a model or the calibration cannot be loaded.
    """
    return Checker(open_encoder(config.encoder), config, language_judge=language_judge)
