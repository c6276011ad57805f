"""A text with its facts, extracted once however many rewrites it is compared with."""

import re
from dataclasses import dataclass
from functools import lru_cache

from fidelity.facts.reading.dates import Date, english_dates
from fidelity.facts.reading.foreign_dates import foreign_dates
from fidelity.facts.reading.literals import Literal, literals
from fidelity.facts.reading.mathematics import Answer, Formula, Step, final_answer, formulas, steps, with_plain_numbers
from fidelity.facts.reading.number_words import base_language, foreign_numbers
from fidelity.facts.reading.numbers import Number, english_numbers
from fidelity.facts.reading.words import Sentence, Span, Word, sentences, words
from rephrase.corpus.protected import macros

# LaTeX commands, GSM8K's calculator annotations, label keys: not words of the text.
_NO_WORDS = re.compile(
    r"<<[^<>]*>>|\\(?:label|ollabel|ref|olref|eqref|cite[tp]?|begin|end|input|olfileid|documentclass|includegraphics)\*?"
    r"(?:\[[^\[\]]*\])*\{[^{}]*\}|\\[a-zA-Z]+\*?|^%[^\n]*$|!!\^?a?(?=\{)|!!\{|\]\([^()\s]*\)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The facts of one text, except names, which depend on the text it is compared with."""

    text: str
    language: str  # ISO 639-1
    prose: str  # same length; formulas, code, addresses and commands are blanked
    words: tuple[Word, ...]
    sentences: tuple[Sentence, ...]
    numbers: tuple[Number, ...]
    dates: tuple[Date, ...]
    formulas: tuple[Formula, ...]
    steps: tuple[Step, ...]
    answer: Answer | None
    literals: tuple[Literal, ...]
    lower_words: frozenset[str]

    def claimed(self) -> list[Span]:
        """The sorted spans of numbers, with their units, and of dates."""
        return sorted((fact.start, fact.end) for facts in (self.numbers, self.dates) for fact in facts)


def blanked(text: str, spans: list[Span]) -> str:
    """The text with the spans replaced by spaces; all other characters keep their positions."""
    parts, end = [], 0
    for start, stop in sorted(spans):
        if stop > end:
            parts += [text[end:start], " " * (stop - max(start, end))]
            end = stop
    return "".join([*parts, text[end:]])


# A source is compared with all its variants and attempts within a short time.
@lru_cache(maxsize=256)
def parse(text: str, language: str = "en") -> Parsed:
    """Extract all facts of a text in a language, given by its ISO 639-1 code."""
    found_formulas, found_literals = formulas(text), literals(text)
    spans = [(formula.start, formula.end) for formula in found_formulas]
    spans += [(literal.start, literal.end) for literal in found_literals]
    plain = with_plain_numbers(text)
    spans += [match.span() for match in _NO_WORDS.finditer(plain)]
    spans += macros(text).definitions
    prose = blanked(plain, spans)
    all_words = words(prose)
    language = base_language(language)
    if language == "en":
        dates = english_dates(prose)
        numbers = english_numbers(prose, all_words, [(date.start, date.end) for date in dates])
    else:
        dates = foreign_dates(prose, language)
        numbers = foreign_numbers(prose, language, [(date.start, date.end) for date in dates])
    return Parsed(
        text=text,
        language=language,
        prose=prose,
        words=tuple(all_words),
        sentences=tuple(sentences(prose, all_words)),
        numbers=tuple(numbers),
        dates=tuple(dates),
        formulas=tuple(found_formulas),
        steps=tuple(steps(text)),
        answer=final_answer(text),
        literals=tuple(found_literals),
        lower_words=frozenset(word.lower for word in all_words if not word.is_capitalized),
    )
