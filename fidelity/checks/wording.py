"""How much of a rewrite is new wording: its sentences, compared with the source word by word.

A sentence is new when fewer than half of its 5-word sequences stand in the source. Sequences made up mostly of names,
numbers, formulas and quotations do not count, because a faithful rewrite keeps them.
"""

import re

from fidelity.checks.finding import Finding
from rephrase.corpus.protected import without_protected
from rephrase.corpus.sentences import sentence_spans
from rephrase.corpus.words import words_of

N_WORDS = 5
MIN_SENTENCE_WORDS = 6
MAX_COPIED = 0.5
# As many words of a sequence must be common ones.
MIN_COMMON = 3

_LINE = re.compile(r"[^\n]+")


def reworded_share(source: str, rewrite: str) -> float:
    """The share of the rewrite's sentences of six words and more that are new; of the whole, if all are shorter."""
    known = _sequences([word.lower() for word, _ in _words(source)])
    sentences = _sentences(without_protected(rewrite))
    long = [words for words in sentences if len(words) >= MIN_SENTENCE_WORDS]
    shares = [
        share
        for words in long or [[word for words in sentences for word in words]]
        if (share := _copied(words, known)) is not None
    ]
    return sum(share < MAX_COPIED for share in shares) / len(shares) if shares else 1.0


def near_copy(reworded: float, min_reworded: float) -> Finding | None:
    """Too few of its sentences are new wording, by their `reworded_share`."""
    if reworded >= min_reworded:
        return None
    return "near_copy", f"{reworded:.0%} of the sentences are new wording; {min_reworded:.0%} are required"


def _sentences(text: str) -> list[list[tuple[str, bool]]]:
    return [
        words
        for line in _LINE.finditer(text)
        for start, end in sentence_spans(line.group())
        if (words := _words(line.group()[start:end]))
    ]


def _words(text: str) -> list[tuple[str, bool]]:
    """The words of a text; with each, whether a faithful rewrite keeps it."""
    return [(word.text, word.kept) for word in words_of(text)]


def _sequences(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + N_WORDS]) for i in range(len(words) - N_WORDS + 1)}


def _copied(words: list[tuple[str, bool]], known: set[tuple[str, ...]]) -> float | None:
    """The share of the sequences that stand in the source; None if none counts."""
    counted = copied = 0
    for i in range(len(words) - N_WORDS + 1):
        part = words[i : i + N_WORDS]
        if sum(not kept for _, kept in part) >= MIN_COMMON:
            counted += 1
            copied += tuple(word.lower() for word, _ in part) in known
    return copied / counted if counted else None
