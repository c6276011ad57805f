"""The context carried from chunk to chunk of a document, so that the rewrite reads as one text."""

import bisect
import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from rephrase.corpus.latex import Span
from rephrase.corpus.protected import code_blocks
from rephrase.corpus.sentences import sentence_spans
from rephrase.models.tokenizer import Tokenizer
from rephrase.records import Chunk

# These run over whole documents: what a pattern may look at is one line, or bounded, and no place is tried twice.
_HEADING = re.compile(
    r"^(?:(#{1,6})[^\S\n]++([^\n]++)"
    r"|\\(chapter|section|subsection|subsubsection)\*?(?:\[[^\]\n]{0,200}+\])?\{([^{}\n]{1,300}+)\}[^\S\n]*+)$",
    re.MULTILINE,
)
_LATEX_LEVELS = {"chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4}
# "mixture of experts (MoE)": the capitals in parentheses, and the words before them that they may abbreviate.
_ABBREVIATION = re.compile(r"(?<![\w-])((?:[\w-]++\s++){1,6}+)\(([A-Z][A-Za-z]{1,15}+)\)")
_NUMBERED = re.compile(r"^[^\S\n]*+(?:\*\*)?(?:Q|Question |Step )?(\d{1,3})[.):]", re.MULTILINE)
MAX_ABBREVIATIONS = 12
MAX_COLUMNS, MAX_HEADER_CHARACTERS = 30, 300
# How far back abbreviations are looked for: with all that was written, each chunk would cost more than the one before.
ABBREVIATION_CHARACTERS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a prompt may contain besides its passage.

    `written` is the end of the text so far, `outline` the headings above the chunk and, if it begins within a table,
    the table's header; `abbreviations` those defined so
    far ("mixture of experts (MoE)"), `last_number` the number of the last list item, `glossary` earlier translations
    of terms in the chunk.
    """

    written: str = ""
    outline: tuple[str, ...] = ()
    abbreviations: tuple[str, ...] = ()
    last_number: int | None = None
    glossary: Mapping[str, str] = field(default_factory=dict)


def make_context(
    source: str,
    chunk: Chunk,
    written: str,
    glossary: Mapping[str, str],
    tokenizer: Tokenizer,
    max_tokens: int,
) -> Context:
    """The context of a chunk of `source`; `max_tokens` bounds `written`."""
    end = tail(written, tokenizer, max_tokens)
    numbers = _NUMBERED.findall(end)
    return Context(
        written=end,
        outline=(*outline(source, chunk.start), *table_header(source, chunk.start)),
        # Those in the tail are in the prompt anyway.
        abbreviations=tuple(a for a in abbreviations(written[-ABBREVIATION_CHARACTERS:]) if a not in end)[
            -MAX_ABBREVIATIONS:
        ],
        last_number=int(numbers[-1]) if numbers else None,
        glossary={term: english for term, english in glossary.items() if term in chunk.text},
    )


def tail(text: str, tokenizer: Tokenizer, max_tokens: int) -> str:
    """The last sentences of `text` that fit into `max_tokens`; if not even one fits, its last `max_tokens` tokens."""
    if not text or max_tokens == 0:
        return ""
    # No token is longer than 32 characters, so the rest need not be tokenized.
    text = text[-max_tokens * 32 :]
    starts = tokenizer.token_starts(text)
    if len(starts) <= max_tokens:
        return text
    earliest = starts[len(starts) - max_tokens]
    ends = [end for _, end in sentence_spans(text)]
    return text[next((end for end in ends if earliest <= end < len(text)), earliest) :].strip()


def outline(text: str, end: int | None = None) -> Sequence[str]:
    """The headings in force at `end`, by default the end of the text, outermost first."""
    stack: list[tuple[int, str]] = []
    for start, level, title in _headings(text):
        if end is not None and start >= end:
            break
        while stack and stack[-1][0] >= level:
            stack.pop()
        stack.append((level, title))
    return [title for _, title in stack]


@functools.lru_cache(maxsize=16)
def _headings(text: str) -> list[tuple[int, int, str]]:
    """(start, level, title) of each heading: found once for a document, not once for each of its chunks."""
    blocks = code_blocks(text)  # a comment in code is no heading
    return [
        (
            match.start(),
            len(match.group(1)) if match.group(1) else _LATEX_LEVELS[match.group(3)],
            (match.group(2) or match.group(4)).rstrip().rstrip("#").strip(),
        )
        for match in _HEADING.finditer(text)
        if not _is_inside(match.start(), blocks)
    ]


def _is_inside(position: int, spans: Sequence[Span]) -> bool:
    at = bisect.bisect_right(spans, (position, math.inf)) - 1
    return at >= 0 and position < spans[at][1]


def table_header(text: str, start: int) -> Sequence[str]:
    """The header row of the Markdown table whose rows go on at `start`; none if there is none."""
    tables = _tables(text)
    at = bisect.bisect_left(tables, (start,)) - 1
    return [tables[at][2]] if at >= 0 and start < tables[at][1] else []


@functools.lru_cache(maxsize=16)
def _tables(text: str) -> list[tuple[int, int, str]]:
    """(start of the header, end, header) of each Markdown table: a row, one of dashes, and further rows."""
    found: list[tuple[int, int, str]] = []
    lines = text.splitlines(keepends=True)
    starts = list(accumulate(map(len, lines), initial=0))
    number = 0
    while number < len(lines) - 1:
        if "|" not in lines[number] or not _is_dashes(lines[number + 1]):
            number += 1
            continue
        end = number + 2
        while end < len(lines) and "|" in lines[end]:
            end += 1
        header = " | ".join(lines[number].strip().strip("|").split("|", MAX_COLUMNS)[:MAX_COLUMNS])
        found.append((starts[number], starts[end], " ".join(header.split())[:MAX_HEADER_CHARACTERS]))
        number = end
    return found


def _is_dashes(line: str) -> bool:
    return "|" in line and "-" in line and not line.strip(" \t\r\n|:-")


def abbreviations(text: str) -> list[str]:
    """The abbreviations that a text defines, as "words spelt out (WSO)", in order."""
    found = []
    for before, short in _ABBREVIATION.findall(text):
        letters = [letter.lower() for letter in short if letter.isupper()]
        if len(letters) < 2:
            continue
        words = before.split()
        # Go back to the word that starts with the first letter: "a mixture of experts (MoE)" begins with m.
        starts = [i for i, word in enumerate(words) if word[0].lower() == letters[0]]
        if starts:
            found.append(f"{' '.join(words[starts[0] :])} ({short})")
    return list(dict.fromkeys(found))
