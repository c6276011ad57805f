"""All typed facts of a rewrite against those of its source: named scores for a model, discrepancies for people."""

from dataclasses import dataclass

from fidelity.facts.comparing.formal import compare_formulas, compare_literals, compare_steps
from fidelity.facts.comparing.pairing import Pairing
from fidelity.facts.comparing.sentences import compare_content, compare_order, compare_polarity, ends_unfinished
from fidelity.facts.comparing.translation import compare_translated_numbers
from fidelity.facts.comparing.typed import compare_dates, compare_names, compare_numbers
from fidelity.facts.reading.parsed import Parsed, parse
from rephrase.corpus.language import detect_language
from rephrase.records import Discrepancy

# Always there, for every pair. Shares (support, coverage) are 1 and counts 0 where a text has no such fact.
FACT_SCORES: tuple[str, ...] = (
    *(
        f"{kind}_{score}"
        for kind in ("number", "date", "name", "formula", "literal")
        for score in ("support", "coverage", "unsupported", "missing")
    ),
    "number_exchanged",
    "date_exchanged",
    "name_exchanged",
    "formula_exchanged",
    "unit_mismatch",
    "name_recombined",
    "swap",
    "negation_mismatch",
    "negation_count",
    "antonym_mismatch",
    "direction_mismatch",
    "quantifier_mismatch",
    "modality_mismatch",
    "content_support",
    "content_support_min",
    "content_coverage",
    "content_coverage_min",
    "content_novel",
    "content_exchanged",
    "relation_support",
    "step_errors",
    "step_support",
    "answer_mismatch",
    "answer_missing",
    "end_cut",
    "sentence_dropped",
    "sentence_added",
    "literal_exchanged",
)
_NEUTRAL = {name: 1.0 if "support" in name.split("_") or "coverage" in name else 0.0 for name in FACT_SCORES} | {
    f"{kind}_unsupported": 0.0 for kind in ("number", "date", "name", "formula", "literal")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FactReport:
    """`scores` has every name of FACT_SCORES; `discrepancies` say where, facts before words."""

    scores: dict[str, float]
    discrepancies: tuple[Discrepancy, ...]


def compare_facts(source: str, rewrite: str, *, source_language: str = "en", mathematics: bool = False) -> FactReport:
    """What of the source's facts the rewrite keeps, loses and changes.

    `source_language` is an ISO 639-1 code: of a pair in two languages only what does not depend on them is compared.
    `mathematics` says that new numbers may be results of steps that the rewrite works out, and lets SymPy decide
    whether formulas are equal.
    """
    pairing = Pairing.of(parse(source), parse(rewrite))
    parts = [
        compare_steps(pairing),
        compare_formulas(pairing, symbolic=mathematics),
        compare_literals(pairing),
    ]
    if _translated(source_language, rewrite):
        parts.append(compare_translated_numbers(pairing, source_language))
    else:
        parts += [
            compare_numbers(pairing, _derived(pairing.rewrite) if mathematics else ()),
            compare_dates(pairing),
            compare_names(pairing),
            compare_polarity(pairing),
            compare_order(pairing),
            compare_content(pairing),
        ]
    scores = dict(_NEUTRAL)
    discrepancies: list[Discrepancy] = []
    for part, found in parts:
        scores.update(part)
        discrepancies.extend(found)
    scores["end_cut"] = float(ends_unfinished(rewrite) and not ends_unfinished(source))
    assert scores.keys() == set(FACT_SCORES)
    return FactReport(scores=scores, discrepancies=tuple(discrepancies))


def _translated(source_language: str, rewrite: str) -> bool:
    """A text in another language may have been rewritten in its own; words then can be compared with words."""
    return not source_language.lower().startswith("en") and detect_language(rewrite) == "en"


def _derived(rewrite: Parsed) -> tuple[float, ...]:
    """Results of steps of the rewrite that hold."""
    return tuple(step.claimed for step in rewrite.steps if step.holds)
