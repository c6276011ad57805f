"""Split a document into chunks of bounded token count, at the best boundaries available.

The split is lossless: the joined texts of the chunks are the document. Whitespace stays with the text before it.

    "# A\n\nOne. Two.\n\n# B\n\nThree."  with a budget of 6 words
     └──────── chunk 0 ──────┘└─ chunk 1 ─┘

Boundaries are ranked by strength. A span over the budget is split at the strongest boundaries inside it, pieces that
are still too large at the next weaker ones, and neighbours are then merged while they fit. Merging aims at chunks of
equal size rather than full ones with a tiny last one, which would give a model nothing to rewrite.
"""

import bisect
import re
import unicodedata
from itertools import pairwise
from typing import Literal

from rephrase.corpus.protected import Span, code_blocks, protected_spans
from rephrase.corpus.sentences import sentence_spans
from rephrase.models.tokenizer import Tokenizer
from rephrase.records import Chunk, Document

# Strongest first. Each pattern ends where the text may be split.
_HEADING = re.compile(
    r"(?:\A|\n)(?=[ \t]{0,3}\#{1,6}[ \t]|[ \t]*\\(?:part|chapter|section|subsection|subsubsection|paragraph)\*?[\[{])"
)
_PARAGRAPH = re.compile(r"\n[ \t\r\f\v]*\n\s*")
_CLAUSE = re.compile(r"[,;:)\]–—][ \t\r\n]+|[，；：、）」]\s*|\n+")
_SPACE = re.compile(r"\s+")

_HEADINGS, _PARAGRAPHS, _SENTENCES, _CLAUSES, _SPACES, _TOKENS = range(6)


# What the chunks of a document may not cut apart: nothing, or a problem and its solution.
Unit = Literal["text", "problem"]
# A problem with its solution may have so many times the tokens of another chunk before it is cut.
MAX_PROBLEM = 3
_PROBLEM = re.compile(
    r"^[ \t]*(?:\#{1,6}[ \t]+|\*\*|\\textbf\{)?(?:(?:Problem|Exercise|Example|Question)\b[^\n:.]{0,30}[:.*}\n]"
    r"|\\begin\{(?:problem|exercise|example|question)\*?\})",
    re.MULTILINE,
)


def chunk_document(document: Document, tokenizer: Tokenizer, max_tokens: int, unit: Unit = "text") -> list[Chunk]:
    """Split `document.text` into chunks of at most `max_tokens` tokens each.

    A chunk is larger only if a single character takes more tokens than that, or if it is a problem: with the unit
    "problem", the text from one problem to the next, and a document without a beginning of a problem, stay whole up to
    MAX_PROBLEM times as many tokens.

    Raises:
        ValueError: `max_tokens` is not positive.
    """
    if max_tokens < 1:
        raise ValueError(f"a chunk must hold at least one token, not {max_tokens}")
    text, language = document.text, document.language or "en"
    if unit == "problem":
        spans = _cut_problems(text, language, tokenizer, max_tokens)
    else:
        spans = _cut(text, language, tokenizer, max_tokens)
    return [
        Chunk(document_id=document.id, index=index, start=start, end=end, text=text[start:end], n_tokens=n)
        for index, (start, end, n) in enumerate(spans)
    ]


def _cut_problems(text: str, language: str, tokenizer: Tokenizer, max_tokens: int) -> list[tuple[int, int, int]]:
    starts = [match.start() for match in _PROBLEM.finditer(text)]
    found: list[tuple[int, int, int]] = []
    for start, end in pairwise(dict.fromkeys([0, *starts, len(text)])):
        n_tokens = len(tokenizer.token_starts(text[start:end]))
        if n_tokens <= MAX_PROBLEM * max_tokens:
            found.append((start, end, n_tokens))
        else:
            cut = _cut(text[start:end], language, tokenizer, max_tokens)
            found += [(start + first, start + last, n) for first, last, n in cut]
    return found


def _cut(text: str, language: str, tokenizer: Tokenizer, max_tokens: int) -> list[tuple[int, int, int]]:
    """(start, end, number of tokens) of each chunk.

    Tokens are counted once, on the whole text. On its own, a chunk may be a token or two longer, because tokens merge
    across boundaries; so each chunk is counted again, and one that is too long is split with a smaller budget.
    """
    chunks: list[tuple[int, int, int]] = []
    todo = [(0, len(text), max_tokens)]
    while todo:
        start, end, budget = todo.pop()
        spans = _Cutter(text[start:end], language, tokenizer, budget).chunks()
        redo = []
        for span_start, span_end in spans:
            span = (start + span_start, start + span_end)
            n_tokens = len(tokenizer.token_starts(text[slice(*span)]))
            if n_tokens > max_tokens and span[1] - span[0] > 1:
                smaller = max(1, min(budget, n_tokens) - max(1, n_tokens - max_tokens))
                redo.append((*span, smaller if smaller < budget else max(1, budget // 2)))
            else:
                redo.append((*span, -n_tokens))
        # Spans to split again go back in order; a finished one (negative count) is done once all before it are.
        for item in reversed(redo):
            todo.append(item)
        while todo and todo[-1][2] <= 0:
            start, end, negated = todo.pop()
            chunks.append((start, end, -negated))
    return chunks


class _Cutter:
    """The boundaries and token positions of one text."""

    def __init__(self, text: str, language: str, tokenizer: Tokenizer, budget: int) -> None:
        self.text = text
        self.budget = budget
        self.token_starts = tokenizer.token_starts(text)
        self.whole = [span for span in protected_spans(text) if self.n_tokens(*span) <= budget]
        self._find = (
            lambda: _heading_starts(text),
            lambda: [match.end() for match in _PARAGRAPH.finditer(text)],
            lambda: _sentence_ends(text, language),
            lambda: [match.end() for match in _CLAUSE.finditer(text)],
            lambda: [match.end() for match in _SPACE.finditer(text)],
            lambda: [p for p in sorted(set(self.token_starts)) if _may_cut(text, p)],
        )
        self._found: dict[int, list[int]] = {}

    def boundaries(self, strength: int) -> list[int]:
        """Computed on first use: most texts need none of the weaker ones, of which there are many."""
        if strength not in self._found:
            self._found[strength] = _outside(self.whole, self._find[strength]())
        return self._found[strength]

    def n_tokens(self, start: int, end: int) -> int:
        return bisect.bisect_left(self.token_starts, end) - bisect.bisect_left(self.token_starts, start)

    def chunks(self) -> list[Span]:
        return self._split(0, len(self.text), _HEADINGS) if self.text else []

    def _split(self, start: int, end: int, strength: int) -> list[Span]:
        if self.n_tokens(start, end) <= self.budget:
            return [(start, end)]
        if strength > _TOKENS:
            # One character of many tokens, or combining characters: only a split by characters is left.
            return self._join([(i, i + 1) for i in range(start, end)])
        positions = self.boundaries(strength)
        inside = positions[bisect.bisect_right(positions, start) : bisect.bisect_left(positions, end)]
        if not inside:
            return self._split(start, end, strength + 1)
        pieces: list[Span] = []
        for piece in pairwise([start, *inside, end]):
            pieces.extend(self._split(*piece, strength + 1))
        return self._join(pieces)

    def _join(self, pieces: list[Span]) -> list[Span]:
        """Merge neighbours, in order, into chunks of about equal size within the budget."""
        total = self.n_tokens(pieces[0][0], pieces[-1][1])
        target = total / -(-total // self.budget)
        joined = [pieces[0]]
        for start, end in pieces[1:]:
            last_start, last_end = joined[-1]
            n_last, n_both = self.n_tokens(last_start, last_end), self.n_tokens(last_start, end)
            # A piece joins the chunk before it if that brings the chunk nearer to its target size, and a heading is
            # never left at the end of a chunk.
            nearer = n_both - target <= target - n_last
            if n_both <= self.budget and (nearer or self._is_heading(last_start, last_end)):
                joined[-1] = (last_start, end)
            else:
                joined.append((start, end))
        return joined

    def _is_heading(self, start: int, end: int) -> bool:
        text = self.text[start:end].strip()
        return text.startswith(("#", "\\")) and "\n" not in text


def _heading_starts(text: str) -> list[int]:
    """Not the comments of code, which look like headings."""
    return _outside(code_blocks(text), [match.end() for match in _HEADING.finditer(text)])


def _outside(spans: list[Span], positions: list[int]) -> list[int]:
    """The positions that are not strictly inside any of the spans, which are sorted by start."""
    kept, reach, i = [], 0, 0
    for position in positions:
        while i < len(spans) and spans[i][0] < position:
            reach = max(reach, spans[i][1])
            i += 1
        if position >= reach:
            kept.append(position)
    return kept


def _sentence_ends(text: str, language: str) -> list[int]:
    return [end for _, end in sentence_spans(text, language)]


def _may_cut(text: str, position: int) -> bool:
    """Not before a combining character, nor inside a CRLF."""
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    return not (
        unicodedata.combining(after) or after in "\u200d\ufe0f" or before == "\u200d" or before + after == "\r\n"
    )
