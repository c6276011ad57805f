"""Formulas, numbers, questions and final answers of a source must occur in its rewrite, equal up to notation.

These checks ignore what the rewrite adds: a learning note works out steps that its source omits.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from fidelity.checks.finding import Finding
from fidelity.facts.reading.mathematics import final_answer, normal_form, plain_formula, unboxed, without_delimiters
from fidelity.facts.reading.notation.digits import digits_end, minus_before, read_digits, starts_of_digits
from fidelity.facts.reading.parsed import parse
from rephrase.corpus.protected import drawing_spans, formula_spans, without_protected

_NO_NUMBER_BEFORE = re.compile(r"[A-Za-z0-9_.^\\]")
# The 2 of 2x_1; no unit is longer.
_NO_NUMBER_AFTER = re.compile(r"[^\W_]{0,30}+[\\^_{]")
# GSM8K's calculator annotations, not meant for a reader.
_CALCULATOR = re.compile(r"<<[^<>]*>>")
# Of any script: Latin and most others, Chinese and Japanese, Arabic.
_QUESTION_MARK = re.compile("[?？؟]")
_ENDS_IN_QUESTION = re.compile(r"[?？؟][\s\"'”’»)\]」』）]*\Z")
_RESULT = re.compile(r"[\d)}]\s{0,3}=\s{0,3}[^\w\s=]{0,3}\d[\d.,]*")
_PLAIN_NUMBER = re.compile(r"^[\\$]*\d[\d,.]*\W*$")


def lost_formula(source: str, rewrite: str) -> Finding | None:
    """The first formula of the source that the rewrite lacks, regardless of delimiters, spacing and spelling."""
    # A rewrite may use other delimiters for a formula, or none, so its whole text is searched as well as its formulas.
    written = [unboxed(normal_form(without_delimiters(rewrite[start:end]))) for start, end in formula_spans(rewrite)]
    there = "\n".join([unboxed(normal_form(rewrite)), *written])
    chains = [chain for form in written for chain in _chains(form)]
    for start, end in formula_spans(source):
        formula = without_delimiters(source[start:end])
        form = unboxed(normal_form(formula))
        if form not in there and not all(_is_told(chain, chains, there) for chain in _chains(form)):
            return "formula_changed", f"{plain_formula(formula)} is missing"
    return None


def _chains(form: str) -> list[list[str]]:
    """The members of `a = b = c` for each line of a formula; a line that begins with a sign goes on."""
    lines = re.split(r"\\\\(?!=)", form)
    chains = [[member for member in line.replace("\\\\", "").split("=") if member] for line in lines]
    return [chain for chain in chains if chain]


def _is_told(chain: list[str], chains: list[list[str]], there: str) -> bool:
    """Whether a rewrite goes from one end of a chain to the other, or has both ends and all inner members but one.

    A note takes a chain such as `a = b = c = d` apart, and may put steps in between or leave one out.
    """
    first, last = chain[0], chain[-1]
    if len(chain) == 1:
        return first in there
    if any(first in told and last in told[told.index(first) :] for told in chains):
        return True
    n_lacking = sum(member not in there for member in chain[1:-1])
    return len(chain) > 2 and first in there and last in there and n_lacking <= 1


def lost_number(source: str, rewrite: str) -> Finding | None:
    """The first number in digits of the source that the rewrite has neither in digits nor in words."""
    there = set(_values(rewrite))
    for written, values in _written(source):
        # "(3,4)" may be a pair.
        parts = {float(part) for part in re.findall(r"\d+", written)}
        if there.isdisjoint(values) and not (len(parts) > 1 and parts <= there):
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
    if "=" in source or formula_spans(source):
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
        there = {values[0] for _, values in _written(answer)} <= set(_values(rewrite.replace("$", " ")))
    else:
        there = normal_form(answer) in normal_form(rewrite)
    return None if there else ("answer_lost", f"the answer {answer} is missing")


def formulas(text: str) -> list[str]:
    """The distinct formulas of a text in order, without delimiters, spacing and trailing punctuation."""
    found = (plain_formula(without_delimiters(text[start:end])) for start, end in formula_spans(text))
    return list(dict.fromkeys(formula for formula in found if formula))


def numbers(text: str) -> Iterator[str]:
    """The numbers in a text's prose, without thousands separators and insignificant zeros."""
    return (_plain(values[0]) for _, values in _written(text))


def _written(text: str) -> Iterator[tuple[str, tuple[float, ...]]]:
    """The numbers in digits as written, and the values that each may have in some language."""
    prose = _CALCULATOR.sub("", without_protected_formulas(text))
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
            yield prose[start:end], tuple(sign * value for value in read.values)
        else:
            for value, (first, last) in read.parts:
                yield prose[first:last], (value,)


def _values(text: str) -> Iterator[float]:
    """All possible values of the numbers in a text, including those in English words."""
    for written, values in _written(text):
        yield from values
        if "/" in written:  # of 1/2 also 1 and 2
            yield from map(float, re.findall(r"\d+", written))
    for number in parse(text).numbers:
        yield from number.values


def _plain(value: float) -> str:
    return f"{Decimal(repr(value)).normalize():f}"


def without_protected_formulas(text: str) -> str:
    """The text with formulas and drawings blanked; a bare number between dollar signs is kept as a number."""
    parts, end = [], 0
    for start, stop in sorted([*formula_spans(text), *drawing_spans(text)]):
        if start < end:
            continue
        inner = without_delimiters(text[start:stop]).strip()
        parts += [text[end:start], inner if re.fullmatch(r"[-−]?[\d.,]+", inner) else " "]
        end = stop
    return "".join([*parts, text[end:]])
