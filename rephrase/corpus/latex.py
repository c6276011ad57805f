r"""The displayed mathematics of LaTeX: environments, and the macros that authors write for them.

    \newcommand{\be}{\begin{equation}}   \newcommand{\ee}{\end{equation}}   …   \be a = b \ee

A macro may be defined far from where it is used, or in another file. So a pair of the usual names counts without a
definition, and so does any pair `\bsomething … \esomething` around what can only be mathematics.
"""

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Span = tuple[int, int]

_MATH_NAME = re.compile(
    r"""(?: (?:[A-Za-z]{0,12}(?<![sr]))? (?:eqn?s? | equations? | eqna | eqnarray(?:boxm?)?)
        | [A-Za-z]{0,6}align(?:ed|at|edat)? | [A-Za-z]{0,6}gather(?:ed)? | mult(?:line|lined) | [a-z]{0,6}matrix
        | (?:dr?|r|num|subnum|lr)?cases | (?:sub|d|[bpvBV])?array | split | dmath | dgroup | dseries
        | (?:display|in)?math | empheq | mathpar | CD | tikzcd | formula )\*?""",
    re.VERBOSE,
)
# The macros that physicists and mathematicians define most often, as \b… and \e….
_USUAL = re.compile(r"e|eq[a-z]?|eqna|eqnn|eqnarray|ea|ea[ns]|eann|es|a|al[si]?|ga|se")
# "\bm{x} … {\em y}" and lists are no pairs of mathematics.
_OTHER = frozenset(("m", "i", "t", "c", "it", "d"))
_SIDE = re.compile(r"\\(?P<side>start|stop|b|e)(?P<rest>[a-zA-Z]{1,10})(?![a-zA-Z@])")
_SIGN = re.compile(r"[=^_&<>]|\\(?:frac|sum|int|le|ge|to|partial|nabla|left)(?![a-zA-Z])")
# What is written in prose, not inside a displayed formula.
_PROSE = re.compile(r"\$|\\item(?![a-zA-Z])|\n[ \t]*\n|\\\[|\\\(|[^\W\d_]{2,} [^\W\d_]{2,} [^\W\d_]{2,} [^\W\d_]{2,}")
MAX_DISPLAY = 4000  # characters of a display whose macros nobody defines
_DEFINITION = re.compile(
    r"""\\(?: (?:re)?newcommand\*? | providecommand\*? | (?:New|Renew|Provide|Declare)DocumentCommand | [egx]?def
        | DeclareRobustCommand\*? )\s*\{?\s*\\(?P<name>[a-zA-Z@]{1,40})\s*\}?(?P<arguments>[^{}\\\n]{0,40})(?=\{)
    | \\(?:re)?newenvironment\*?\s*\{(?P<environment>[^{}\n]{1,40})\}[^{}\\\n]{0,40}(?=\{)
    | \\let\s*\\(?P<alias>[a-zA-Z@]{1,40})\s*=?\s*\\(?P<meaning>[a-zA-Z]{1,40}|[\[\]])""",
    re.VERBOSE,
)
_MAX_BODY = 400
_BEGIN = re.compile(r"\\begin\s*\{([^{}\n]{1,40})\}|\\(?!end)([a-zA-Z]{2,20})(?![a-zA-Z])|\\\[")
_END = re.compile(r"\\end\s*\{([^{}\n]{1,40})\}|\\end([a-zA-Z]{2,20})(?![a-zA-Z])|\\\]")


def is_math_environment(name: str) -> bool:
    """Whether an environment of this name displays mathematics: equation, align*, IEEEeqnarray, dmath, pmatrix, …"""
    return _MATH_NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Macros:
    """What a text defines: names that open and close a display, and that take one as their argument."""

    definitions: tuple[Span, ...]
    opening: frozenset[str]
    closing: frozenset[str]
    wrapping: frozenset[str]
    environments: frozenset[str]


def macros(text: str) -> Macros:
    """The definitions in a text that have to do with displayed mathematics, and the spans of all definitions."""
    spans: list[Span] = []
    opening, closing, wrapping, environments = set(), set(), set(), set()
    for match in _DEFINITION.finditer(text):
        end = match.end()
        if spans and match.start() < spans[-1][1]:
            continue
        if alias := match.group("alias"):
            meaning = match.group("meaning")
            if meaning == "]" or (meaning.startswith("end") and is_math_environment(meaning[3:])):
                closing.add(alias)
            elif meaning == "[" or is_math_environment(meaning):
                opening.add(alias)
        else:
            body, end = _braced(text, end)
            if name := match.group("name"):
                if "Document" in match.group() and body is not None:  # the first braces hold the types of its arguments
                    body, end = _braced(text, end)
                opens, closes = _displays(body or "")
                if opens and closes and "#1" in (body or ""):
                    wrapping.add(name)
                elif opens != closes:
                    (opening if opens else closing).add(name)
            else:
                ending, end = _braced(text, end)
                if _displays(body or "")[0] and _displays(ending or "")[1]:
                    environments.add(match.group("environment"))
        spans.append((match.start(), end))
    found = (frozenset(names) for names in (opening, closing, wrapping, environments))
    return Macros(tuple(spans), *found)


def _braced(text: str, at: int) -> tuple[str | None, int]:
    """What the braces at or just after a position enclose, and where they end; None if there are none nearby."""
    while at < len(text) and text[at].isspace():
        at += 1
    if text[at : at + 1] != "{":
        return None, at
    depth = 0
    for i in range(at, min(len(text), at + _MAX_BODY)):
        if text[i] in "{}" and text[i - 1] != "\\":
            depth += 1 if text[i] == "{" else -1
            if not depth:
                return text[at + 1 : i], i + 1
    return None, at


def _displays(body: str) -> tuple[bool, bool]:
    """Whether the body of a macro opens a display, and whether it closes one."""
    opens = any(
        match.group() == "\\[" or is_math_environment(match.group(1) or match.group(2) or "")
        for match in _BEGIN.finditer(body)
    )
    closes = any(
        match.group() == "\\]" or is_math_environment(match.group(1) or match.group(2) or "")
        for match in _END.finditer(body)
    )
    return opens, closes


def macro_displays(text: str, defined: Macros) -> Iterator[Span]:
    """Displays between two macros, or in the argument of one."""
    yield from _pairs(text, defined)
    if defined.wrapping:
        braces = _brace_pairs(text)
        for match in re.finditer(rf"\\(?:{'|'.join(map(re.escape, sorted(defined.wrapping)))})\s*(?=\{{)", text):
            if match.end() in braces and not inside(match.start(), defined.definitions):
                yield match.start(), braces[match.end()] + 1


def _pairs(text: str, defined: Macros) -> Iterator[Span]:
    opened: dict[str, int] = {}
    for start, end, side, kind in _sides(text, defined):
        if inside(start, defined.definitions):
            continue
        if side == "open":
            opened[kind] = start
        elif (begin := opened.pop(kind, None)) is not None:
            sure = kind == "" or _USUAL.fullmatch(kind) is not None or kind == "start formula"
            inner = text[begin:end] if end - begin <= MAX_DISPLAY else ""
            if inner and not _PROSE.search(inner) and (sure or _SIGN.search(inner)):
                yield begin, end


def _sides(text: str, defined: Macros) -> Iterator[tuple[int, int, str, str]]:
    """(start, end, side, kind) of each macro that may open or close a display; defined ones are of kind ""."""
    names = defined.opening | defined.closing
    if names:
        pattern = re.compile(
            rf"\\(?P<defined>{'|'.join(sorted(names, key=len, reverse=True))})(?![a-zA-Z@])|{_SIDE.pattern}"
        )
    else:
        pattern = re.compile(rf"(?P<defined>(?!))|{_SIDE.pattern}")
    for match in pattern.finditer(text):
        if name := match.group("defined"):
            yield match.start(), match.end(), "open" if name in defined.opening else "close", ""
        else:
            side, rest = match.group("side", "rest")
            if rest in _OTHER:
                continue
            kind = f"start {rest}" if side.startswith("st") else rest
            yield match.start(), match.end(), "open" if side in ("b", "start") else "close", kind


def _brace_pairs(text: str) -> dict[int, int]:
    """The position of the closing brace of each opening one."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for match in re.finditer(r"(?<!\\)[{}]", text):
        if match.group() == "{":
            opened.append(match.start())
        elif opened:
            pairs[opened.pop()] = match.start()
    return pairs


def inside(position: int, spans: Sequence[Span]) -> bool:
    """`spans` are in order and do not overlap."""
    at = bisect.bisect_right(spans, position, key=lambda span: span[0]) - 1
    return at >= 0 and position < spans[at][1]
