"""The spans of a text that must not be split: formulas, code, table rows."""

import re
from collections.abc import Iterator

# Each alternative is a whole construct; the first that matches at a position wins, so code hides the dollars in it.
_CONSTRUCT = re.compile(
    r"""
      (?P<fence>^[ \t]*(?P<tick>`{3,}|~{3,})[^\n]*\n(?:.*?\n)??[ \t]*(?P=tick)[ \t]*$)
    | (?P<code>(?<!`)`[^`\n]+`(?!`))
    | (?P<display>(?<!\\)\$\$.+?(?<!\\)\$\$)
    # As in Pandoc: an opening dollar before a space, or a closing one after a space or before a digit, is money.
    | (?P<inline>(?<![\\$])\$(?![\s$])(?:\\.|[^$\\\n]|\n(?![ \t]*\n))*?(?<![\s\\])\$(?!\d))
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([^{}\n]+)\}")
_FORMULA_GROUPS = {"display", "inline"}
# Not the line break with spacing "\\\\[2pt]".
_BRACKET = re.compile(r"(?<!\\)\\([\[\]()])")
# Escaped Markdown brackets, as in "[he \\[the king\\] said": only words, one of them too long for a product of letters.
_WORDS = re.compile(r"(?=.*[^\W\d_]{4})[^\W\d_]+(?:[\s,.;:'’-]+[^\W\d_]+)*[.,;]?", re.DOTALL)
_MATH_ENVIRONMENT = re.compile(
    r"\\begin\{(?:equation|align|alignat|gather|multline|flalign|eqnarray|displaymath|math|split|cases|array|[a-z]*matrix)\*?\}"
)
_TABLE_ROW = re.compile(r"^(?:[ \t]*\|[^\n]*\|[ \t]*|[^\n|]*\|[^\n|]*\|[^\n]*)$", re.MULTILINE)

Span = tuple[int, int]


def protected_spans(text: str) -> list[Span]:
    r"""Half-open character spans to keep whole, sorted by start; an environment's span contains its inner ones.

    They are `$…$`, `$$…$$`, `\(…\)`, `\[…\]`, `\begin{…}…\end{…}`, fenced and inline code, and table rows.
    """
    spans = [match.span() for match in _CONSTRUCT.finditer(text)]
    spans.extend(_brackets(text))
    spans.extend(_environments(text))
    spans.extend(match.span() for match in _TABLE_ROW.finditer(text))
    return _nested(sorted(spans, key=lambda span: (span[0], -span[1])))


def _nested(spans: list[Span]) -> list[Span]:
    """Drop spans that overlap an earlier one without being inside it: together the two would protect too much."""
    kept: list[Span] = []
    open_ends: list[int] = []
    for start, end in spans:
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        if not open_ends or end <= open_ends[-1]:
            kept.append((start, end))
            open_ends.append(end)
    return kept


def _brackets(text: str) -> Iterator[Span]:
    r"""`\[…\]` and `\(…\)`, found in one pass: an unclosed bracket must not cost a search to the end."""
    opened: dict[str, int] = {}
    for match in _BRACKET.finditer(text):
        sign = match.group(1)
        if sign in "[(":
            opened[sign] = match.start()
        elif (start := opened.pop({"]": "[", ")": "("}[sign], None)) is not None and not (
            sign == "]" and _WORDS.fullmatch(text, start + 2, match.start())
        ):
            yield start, match.end()


def _environments(text: str) -> Iterator[Span]:
    """Matching begin and end, including nested ones; an unclosed environment protects nothing."""
    open_at: list[tuple[str, int]] = []
    for match in _ENVIRONMENT.finditer(text):
        command, name = match.groups()
        if command == "begin":
            open_at.append((name, match.start()))
        elif any(name == opened for opened, _ in open_at):
            while True:
                opened, start = open_at.pop()
                if opened == name:
                    yield start, match.end()
                    break


def outermost(spans: list[Span]) -> list[Span]:
    """Of nested spans, sorted by start, those that no other contains."""
    kept: list[Span] = []
    for start, end in spans:
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


def formula_spans(text: str) -> list[Span]:
    r"""The outermost formulas: `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and the environments of displayed mathematics."""
    found = [match.span() for match in _CONSTRUCT.finditer(text) if match.lastgroup in _FORMULA_GROUPS]
    found += _brackets(text)
    found += [(start, end) for start, end in _environments(text) if _MATH_ENVIRONMENT.match(text, start)]
    return outermost(_nested(sorted(found, key=lambda span: (span[0], -span[1]))))


def code_spans(text: str) -> list[Span]:
    """Fenced and inline code."""
    return [match.span() for match in _CONSTRUCT.finditer(text) if match.lastgroup not in _FORMULA_GROUPS]


def without_protected(text: str) -> str:
    """The prose of a text: formulas, code and tables are replaced by a space."""
    parts, end = [], 0
    for start, stop in outermost(protected_spans(text)):
        parts.append(text[end:start])
        end = stop
    return " ".join([*parts, text[end:]])
