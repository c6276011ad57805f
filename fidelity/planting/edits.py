"""Edits of a text by character position, and the prose in which they are allowed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rephrase.corpus.protected import protected_spans


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces the characters `start` to `end` by `new`."""

    start: int
    end: int
    new: str
    detail: str = ""


MONTHS = "January February March April May June July August September October November December".split()
_LATEX = re.compile(
    r"<<[^<>]*>>|\\(?:label|ollabel|ref|olref|cite[tp]?|begin|end|olfileid|documentclass|usepackage)\*?"
    r"(?:\[[^\[\]]*\])*\{[^{}]*\}|\\[a-zA-Z]+\*?|^%[^\n]*$|!!\^?a?(?=\{)|https?://\S+|\]\([^()\s]*\)",
    re.MULTILINE,
)


def prose(text: str) -> str:
    """The text with formulas, code, tables and commands blanked; all other characters keep their positions."""
    spans = [*protected_spans(text), *(match.span() for match in _LATEX.finditer(text))]
    characters = list(text)
    for start, end in spans:
        characters[start:end] = " " * (end - start)
    return "".join(characters)


def applied(text: str, edit: Edit) -> tuple[str, tuple[int, int]]:
    """The text after the edit, and what of it the edit touches: where words are gone, their neighbours."""
    result = text[: edit.start] + edit.new + text[edit.end :]
    return result, touched(result, (edit.start, edit.start + len(edit.new)))


def touched(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """The span itself, or if it is empty, the words on both sides, which are the ones that do not fit."""
    start, end = span
    if text[start:end].strip():
        return span
    before = re.search(r"\w+\W*$", text[:start])
    after = re.match(r"\W*\w+", text[end:])
    return (before.start() if before else start), (end + after.end() if after else end)


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """Apply all edits that do not overlap an earlier one."""
    parts, end = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        if edit.start >= end:
            parts += [text[end : edit.start], edit.new]
            end = edit.end
    return "".join([*parts, text[end:]])
