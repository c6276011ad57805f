"""Cut a chunk into pieces of a few sentences: small models rewrite one to three sentences well, and a page badly.

Headings, code, tables, displayed formulas and whatever else is not prose are no pieces: they stay as they are.

    "# War\n\nIt began in 1775. It ended in 1783. Peace followed."  at two sentences
     ------   ═════════════════════════════════  ═══════════════
      kept                 piece                      piece
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rephrase.corpus.protected import outermost, protected_spans
from rephrase.corpus.sentences import sentence_spans
from rephrase.models.tokenizer import Tokenizer
from rephrase.records import Chunk

# A shorter sentence joins the one before it: on its own it gives a model nothing to rewrite.
MIN_PIECE_WORDS = 5
_PARAGRAPH = re.compile(r"(?:[^\n]|\n(?![^\S\n]*\n))+")
_LIST_ITEM = re.compile(r"\n(?=[^\S\n]*(?:[-*+•]|\d{1,3}[.)])\s)")
_HEADING = re.compile(r"\s*(?:#{1,6}\s|\\(?:part|chapter|(?:sub){0,2}section|paragraph)\*?[\[{])")
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A passage of a chunk. `separator` is the white space before it; one that is not `prose` stays as it is."""

    passage: Chunk
    prose: bool
    separator: str


def cut_pieces(chunk: Chunk, n_sentences: int, tokenizer: Tokenizer, language: str = "en") -> list[Piece]:
    """The pieces of a chunk, in order; their texts with their separators are the text of the chunk, stripped.

    Args:
        n_sentences: the most sentences of a piece, at least 1.
    """
    text = chunk.text
    pieces, end = [], len(text) - len(text.lstrip())
    for (start, stop), prose in _spans(text, n_sentences, language):
        passage = dataclasses.replace(
            chunk,
            start=chunk.start + start,
            end=chunk.start + stop,
            text=text[start:stop],
            n_tokens=len(tokenizer.token_starts(text[start:stop])),
        )
        pieces.append(Piece(passage=passage, prose=prose, separator=text[end:start]))
        end = stop
    return pieces


def _spans(text: str, n_sentences: int, language: str) -> Iterator[tuple[tuple[int, int], bool]]:
    blocks = [span for span in outermost(protected_spans(text)) if _is_block(text, span)]
    end = 0
    for block in [*blocks, (len(text), len(text))]:
        for paragraph in _PARAGRAPH.finditer(text, end, block[0]):
            for start, stop in _items(text, paragraph.span()):
                if _HEADING.match(text, start, stop) or len(_WORD.findall(text[start:stop])) < MIN_PIECE_WORDS:
                    yield from ((span, False) for span in _stripped(text, start, stop))
                else:
                    for group in _groups(text[start:stop], n_sentences, language):
                        yield from ((span, True) for span in _stripped(text, start + group[0], start + group[1]))
        yield from ((span, False) for span in _stripped(text, *block))
        end = block[1]


def _is_block(text: str, span: tuple[int, int]) -> bool:
    """It stands on lines of its own: a display, a table or code, not a formula within a sentence."""
    before, after = text[: span[0]].rpartition("\n")[2], text[span[1] :].partition("\n")[0]
    return not before.strip() and not after.strip()


def _items(text: str, paragraph: tuple[int, int]) -> Iterator[tuple[int, int]]:
    start = paragraph[0]
    for match in _LIST_ITEM.finditer(text, *paragraph):
        yield start, match.start()
        start = match.end()
    yield start, paragraph[1]


def _groups(text: str, n_sentences: int, language: str) -> Iterator[tuple[int, int]]:
    sentences: list[tuple[int, int]] = []
    for start, end in sentence_spans(text, language):
        if sentences and len(_WORD.findall(text[start:end])) < MIN_PIECE_WORDS:
            sentences[-1] = (sentences[-1][0], end)
        else:
            sentences.append((start, end))
    # Groups of equal size rather than full ones and a single sentence at the end.
    n_groups = -(-len(sentences) // n_sentences)
    for i in range(n_groups):
        first, last = i * len(sentences) // n_groups, (i + 1) * len(sentences) // n_groups - 1
        yield sentences[first][0], sentences[last][1]


def _stripped(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    part = text[start:stop]
    if part.strip():
        yield start + len(part) - len(part.lstrip()), stop - len(part) + len(part.rstrip())


def join_pieces(pieces: Sequence[Piece], texts: Sequence[str]) -> str:
    """The texts written for the first pieces, as one text; a text of several lines stands on lines of its own."""
    joined = ""
    for i, (piece, text) in enumerate(zip(pieces, texts, strict=False)):
        separator = piece.separator if joined else ""
        if joined and "\n" not in separator and ("\n" in text or "\n" in texts[i - 1]):
            separator = "\n"
        joined += separator + text
    return joined
