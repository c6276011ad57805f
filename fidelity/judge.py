"""Compares batches of pairs and answers four questions about each: faithful, complete, fluent, in style?

Embeddings, typed facts and the reader give named scores; the calibration turns them into a probability for each
question. A rewrite is accepted if each probability reaches its threshold.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fidelity.calibration.calibration import KEEPS, QUESTIONS, Calibration, Kind
from fidelity.checks.changed_words import change_discrepancies, other_meanings
from fidelity.checks.finding import Finding
from fidelity.checks.form import copied_share
from fidelity.checks.sentences import SENTENCE_SCORES, SentenceReport, compare_sentences
from fidelity.checks.style import missing_form
from fidelity.checks.time_limit import LIMIT_S, TooSlowError, time_limit
from fidelity.embeddings.vector_cache import CachedEncoder
from fidelity.facts.comparing.compare import FACT_SCORES, FactReport, compare_facts
from fidelity.reader.marks import Reading
from fidelity.reader.opening import open_reader
from fidelity.reader.scores import READER_SCORES, reader_discrepancies, reader_scores, without_copies
from rephrase.corpus.language import detect_language, likely_language
from rephrase.records import Discrepancy, Question, Verdict

if TYPE_CHECKING:
    from fidelity.reader.reader import Reader

# The highest score of any changed fact, and the lowest of any kind's coverage: with one feature per kind of fact, too
# few rows teach a model that one is enough.
DERIVED_SCORES = ("fact_lack", "fact_changed", "length_lack")
# The words of another meaning in sentences that otherwise copy their source.
WORDS_CHANGED = "words_changed"
BASE_SCORES = ("similarity", "copied", WORDS_CHANGED, *SENTENCE_SCORES, *FACT_SCORES, *DERIVED_SCORES)
SCORES = (*BASE_SCORES, *READER_SCORES)
_CHANGES = (
    *(f"{kind}_unsupported" for kind in ("number", "date", "name", "formula", "literal")),
    *(f"{kind}_exchanged" for kind in ("number", "date", "name", "formula")),
    *(f"{kind}_mismatch" for kind in ("unit", "negation", "antonym", "direction")),
    "name_recombined",
    "swap",
)
# A detail must fit into a table; the rest is in the discrepancies.
DETAIL_CHARACTERS = 300
# The reject reasons of a pair on which a check raised an exception, and of one on which it took too long.
CHECK_FAILED, CHECK_TOO_SLOW = "check_failed", "check_too_slow"
# The names of what a rewrite must keep; any other value is a share of the source.
EVERYTHING, ANY = 1.0, 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A source and its rewrite.

    `keeps` is the share of the source that the rewrite must keep, from 0 (it may be a summary) to 1. `form` is the form
    that the style asks for, one of `fidelity.checks.style.STYLE_FORMS`. `thresholds` are minimum probabilities other
    than the calibration's.
    """

    source: str
    rewrite: str
    kind: Kind = "knowledge"
    source_language: str | None = None
    keeps: float = EVERYTHING
    form: str | None = None
    thresholds: Mapping[Question, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPair:
    """A pair with what is read from it without a model. `failure` says why its facts could not be compared."""

    pair: Pair
    language: str  # of the source
    facts: FactReport | None = None
    # What the form of the style lacks, for people; None if nothing, or if there is no form to look for.
    lacks: str | None = None
    failure: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the checks have found about a pair."""

    pair: Pair
    sentences: SentenceReport
    scores: Mapping[str, float]
    discrepancies: tuple[Discrepancy, ...]
    lacks: str | None = None  # see `ReadPair`
    # Such a pair has no probability and is rejected.
    failure: Finding | None = None


class Judge:
    """Scores pairs by embeddings, typed facts and the reader, and turns the scores into verdicts."""

    def __init__(
        self,
        calibration: Calibration,
        encoder: CachedEncoder,
        open_multilingual: Callable[[], CachedEncoder],
        *,
        open_reader: "Callable[[], Reader]" = open_reader,
        min_probability: float | None = None,
    ) -> None:
        """
        Args:
            open_multilingual: called for the first translations.
            open_reader: called for the first pairs.
            min_probability: of all four answers together; overrides the thresholds of the questions.
        """
        self.calibration = calibration
        self._encoder = encoder
        self._open_multilingual = open_multilingual
        self._open_reader = open_reader
        self._reader: Reader | None = None
        self._min_probability = min_probability
        # How many pairs each tier has scored.
        self.n_seen: Counter[str] = Counter()

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        return [self.decide(evidence) for evidence in self.examine([read_pair(pair) for pair in pairs])]

    def examine(self, pairs: Sequence[ReadPair]) -> list[Evidence]:
        """Score pairs by embeddings, typed facts and the reader."""
        found: list[Evidence | None] = [None] * len(pairs)
        for foreign in (False, True):
            chosen = [i for i, read in enumerate(pairs) if (read.pair.kind == "translation") == foreign]
            if chosen:
                compared = self._compare([pairs[i] for i in chosen], foreign)
                for i, evidence in zip(chosen, self._read(compared, foreign), strict=True):
                    found[i] = evidence
        return [evidence for evidence in found if evidence is not None]

    def _compare(self, pairs: Sequence[ReadPair], foreign: bool) -> list[Evidence]:
        self.n_seen["embedding and facts"] += len(pairs)
        encoder = self._open_multilingual() if foreign else self._encoder
        texts = [(read.pair.source, read.pair.rewrite) for read in pairs]
        vectors = encoder.encode([text for pair in texts for text in pair])
        similarity = (vectors[0::2] * vectors[1::2]).sum(axis=1)
        reports = compare_sentences(texts, encoder, source_languages=[read.language for read in pairs])
        changes = other_meanings([read.facts.changes if read.facts else () for read in pairs], encoder)
        evidence = []
        for read, report, changed, cosine in zip(pairs, reports, changes, similarity, strict=True):
            pair = read.pair
            if read.facts is None:
                evidence.append(
                    Evidence(pair=pair, sentences=report, scores={}, discrepancies=(), failure=read.failure)
                )
                continue
            scores = {
                "similarity": float(cosine),
                "copied": copied_share(pair.source, pair.rewrite),
                WORDS_CHANGED: float(sum(len(change.new) for change in changed)),
                **report.scores,
                **read.facts.scores,
            }
            evidence.append(
                Evidence(
                    pair=pair,
                    sentences=report,
                    scores={**scores, **derived_scores(pair.source, pair.rewrite, scores)},
                    discrepancies=_merged(
                        (*read.facts.discrepancies, *change_discrepancies(changed)), report.discrepancies()
                    ),
                    lacks=read.lacks,
                )
            )
        return evidence

    def _read(self, evidence: Sequence[Evidence], foreign: bool) -> list[Evidence]:
        chosen = [i for i, found in enumerate(evidence) if not found.failure]
        if not chosen:
            return list(evidence)
        self._reader = self._reader or self._open_reader()
        self.n_seen["reader"] += len(chosen)
        found = list(evidence)
        find_lost = [found[i].pair.keeps > ANY for i in chosen]
        readings = self._reader.read([found[i].sentences for i in chosen], foreign=foreign, find_lost=find_lost)
        for i, reading in zip(chosen, readings, strict=True):
            found[i] = _with_reading(found[i], reading)
        return found

    def probabilities(self, evidence: Evidence) -> dict[Question, float]:
        """The probability that the answer to each question is yes."""
        pair, calibration = evidence.pair, self.calibration
        scores = {**evidence.scores, KEEPS: pair.keeps}
        found: dict[Question, float] = {}
        for question in QUESTIONS:
            if question == "in_style":
                fits = evidence.lacks is None if pair.form is not None else None
                found[question] = calibration.in_style.probability(fits)
            elif question == "complete" and pair.keeps <= ANY:
                found[question] = 1.0
            else:
                found[question] = float(calibration.model(question, pair.kind).probabilities([scores])[0])
        if scores[WORDS_CHANGED]:
            found["faithful"] = _less_likely(found["faithful"], calibration.changed_word)
        return found

    def threshold(self, question: Question, pair: Pair) -> float:
        if question in pair.thresholds:
            return pair.thresholds[question]
        if question == "in_style":
            return self.calibration.in_style.threshold
        return self.calibration.model(question, pair.kind).threshold

    def decide(self, evidence: Evidence) -> Verdict:
        if evidence.failure:
            why, text = evidence.failure
            return Verdict(accepted=False, reason=why, detail=text[:DETAIL_CHARACTERS])
        probabilities = self.probabilities(evidence)
        combined = math.prod(probabilities.values())
        thresholds = {question: self.threshold(question, evidence.pair) for question in QUESTIONS}
        if self._min_probability is None:
            accepted = all(probabilities[question] >= thresholds[question] for question in QUESTIONS)
        else:
            accepted = combined >= self._min_probability
        reason, detail = None, ""
        if not accepted:
            # The question that is farthest below its threshold, in odds.
            worst = min(QUESTIONS, key=lambda question: _odds(probabilities[question]) / _odds(thresholds[question]))
            reason, first = reason_of(worst, evidence)
            if self._min_probability is None:
                detail = f"probability {probabilities[worst]:.2f} of being {_NAMES[worst]} is below "
                detail += f"{thresholds[worst]:.2f}: {first}"
            else:
                detail = f"probability {combined:.2f} is below {self._min_probability:.2f}, of being {_NAMES[worst]} "
                detail += f"{probabilities[worst]:.2f}: {first}"
        return Verdict(
            accepted=accepted,
            reason=reason,
            detail=detail[:DETAIL_CHARACTERS],
            scores=evidence.scores,
            probability=combined,
            probabilities={str(question): value for question, value in probabilities.items()},
            discrepancies=evidence.discrepancies,
        )


_NAMES: dict[Question, str] = {
    "faithful": "faithful",
    "complete": "complete",
    "fluent": "fluent",
    "in_style": "in its style",
}


def _less_likely(probability: float, log_odds: float) -> float:
    odds = _odds(probability) * math.exp(-log_odds)
    return odds / (1 + odds)


def _odds(probability: float) -> float:
    return max(probability, 1e-9) / max(1 - probability, 1e-9)


def read_pair(pair: Pair) -> ReadPair:
    """Read and compare the facts of a pair, within LIMIT_S if this is the main thread.

    A pair on which that fails or takes too long is rejected: one bad text must not end a run of millions.
    """
    language = pair.source_language or (detect_language(pair.source) if pair.kind == "translation" else "en")
    try:
        with time_limit(LIMIT_S):
            facts = compare_facts(pair.source, pair.rewrite, source_language=language, mathematics=pair.kind == "math")
            lacks = missing_form(pair.rewrite, pair.form, english=likely_language(pair.rewrite) in (None, "en"))
            return ReadPair(pair=pair, language=language, facts=facts, lacks=lacks)
    except TooSlowError as error:
        failure = CHECK_TOO_SLOW, f"comparing the facts was {error}"
    except Exception as error:
        failure = CHECK_FAILED, f"the facts could not be compared: {type(error).__name__}: {error}"
    return ReadPair(pair=pair, language=language, failure=failure)


def derived_scores(source: str, rewrite: str, scores: Mapping[str, float]) -> dict[str, float]:
    """The scores listed in DERIVED_SCORES."""
    facts = min(scores[f"{kind}_coverage"] for kind in ("number", "date", "name", "formula"))
    return {
        "fact_lack": 1 - facts,
        "fact_changed": max(min(1.0, scores[name]) for name in _CHANGES),
        "length_lack": max(0.0, 1 - len(rewrite) / max(len(source), 1)),
    }


def reason_of(question: Question, evidence: Evidence) -> tuple[str, str]:
    """The reject reason and what stands out most: `number_changed`, `missing_sentence`, `not_fluent`, …"""
    if question == "in_style":
        return "not_in_style", evidence.lacks or "the style asks for another form"
    chosen = [found for found in evidence.discrepancies if _question_of(found) == question]
    if not chosen:
        return _UNPLACED[question], "no single place stands out"
    first = chosen[0]
    if question == "fluent":
        return _UNPLACED[question], first.detail
    if first.kind == "sentence":
        return ("missing_sentence" if question == "complete" else "unsupported_sentence"), first.detail
    return f"{first.kind}_{'missing' if first.problem == 'missing' else 'changed'}", first.detail


_UNPLACED: dict[Question, str] = {"faithful": "unfaithful", "complete": "incomplete", "fluent": "not_fluent"}


def _question_of(found: Discrepancy) -> Question:
    if found.kind == "language":
        return "fluent"
    return "complete" if found.problem == "missing" else "faithful"


def _with_reading(evidence: Evidence, reading: Reading) -> Evidence:
    # The scores stay as the weights know them: a copied answer is also marked where its question does not fit it.
    scores = reader_scores(evidence.sentences, reading)
    found = reader_discrepancies(evidence.sentences, without_copies(evidence.sentences, reading))
    if reading.added is None:
        return dataclasses.replace(
            evidence,
            scores={**evidence.scores, **scores},
            discrepancies=_merged(evidence.discrepancies, found),
        )
    # The reader has seen the sentences themselves: its places replace those that embeddings alone suggest.
    facts = [entry for entry in evidence.discrepancies if entry.kind != "sentence"]
    return dataclasses.replace(
        evidence, scores={**evidence.scores, **scores}, discrepancies=_merged(tuple(facts), found)
    )


def _merged(first: Sequence[Discrepancy], second: Sequence[Discrepancy]) -> tuple[Discrepancy, ...]:
    """Both, without those of the second that the first already has."""
    known = {(d.kind, d.source if d.problem == "missing" else d.rewrite) for d in first}
    return (*first, *(d for d in second if (d.kind, d.source if d.problem == "missing" else d.rewrite) not in known))
