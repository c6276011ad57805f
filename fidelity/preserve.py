"""Formulas, numbers and final answers of a source must stand in its rewrite: equal up to how they are written."""

import re
from collections.abc import Iterator

from fidelity.form import Finding
from rephrase.protected import formula_spans

# Digits with separators of thousands and a fraction; not the 2 of x_2 or of H2O.
_NUMBER = re.compile(r"(?<![A-Za-z0-9_.^\\])\d+(?:[,\u202f\u00a0 ]\d{3})*(?:\.\d+)?(?!\w*[\\^_{])")
# What GSM8K writes for a calculator, not for a reader.
_CALCULATOR = re.compile(r"<<[^<>]*>>")
_DELIMITERS = re.compile(r"^(?:\$\$?|\\\[|\\\()|(?:\$\$?|\\\]|\\\))$")
_NOT_MATHEMATICS = re.compile(r"\\(?:label|ref|tag|nonumber|notag)\*?(?:\{[^{}]*\})?|\\[,;:! ]|~|\s+|[.,;]+$")
_PLAIN_NUMBER = re.compile(r"^[\\$]*\d[\d,.]*\W*$")
_ANSWER = re.compile(r"####\s*(.+?)\s*$|\\boxed\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}", re.MULTILINE)


def lost_formula(source: str, rewrite: str) -> Finding | None:
    """The first formula of the source that the rewrite does not hold, in whatever delimiters and spacing."""
    # A rewrite may set a formula in other delimiters, or none, so all its text counts.
    there = plain_formula(rewrite)
    for formula in formulas(source):
        if formula not in there:
            return "formula_changed", f"{formula} is not there"
    return None


def lost_number(source: str, rewrite: str) -> Finding | None:
    """The first number of the source that the rewrite does not hold."""
    there = set(numbers(rewrite))
    for number in numbers(source):
        if number not in there:
            return "number_changed", f"{number} is not there"
    return None


def lost_answer(source: str, rewrite: str) -> Finding | None:
    r"""The final answer of the source, after `####` or in `\boxed{}`, when the rewrite does not hold it."""
    found = [first or second for first, second in _ANSWER.findall(source)]
    if not found:
        return None
    answer = found[-1]
    if _PLAIN_NUMBER.match(answer):
        there = set(numbers(answer)) <= set(numbers(rewrite.replace("$", " ")))
    else:
        there = plain_formula(answer) in plain_formula(rewrite)
    return None if there else ("answer_lost", f"the answer {answer} is not there")


def formulas(text: str) -> list[str]:
    """The formulas of a text, without delimiters, spacing and punctuation at their end; each once, in order."""
    found = (plain_formula(_DELIMITERS.sub("", text[start:end])) for start, end in formula_spans(text))
    return list(dict.fromkeys(formula for formula in found if formula))


def plain_formula(text: str) -> str:
    return _NOT_MATHEMATICS.sub("", text.strip())


def numbers(text: str) -> Iterator[str]:
    """The numbers of a text's prose, without separators of thousands and without zeros that mean nothing."""
    for match in _NUMBER.findall(_CALCULATOR.sub("", without_protected_formulas(text))):
        whole, _, fraction = re.sub(r"[,\s]", "", match).partition(".")
        fraction = fraction.rstrip("0")
        yield f"{int(whole)}.{fraction}" if fraction else str(int(whole))


def without_protected_formulas(text: str) -> str:
    """Formulas are compared as formulas; but a bare number between dollars is a number."""
    parts, end = [], 0
    for start, stop in formula_spans(text):
        inner = _DELIMITERS.sub("", text[start:stop]).strip()
        parts += [text[end:start], inner if re.fullmatch(r"[\d.,]+", inner) else " "]
        end = stop
    return "".join([*parts, text[end:]])
