"""The spans of a text that must not be split: formulas, code, drawings, table rows."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from rephrase.corpus.latex import Macros, Span, inside, is_math_environment, macro_displays, macros

# Each alternative is a whole construct; the first that matches at a position wins, so code hides the dollars in it.
_CONSTRUCT = re.compile(
    r"""
      (?P<fence>^[ \t]*(?P<tick>`{3,}+|~{3,}+)[^\n]*\n(?:.*?\n)??[ \t]*(?P=tick)[ \t]*$)
    | (?P<code>(?<!`)`[^`\n]+`(?!`))
    # Up to the next one that begins: what is never closed must not cost a search to the end.
    | (?P<drawing>\[asy\](?:(?!\[asy\]).)*?\[/asy\]
        | \\begin\{(?P<drawn>asy|tikzpicture|pgfpicture|pspicture|picture)(?P<star>\*?)\}(?:(?!\\begin\{(?P=drawn)).)*?
          \\end\{(?P=drawn)(?P=star)\})
    | (?P<display>(?<!\\)\$\$.+?(?<!\\)\$\$)
    # As in Pandoc: an opening dollar before a space, or a closing one after a space or before a digit, is money; so is
    # one between a digit and the end of a clause: "He has 20$."
    | (?P<inline>(?<![\\$])\$(?![\s$])(?!(?<=\d\$)[.,;:!?)])(?:\\.|[^$\\\n]|\n(?![ \t]*\n))*?(?<![\s\\])\$(?!\d))
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([^{}\n]+)\}")
_FORMULA_GROUPS = {"display", "inline"}
# Not the line break with spacing "\\\\[2pt]".
_BRACKET = re.compile(r"(?<!\\)\\([\[\]()])")
# Escaped Markdown brackets, as in "[he \\[the king\\] said": only words, one of them too long for a product of letters.
_WORDS = re.compile(r"(?=.*[^\W\d_]{4})[^\W\d_]+(?:[\s,.;:'’-]+[^\W\d_]+)*[.,;]?", re.DOTALL)
# Where a block of code begins or ends: Markdown's fences, LaTeX's verbatim environments, HTML's <pre>.
_CODE_MARK = re.compile(
    r"""^[ \t]*+(?:(?P<fence>`{3,}+|~{3,}+)(?P<info>[^\n]*+)
    | \\(?P<begins>begin|end)\{(?P<name>verbatim\*?|Verbatim|lstlisting|minted|alltt)\}
    | <(?P<closes>/?)pre\b)""",
    re.VERBOSE | re.MULTILINE,
)
_TABLE_ROW = re.compile(r"^(?:[ \t]*\|[^\n]*\|[ \t]*|[^\n|]*\|[^\n|]*\|[^\n]*)$", re.MULTILINE)


def protected_spans(text: str) -> list[Span]:
    r"""Half-open character spans to keep whole, sorted by start; an environment's span contains its inner ones.

    They are `$…$`, `$$…$$`, `\(…\)`, `\[…\]`, `\begin{…}…\end{…}`, an author's macros for them, fenced and inline code,
    the code of drawings, and table rows.
    """
    defined = macros(text)
    spans = [match.span() for match in _CONSTRUCT.finditer(text)]
    spans.extend(span for span in _brackets(text) if not inside(span[0], defined.definitions))
    spans.extend((start, end) for start, end, _ in _environments(text, defined))
    spans.extend(macro_displays(text, defined))
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


def _environments(text: str, defined: Macros) -> Iterator[tuple[int, int, str]]:
    """Matching begin and end with their name, including nested ones; an unclosed environment protects nothing."""
    open_at: list[tuple[str, int]] = []
    n_open: Counter[str] = Counter()
    for match in _ENVIRONMENT.finditer(text):
        command, name = match.groups()
        if inside(match.start(), defined.definitions):
            continue
        if command == "begin":
            open_at.append((name, match.start()))
            n_open[name] += 1
        elif n_open[name]:
            while True:
                opened, start = open_at.pop()
                n_open[opened] -= 1
                if opened == name:
                    yield start, match.end(), name
                    break


def outermost(spans: list[Span]) -> list[Span]:
    """Of nested spans, sorted by start, those that no other contains."""
    kept: list[Span] = []
    for start, end in spans:
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


def formula_spans(text: str) -> list[Span]:
    r"""The outermost formulas: `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and environments of displayed mathematics."""
    defined = macros(text)
    found = [match.span() for match in _CONSTRUCT.finditer(text) if match.lastgroup in _FORMULA_GROUPS]
    found += [span for span in _brackets(text) if not inside(span[0], defined.definitions)]
    found += [
        (start, end)
        for start, end, name in _environments(text, defined)
        if is_math_environment(name) or name in defined.environments
    ]
    found += macro_displays(text, defined)
    drawings = drawing_spans(text)
    if drawings:
        found = [span for span in found if not (inside(span[0], drawings) and inside(span[1] - 1, drawings))]
    return outermost(_nested(sorted(found, key=lambda span: (span[0], -span[1]))))


def code_spans(text: str) -> list[Span]:
    """Fenced and inline code, and the code of drawings."""
    return [match.span() for match in _CONSTRUCT.finditer(text) if match.lastgroup not in _FORMULA_GROUPS]


def drawing_spans(text: str) -> list[Span]:
    r"""The code of drawings: `[asy]…[/asy]`, `\begin{tikzpicture}…\end{tikzpicture}` and their like."""
    return [match.span() for match in _CONSTRUCT.finditer(text) if match["drawing"]]


def with_drawings(text: str, source: str) -> str:
    """`text` with the drawings of `source`, as they stand: a model cannot rewrite their code.

    Those that it has changed are replaced, or removed where their number differs. Those that it lacks stand before its
    last paragraph, or at its end if the source ends with one.
    """
    spans = drawing_spans(source)
    drawings = [source[start:end] for start, end in spans]
    places = drawing_spans(text)
    kept = [text[start:end] for start, end in places]
    if len(kept) == len(drawings):
        kept = drawings
    parts, end = [], 0
    for (start, stop), drawing in zip(places, kept, strict=True):
        parts += [text[end:start], drawing if drawing in drawings else ""]
        end = stop
    text = "".join([*parts, text[end:]]).strip()
    lacking = [drawing for drawing in dict.fromkeys(drawings) if drawing not in text]
    if not lacking:
        return text
    if source[spans[-1][1] :].strip():
        before, separator, last = text.rpartition("\n\n")
        return "\n\n".join([*([before] if separator else []), *lacking, last])
    return "\n\n".join([text, *lacking])


def code_blocks(text: str) -> list[Span]:
    """Blocks of code, from their opening line on; one that is never closed ends with the text, as in CommonMark."""
    found: list[Span] = []
    opened: re.Match[str] | None = None
    for mark in _CODE_MARK.finditer(text):
        if opened is None:
            inline = "`" in (mark["fence"] or "") and "`" in mark["info"]
            opened = None if inline or mark["begins"] == "end" or mark["closes"] == "/" else mark
        elif _closes(mark, opened):
            found.append((opened.start(), mark.end()))
            opened = None
    return [*found, (opened.start(), len(text))] if opened else found


def _closes(mark: re.Match[str], opened: re.Match[str]) -> bool:
    if opened["fence"]:
        return bool(mark["fence"] and mark["fence"].startswith(opened["fence"]) and not mark["info"].strip())
    if opened["name"]:
        return bool(mark["begins"] == "end" and mark["name"] == opened["name"])
    return bool(mark["closes"])


def without_protected(text: str) -> str:
    """The prose of a text: formulas, code and tables are replaced by a space."""
    return without_spans(text, protected_spans(text))


def without_spans(text: str, spans: Iterable[Span]) -> str:
    """The text with a space in the place of each span that no other contains."""
    parts, end = [], 0
    for start, stop in outermost(sorted(spans, key=lambda span: (span[0], -span[1]))):
        parts += [text[end:start], " "]
        end = stop
    return "".join([*parts, text[end:]])
