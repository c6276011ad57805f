"""Formulas, numbers, questions and final answers of a source must occur in its rewrite, equal up to notation.

These checks ignore what the rewrite adds: a learning note works out steps that its source omits.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from fidelity.checks.finding import Finding
from fidelity.facts.reading.mathematics import (
    Told,
    chains,
    final_answer,
    normal_form,
    number_of,
    plain_formula,
    unboxed,
    without_delimiters,
    worked_out,
)
from fidelity.facts.reading.notation.digits import digits_end, minus_before, read_digits, starts_of_digits
from fidelity.facts.reading.number_words import foreign_numbers
from fidelity.facts.reading.numbers import Number
from fidelity.facts.reading.parsed import parse
from rephrase.corpus.language import detect_language
from rephrase.corpus.protected import drawing_spans, formula_spans, without_protected, without_spans

_NO_NUMBER_BEFORE = re.compile(r"[A-Za-z0-9_.^\\]")
# The 2 of 2x_1; no unit is longer.
_NO_NUMBER_AFTER = re.compile(r"[^\W_]{0,30}+[\\^_{]")
# GSM8K's calculator annotations, not meant for a reader.
_CALCULATOR = re.compile(r"<<[^<>]*>>")
# Of any script: Latin and most others, Chinese and Japanese, Arabic.
_QUESTION_MARK = re.compile("[?？؟]")
_ENDS_IN_QUESTION = re.compile(r"[?？؟][\s\"'”’»)\]」』）*_]*\Z")
_RESULT = re.compile(r"[\d)}]\s{0,3}=\s{0,3}[^\w\s=]{0,3}\d[\d.,]*")
_PLAIN_NUMBER = re.compile(r"^[\\$]*\d[\d,.]*\W*$")


def lost_formula(source: str, rewrite: str) -> Finding | None:
    """The first formula of the source that the rewrite lacks, regardless of delimiters, spacing and spelling."""
    # A rewrite may use other delimiters for a formula, or none, so its whole text is searched as well as its formulas.
    spans = formula_spans(rewrite)
    written = [unboxed(normal_form(without_delimiters(rewrite[start:end]))) for start, end in spans]
    lines = (unboxed(normal_form(line)) for line in without_spans(rewrite, drawing_spans(rewrite)).splitlines())
    there, told = "\n".join([*lines, *written]), Told(written)
    for start, end in formula_spans(source):
        formula = without_delimiters(source[start:end])
        form = unboxed(normal_form(formula))
        if not _stands(form, there) and not all(_is_there(chain, told, there) for chain in chains(form)):
            return "formula_changed", f"{plain_formula(formula)} is missing"
    return None


def _stands(form: str, there: str) -> bool:
    """x = 1 does not stand in x = 15, nor 2x = 4 in 12x = 4."""
    if not form or form not in there:
        return not form
    before = r"(?<!\d)(?<!\d\.)" if form[0].isdigit() else r"(?<!\d)" if form[0].isalpha() else ""
    return re.search(rf"{before}{re.escape(form)}(?!\d|\.\d|[\^_])", there) is not None


def _is_there(chain: list[str], told: Told, there: str) -> bool:
    """A line of a display is there, or told in steps, or is a calculation that is there with the same value."""
    stands = _stands("=".join(chain), there)
    if stands or len(chain) == 1:
        return stands
    if worked_out(chain) and any(_same_calculation(chain, other) for other in told.chains):
        return True
    return told.tells(chain, n_left_out=1)


def _same_calculation(chain: list[str], other: list[str]) -> bool:
    """2(15) = 30 is 2 · 15 = 30."""
    return worked_out(other) and number_of(chain[0]) == number_of(other[0])


def lost_number(source: str, rewrite: str) -> Finding | None:
    """The first number in digits of the source that the rewrite has neither in digits nor in words."""
    there = set(_values(rewrite))
    prose = without_protected_formulas(source)
    scaled: list[Number] | None = None
    for start, end, values in _written(prose):
        # "(3,4)" may be a pair.
        parts = {float(part) for part in re.findall(r"\d+", prose[start:end])}
        if not there.isdisjoint(values) or (len(parts) > 1 and parts <= there):
            continue
        if scaled is None:
            scaled = foreign_numbers(prose, detect_language(source))
        # 3万 is 30,000.
        if not any(number.start <= start < number.end and not there.isdisjoint(number.values) for number in scaled):
            return "number_changed", f"{_plain(values[0])} is missing"
    return None


def lost_question(source: str, rewrite: str) -> Finding | None:
    """The source asks something, by its question marks, and the rewrite does not, or no longer at its end."""
    if not _QUESTION_MARK.search(without_protected(source)):
        return None
    if not _QUESTION_MARK.search(rewrite):
        return "question_lost", "the source asks a question, the rewrite none"
    if _ENDS_IN_QUESTION.search(source) and not _ENDS_IN_QUESTION.search(rewrite):
        return "question_lost", "the source ends with a question, the rewrite does not"
    return None


def given_answer(source: str, rewrite: str) -> Finding | None:
    """The rewrite of a source without equations has one: it solves the problem that it should translate."""
    if "=" in source or "＝" in source or formula_spans(source):
        return None
    found = _RESULT.search(rewrite)
    return ("answer_given", f"{found.group()} is not in the source") if found else None


def changed_question(source: str, rewrite: str) -> Finding | None:
    """The translation of a problem that no longer asks, or that answers."""
    return lost_question(source, rewrite) or given_answer(source, rewrite)


def lost_answer(source: str, rewrite: str) -> Finding | None:
    r"""The final answer of the source, after `####` or in `\boxed{}`, if the rewrite lacks it."""
    found = final_answer(source)
    if found is None:
        return None
    answer = found.text
    if _PLAIN_NUMBER.match(answer):
        found_values = _written(without_protected_formulas(answer))
        there = {values[0] for _, _, values in found_values} <= set(_values(rewrite.replace("$", " ")))
    else:
        there = normal_form(answer) in normal_form(rewrite)
    return None if there else ("answer_lost", f"the answer {answer} is missing")


def formulas(text: str) -> list[str]:
    """The distinct formulas of a text in order, without delimiters, spacing and trailing punctuation."""
    found = (plain_formula(without_delimiters(text[start:end])) for start, end in formula_spans(text))
    return list(dict.fromkeys(formula for formula in found if formula))


def numbers(text: str) -> Iterator[str]:
    """The numbers in a text's prose, without thousands separators and insignificant zeros."""
    return (_plain(values[0]) for _, _, values in _written(without_protected_formulas(text)))


def _written(prose: str) -> Iterator[tuple[int, int, tuple[float, ...]]]:
    """The numbers in digits: where they stand, and the values that each may have in some language."""
    end = 0
    for start in starts_of_digits(prose):
        # Not the 2 of x_2 or of H2O.
        if start < end or _NO_NUMBER_BEFORE.match(prose[start - 1 : start]):
            continue
        read = read_digits(prose, start, None)
        end = read.end if read else digits_end(prose, start)
        if read is None or _NO_NUMBER_AFTER.match(prose, end):
            continue
        sign = -1.0 if minus_before(prose, start) is not None else 1.0
        if read.values:
            yield start, end, tuple(sign * value for value in read.values)
        else:
            for value, (first, last) in read.parts:
                yield first, last, (value,)


def _values(text: str) -> Iterator[float]:
    """All possible values of the numbers in a text, including those in English words."""
    prose = without_protected_formulas(text)
    for start, end, values in _written(prose):
        yield from values
        if "/" in prose[start:end]:  # of 1/2 also 1 and 2
            yield from map(float, re.findall(r"\d+", prose[start:end]))
    for number in parse(text).numbers:
        yield from number.values


def _plain(value: float) -> str:
    return f"{Decimal(repr(value)).normalize():f}"


def without_protected_formulas(text: str) -> str:
    """The text with formulas, drawings and GSM8K's notes blanked; a bare number between dollar signs stays a number."""
    parts, end = [], 0
    for start, stop in sorted([*formula_spans(text), *drawing_spans(text)]):
        if start < end:
            continue
        inner = without_delimiters(text[start:stop]).strip()
        parts += [text[end:start], inner if re.fullmatch(r"[-−]?[\d.,]+", inner) else " "]
        end = stop
    return _CALCULATOR.sub("", "".join([*parts, text[end:]]))
