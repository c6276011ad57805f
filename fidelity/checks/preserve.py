"""Formulas, numbers and final answers of a source must stand in its rewrite: equal up to how they are written.

What the rewrite has besides is no business of these checks: a learning note works out steps that its source left out.
"""

import re
from collections.abc import Iterator

from fidelity.checks.form import Finding
from fidelity.facts.reading.mathematics import final_answer, normal_form, plain_formula, without_delimiters
from fidelity.facts.reading.number_words import readings
from fidelity.facts.reading.parsed import parse
from rephrase.corpus.protected import formula_spans

# Digits with separators of thousands and a fraction; not the 2 of x_2 or of H2O.
_NUMBER = re.compile(r"(?<![A-Za-z0-9_.^\\])\d+(?:[.,\u202f\u00a0 ]\d{3})*(?:[.,]\d+)?(?!\w*[\\^_{])")
# What GSM8K writes for a calculator, not for a reader.
_CALCULATOR = re.compile(r"<<[^<>]*>>")
_PLAIN_NUMBER = re.compile(r"^[\\$]*\d[\d,.]*\W*$")


def lost_formula(source: str, rewrite: str) -> Finding | None:
    """The first formula of the source that the rewrite does not hold, in whatever delimiters, spacing and spelling."""
    # A rewrite may set a formula in other delimiters, or none, so all its text counts.
    there = normal_form(rewrite)
    for start, end in formula_spans(source):
        formula = without_delimiters(source[start:end])
        if normal_form(formula) not in there:
            return "formula_changed", f"{plain_formula(formula)} is not there"
    return None


def lost_number(source: str, rewrite: str) -> Finding | None:
    """The first number in digits of the source that the rewrite does not hold, in digits or in words."""
    there = set(_values(rewrite))
    for written in _written(source):
        # "(3,4)" may be a pair.
        parts = {float(part) for part in re.split(r"[., ]", written)}
        if there.isdisjoint(readings(written)) and not (len(parts) > 1 and parts <= there):
            return "number_changed", f"{_plain(readings(written)[0])} is not there"
    return None


def lost_answer(source: str, rewrite: str) -> Finding | None:
    r"""The final answer of the source, after `####` or in `\boxed{}`, when the rewrite does not hold it."""
    found = final_answer(source)
    if found is None:
        return None
    answer = found.text
    if _PLAIN_NUMBER.match(answer):
        there = {value for written in _written(answer) for value in readings(written)[:1]} <= set(
            _values(rewrite.replace("$", " "))
        )
    else:
        there = normal_form(answer) in normal_form(rewrite)
    return None if there else ("answer_lost", f"the answer {answer} is not there")


def formulas(text: str) -> list[str]:
    """The formulas of a text, without delimiters, spacing and punctuation at their end; each once, in order."""
    found = (plain_formula(without_delimiters(text[start:end])) for start, end in formula_spans(text))
    return list(dict.fromkeys(formula for formula in found if formula))


def numbers(text: str) -> Iterator[str]:
    """The numbers of a text's prose, without separators of thousands and without zeros that mean nothing."""
    return (_plain(readings(written)[0]) for written in _written(text))


def _written(text: str) -> Iterator[str]:
    """Numbers as they are written in digits, one kind of space between groups."""
    for match in _NUMBER.findall(_CALCULATOR.sub("", without_protected_formulas(text))):
        yield re.sub(r"[\s]", " ", match)


def _values(text: str) -> Iterator[float]:
    """All values that numbers of a text may have, those in English words among them."""
    for written in _written(text):
        yield from readings(written)
    for number in parse(text).numbers:
        yield from number.values


def _plain(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def without_protected_formulas(text: str) -> str:
    """Formulas are compared as formulas; but a bare number between dollars is a number."""
    parts, end = [], 0
    for start, stop in formula_spans(text):
        inner = without_delimiters(text[start:stop]).strip()
        parts += [text[end:start], inner if re.fullmatch(r"[\d.,]+", inner) else " "]
        end = stop
    return "".join([*parts, text[end:]])
