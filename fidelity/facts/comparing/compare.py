"""Compares all typed facts of a rewrite with those of its source: scores for a model, discrepancies for people."""

import re
from dataclasses import dataclass
from functools import lru_cache

from fidelity.facts.comparing.copies import Change, changed_words
from fidelity.facts.comparing.formal import compare_formulas, compare_literals, compare_steps
from fidelity.facts.comparing.pairing import Pairing
from fidelity.facts.comparing.sentences import compare_content, compare_order, compare_polarity, ends_unfinished
from fidelity.facts.comparing.translation import compare_translated_numbers
from fidelity.facts.comparing.typed import compare_dates, compare_names, compare_numbers
from fidelity.facts.reading.number_words import base_language
from fidelity.facts.reading.parsed import Parsed, parse
from rephrase.corpus.language import detect_language
from rephrase.records import Discrepancy

# Every pair has all of these. Where a text has no such fact, shares (support, coverage) are 1 and counts are 0.
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

# No other language writes these.
_ENGLISH = re.compile(r"\b(?:the|this|which|with)\b", re.IGNORECASE)
_MAX_DETECTED, _MIN_LETTERS, _ENOUGH_LETTERS = 1000, 80, 400
# Languages that short English texts are not mistaken for, and others that numbers and dates are read in.
_LANGUAGES = frozenset("de es fr it pt ru uk zh ja ko ar fa he hi bn te ta th el".split())
_RARER_LANGUAGES = frozenset("nl pl cs sk sv nb no fi hu tr ro bg hr sr sl lt lv et id vi sw".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class FactReport:
    """`scores` has every name in FACT_SCORES; `discrepancies` say where, typed facts before wording.

    `changes` are words that differ in copied sentences; whether a change is a synonym, this cannot tell.
    """

    scores: dict[str, float]
    discrepancies: tuple[Discrepancy, ...]
    changes: tuple[Change, ...] = ()


def compare_facts(source: str, rewrite: str, *, source_language: str = "en", mathematics: bool = False) -> FactReport:
    """Find which facts of the source the rewrite keeps, loses and changes.

    `source_language` is an ISO 639-1 code: for a translation, only language-independent facts are compared, and numbers
    are read by the language of each text. With `mathematics`, new numbers may be results of steps that the rewrite
    works out, and SymPy decides whether formulas are equal.
    """
    language = language_of(source, rewrite, source_language)
    translated = _translated(language, rewrite)
    pairing = Pairing.of(parse(source, language), parse(rewrite, "en" if translated else language))
    parts = [
        compare_steps(pairing),
        compare_formulas(pairing, symbolic=mathematics),
        compare_literals(pairing),
    ]
    if translated:
        parts.append(compare_translated_numbers(pairing, language))
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
    changes = changed_words(pairing) if pairing.rewrite.language == pairing.source.language == "en" else ()
    return FactReport(scores=scores, discrepancies=tuple(discrepancies), changes=changes)


def _translated(source_language: str, rewrite: str) -> bool:
    """Whether the pair is a translation; a text rewritten in its own language can be compared word by word."""
    return not source_language.lower().startswith("en") and detect_language(rewrite) == "en"


def language_of(source: str, rewrite: str, stated: str) -> str:
    """The language of the source: English may be a mere default for a text rewritten in its own language.

    A short text, or one full of names and formulas, is easily mistaken for another language: both texts must be in
    the same one.
    """
    if base_language(stated) != "en":
        return stated
    found = _detected(source)
    return found if found != "en" and found == _detected(rewrite) else "en"


@lru_cache(maxsize=512)
def _detected(text: str) -> str:
    if _ENGLISH.search(text):
        return "en"
    n_letters = sum(map(str.isalpha, text[:_ENOUGH_LETTERS]))
    found = detect_language(text[:_MAX_DETECTED])
    return found if found in _LANGUAGES or (n_letters > _MIN_LETTERS and found in _RARER_LANGUAGES) else "en"


def _derived(rewrite: Parsed) -> tuple[float, ...]:
    """The results of the rewrite's correct steps."""
    return tuple(step.claimed for step in rewrite.steps if step.holds)
