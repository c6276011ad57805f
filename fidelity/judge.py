"""Runs the tiers that need no engine on batches of pairs and turns their scores into verdicts."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fidelity.calibration.calibration import Calibration, Kind
from fidelity.checks.encoder import EntailmentModel
from fidelity.checks.entailment import ENTAILMENT_SCORES, score_entailment
from fidelity.checks.form import copied_share
from fidelity.checks.likelihood import LIKELIHOOD_SCORES, TokenScorer, score_likelihood
from fidelity.checks.sentences import SENTENCE_SCORES, SentenceReport, compare_sentences, coverage_weight
from fidelity.checks.vector_cache import CachedEncoder
from fidelity.facts.comparing.compare import FACT_SCORES, compare_facts
from rephrase.corpus.language import detect_language
from rephrase.records import Discrepancy, Verdict

# What is missing, weighted by how much a rewrite of this length should contain (a summary omits on purpose), and the
# highest score of any changed fact: with one feature per kind of fact, too few rows teach a model that one is enough.
DERIVED_SCORES = ("coverage_lack", "content_lack", "sentence_lack", "fact_lack", "fact_changed")
BASE_SCORES = ("similarity", "copied", *SENTENCE_SCORES, *FACT_SCORES, *DERIVED_SCORES)
_CHANGES = (
    *(f"{kind}_unsupported" for kind in ("number", "date", "name", "formula", "literal")),
    *(f"{kind}_exchanged" for kind in ("number", "date", "name", "formula")),
    *(f"{kind}_mismatch" for kind in ("unit", "negation", "antonym", "direction")),
    "name_recombined",
    "swap",
)
TIER_SCORES: dict[str, tuple[str, ...]] = {
    "likelihood": LIKELIHOOD_SCORES,
    "entailment": ENTAILMENT_SCORES,
}
# A detail must fit into a table; the rest is in the discrepancies.
DETAIL_CHARACTERS = 300
# The reject reason of a pair on which a check raised an exception.
CHECK_FAILED = "check_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A source and its rewrite."""

    source: str
    rewrite: str
    kind: Kind = "knowledge"
    source_language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the tiers that ran have found about a pair."""

    pair: Pair
    sentences: SentenceReport
    scores: Mapping[str, float]
    discrepancies: tuple[Discrepancy, ...]
    tiers: frozenset[str] = frozenset()
    # The error raised while comparing the facts: such a pair has no probability and is rejected.
    failure: str = ""

    def with_tier(
        self, tier: str, scores: Mapping[str, float], discrepancies: tuple[Discrepancy, ...] = ()
    ) -> "Evidence":
        """A copy that includes the results of one more tier; a tier without scores counts as not run."""
        if not scores:
            return self
        return dataclasses.replace(
            self,
            scores={**self.scores, **scores},
            discrepancies=_merged(self.discrepancies, discrepancies),
            tiers=self.tiers | {tier},
        )


class Judge:
    """Scores every pair by embeddings and typed facts, and escalates undecided pairs to likelihood and entailment."""

    def __init__(
        self,
        calibration: Calibration,
        encoder: CachedEncoder,
        open_multilingual: Callable[[], CachedEncoder],
        *,
        entailment: EntailmentModel | None = None,
        scorer: TokenScorer | None = None,
        min_probability: float | None = None,
    ) -> None:
        """`open_multilingual` is called for the first translations; `min_probability` overrides all thresholds."""
        self.calibration = calibration
        self._encoder = encoder
        self._open_multilingual = open_multilingual
        self._entailment = entailment
        self._scorer = scorer
        self._min_probability = min_probability
        # How many pairs each tier has scored.
        self.n_seen: Counter[str] = Counter()

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """Run all available tiers in order; each scores only the pairs that the earlier ones left undecided."""
        return [self.decide(evidence) for evidence in self.escalate(self.examine(pairs))]

    def examine(self, pairs: Sequence[Pair]) -> list[Evidence]:
        """Score pairs by embeddings and typed facts."""
        self.n_seen["embedding and facts"] += len(pairs)
        found: list[Evidence | None] = [None] * len(pairs)
        for foreign in (False, True):
            chosen = [i for i, pair in enumerate(pairs) if (pair.kind == "translation") == foreign]
            if chosen:
                for i, evidence in zip(chosen, self._compare([pairs[i] for i in chosen], foreign), strict=True):
                    found[i] = evidence
        return [evidence for evidence in found if evidence is not None]

    def _compare(self, pairs: Sequence[Pair], foreign: bool) -> list[Evidence]:
        encoder = self._open_multilingual() if foreign else self._encoder
        languages = [pair.source_language or (detect_language(pair.source) if foreign else "en") for pair in pairs]
        vectors = encoder.encode([text for pair in pairs for text in (pair.source, pair.rewrite)])
        similarity = (vectors[0::2] * vectors[1::2]).sum(axis=1)
        reports = compare_sentences(
            [(pair.source, pair.rewrite) for pair in pairs], encoder, source_languages=languages
        )
        evidence = []
        for pair, language, report, cosine in zip(pairs, languages, reports, similarity, strict=True):
            try:
                facts = compare_facts(
                    pair.source, pair.rewrite, source_language=language, mathematics=pair.kind == "math"
                )
            except Exception as error:
                # One text on which fact extraction fails must not end a run of millions.
                failure = f"the facts could not be compared: {type(error).__name__}: {error}"
                evidence.append(Evidence(pair=pair, sentences=report, scores={}, discrepancies=(), failure=failure))
                continue
            scores = {
                "similarity": float(cosine),
                "copied": copied_share(pair.source, pair.rewrite),
                **report.scores,
                **facts.scores,
            }
            evidence.append(
                Evidence(
                    pair=pair,
                    sentences=report,
                    scores={**scores, **derived_scores(pair.source, pair.rewrite, scores)},
                    discrepancies=_merged(facts.discrepancies, report.discrepancies()),
                )
            )
        return evidence

    def escalate(self, evidence: Sequence[Evidence]) -> list[Evidence]:
        """Run likelihood, then entailment, each on the pairs that are still undecided."""
        found = list(evidence)
        chosen = [i for i in self.undecided(found) if self.uses("likelihood", found[i])]
        if self._scorer is not None and chosen:
            self.n_seen["likelihood"] += len(chosen)
            pairs = [(found[i].pair.source, found[i].pair.rewrite) for i in chosen]
            for i, scores in zip(chosen, score_likelihood(self._scorer, pairs), strict=True):
                found[i] = found[i].with_tier("likelihood", scores)
        return self.run_entailment(found)

    def run_entailment(self, evidence: Sequence[Evidence]) -> list[Evidence]:
        """Run entailment on the pairs that are still undecided."""
        found = list(evidence)
        chosen = [i for i in self.undecided(found) if self.uses("entailment", found[i])]
        if self._entailment is not None and chosen:
            self.n_seen["entailment"] += len(chosen)
            answers = score_entailment(self._entailment, [found[i].sentences for i in chosen])
            for i, (scores, discrepancies) in zip(chosen, answers, strict=True):
                found[i] = found[i].with_tier("entailment", scores, discrepancies)
        return found

    def uses(self, tier: str, evidence: Evidence) -> bool:
        """Whether the calibration has a model for such pairs that uses this tier; if not, running it is useless."""
        wanted = evidence.tiers | {tier}
        return any(
            m.kind == evidence.pair.kind and tier in m.tiers and wanted.issuperset(m.tiers)
            for m in self.calibration.models
        )

    def undecided(self, evidence: Sequence[Evidence]) -> list[int]:
        return [
            i
            for i, found in enumerate(evidence)
            if not found.failure and self.calibration.is_undecided(self.probability(found))
        ]

    def probability(self, evidence: Evidence) -> float:
        model = self.calibration.model(evidence.pair.kind, evidence.tiers)
        return float(model.probabilities([evidence.scores])[0])

    def decide(self, evidence: Evidence) -> Verdict:
        if evidence.failure:
            return Verdict(accepted=False, reason=CHECK_FAILED, detail=evidence.failure[:DETAIL_CHARACTERS])
        probability = self.probability(evidence)
        model = self.calibration.model(evidence.pair.kind, evidence.tiers)
        threshold = model.threshold if self._min_probability is None else self._min_probability
        accepted = probability >= threshold
        reason, detail = None, ""
        if not accepted:
            reason = reason_of(evidence.discrepancies)
            first = evidence.discrepancies[0].detail if evidence.discrepancies else "no single discrepancy stands out"
            detail = f"probability {probability:.2f} of being faithful is below {threshold:.2f}: {first}"
        return Verdict(
            accepted=accepted,
            reason=reason,
            detail=detail[:DETAIL_CHARACTERS],
            scores=evidence.scores,
            probability=probability,
            discrepancies=evidence.discrepancies,
        )


def derived_scores(source: str, rewrite: str, scores: Mapping[str, float]) -> dict[str, float]:
    """The scores listed in DERIVED_SCORES."""
    weight = coverage_weight(source, rewrite)
    facts = min(scores[f"{kind}_coverage"] for kind in ("number", "date", "name", "formula"))
    return {
        "coverage_lack": weight * (1 - scores["coverage_min"]),
        "content_lack": weight * (1 - scores["content_coverage_min"]),
        "sentence_lack": weight * scores["sentence_dropped"],
        "fact_lack": weight * (1 - facts),
        "fact_changed": max(min(1.0, scores[name]) for name in _CHANGES),
    }


def reason_of(discrepancies: Sequence[Discrepancy]) -> str:
    """The reject reason for the most certain discrepancy: `number_changed`, `missing_sentence`, …"""
    if not discrepancies:
        return "unfaithful"
    first = discrepancies[0]
    if first.kind == "sentence":
        return "missing_sentence" if first.problem == "missing" else "unsupported_sentence"
    return f"{first.kind}_{'missing' if first.problem == 'missing' else 'changed'}"


def _merged(first: Sequence[Discrepancy], second: Sequence[Discrepancy]) -> tuple[Discrepancy, ...]:
    """Both, without those of the second that the first already has."""
    known = {(d.kind, d.source if d.problem == "missing" else d.rewrite) for d in first}
    return (*first, *(d for d in second if (d.kind, d.source if d.problem == "missing" else d.rewrite) not in known))
