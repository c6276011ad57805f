"""What a rewrite must copy verbatim: addresses, code, citations, versions."""

import re
from dataclasses import dataclass

from rephrase.corpus.protected import code_spans, inside, macros

# Groups of digits, and dates: "299.792.458", "03.10.1990".
_NO_VERSION = r"[1-9]\d{0,2}(?:\.\d{3}){2,}(?![\w.])|[0-3]?\d\.[01]?\d\.(?:1\d|20)\d\d(?![\w.])"
_PATTERN = re.compile(
    rf"""
      (?P<url>(?:https?://|www\.)[^\s<>"'`)\]}}]+[^\s<>"'`)\]}}.,;:!?])
    | (?P<email>\b[\w.+-]{{1,64}}+@[\w-]{{1,63}}(?:\.[\w-]{{1,63}})+\b)
    | (?P<doi>\b(?:doi:\s*)?10\.\d{{4,}}/[^\s"<>]+[^\s"<>.,;)])
    | (?P<arxiv>\barXiv[:\s]\d{{4}}\.\d{{4,5}}(?:v\d+)?)
    | (?P<version>(?<![\w.])(?!{_NO_VERSION})v?\d+\.\d+\.\d+(?:\.\d+)*(?![\w.]))
    | (?P<latex>\\(?:cite[tp]?|[cC]ref|ref|eqref|olref|citealt|citeauthor)\*?(?:\[[^\]]*\])*\{{[^{{}}]*\}})
    | (?P<bracket>\[\d{{1,3}}(?:\s?[,–-]\s?\d{{1,3}})*\])
    | (?P<author>\((?:[A-Z][\w’'-]+(?:\s(?:and|&)\s[A-Z][\w’'-]+|\set\sal\.)?,?\s(?:1[89]|20)\d\d[a-z]?(?:;\s)?)+\))
    """,
    re.VERBOSE,
)
_CITATIONS = frozenset({"latex", "bracket", "author"})


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal; `kind` is "url", "code" or "citation", and equal literals have equal `key`s."""

    kind: str
    key: str
    start: int
    end: int


def literals(text: str) -> list[Literal]:
    """The literals of a text in order; anything inside code is part of the code."""
    found = [
        Literal("code", re.sub(r"\s+", " ", text[start:end].strip("`~ \n")), start, end)
        for start, end in code_spans(text)
    ]
    # The number of arguments of a LaTeX macro, "[1]", is no citation.
    definitions = macros(text).definitions
    code = [(literal.start, literal.end) for literal in found]
    for match in _PATTERN.finditer(text):
        if inside(match.start(), code) or inside(match.start(), definitions):
            continue
        name = match.lastgroup or ""
        kind = "citation" if name in _CITATIONS else "url"
        key = re.sub(r"\s+", " ", match.group()).rstrip("/").lower()
        found.append(Literal(kind, re.sub(r"^https?://(?:www\.)?", "", key), match.start(), match.end()))
    return sorted(found, key=lambda literal: literal.start)
