"""The boundary between two rewritten chunks: sentences repeated there, and rewrites that start the document over."""

import re

from rephrase.corpus.sentences import sentence_spans

_WORD = re.compile(r"\w+")
# Two sentences with at least this Jaccard index of their words count as the same.
SAME_SENTENCE = 0.8
SAME_OPENING = 0.8
MIN_WORDS = 4
# Where the last sentences of a text are looked for: in all of it, each passage would cost more than the one before.
END_CHARACTERS = 10_000

_INTRODUCTION = re.compile(
    r"^\W*(?:introduction\b|welcome (?:back|to)\b|hello\b|good (?:morning|afternoon|evening)\b"
    r"|in this (?:article|section|chapter|lecture|lesson|essay|guide)\b|today,? (?:we|I)(?:'| )"
    r"|(?:let us|let's) (?:begin|start)\b|once upon a time\b)",
    re.IGNORECASE,
)


def remove_overlap(written: str, rewrite: str) -> tuple[str, int]:
    """`rewrite` without its first sentences if they repeat the end of `written`, and the number of sentences removed.

        written "… The war ended. Peace came."   rewrite "Peace came. Trade grew."   ->  "Trade grew.", 1

    A rewrite that consists of nothing else is left as it is, for the checks to reject.
    """
    ends = _last_sentences(written)
    start, n_removed = 0, 0
    for sentence in _sentences(rewrite):
        words = _words(sentence)
        repeated = _is_among(words, ends)
        if words and not repeated:
            break
        start += len(sentence)
        n_removed += repeated
    remaining = rewrite[start:].strip()
    return (remaining, n_removed) if n_removed and remaining else (rewrite, 0)


def find_repetition(written: str, rewrite: str) -> str | None:
    """The first sentence of a rewrite, if it repeats the end of `written`."""
    first = _first_sentence(rewrite)
    return first.strip() if _is_among(_words(first), _last_sentences(written)) else None


def find_restart(written: str, rewrite: str) -> str | None:
    """The words with which a rewrite starts the document over, or None. The first chunk may start a document."""
    if not written.strip():
        return None
    first = _first_sentence(rewrite)
    if match := _INTRODUCTION.match(first):
        return match.group().strip()
    opening = _first_sentence(written[:2000])
    words = _words(first)
    if len(words) >= MIN_WORDS and _overlap(words, _words(opening)) >= SAME_OPENING:
        return first.strip()
    return None


def _first_sentence(text: str) -> str:
    """The first that has words; empty if none has."""
    return next((sentence for sentence in _sentences(text) if _words(sentence)), "")


def _last_sentences(written: str) -> list[list[str]]:
    """The words of each."""
    return [_words(sentence) for sentence in _sentences(written[-END_CHARACTERS:])[-8:]]


def _is_among(words: list[str], sentences: list[list[str]]) -> bool:
    return len(words) >= MIN_WORDS and any(_overlap(words, other) >= SAME_SENTENCE for other in sentences)


def _sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


def _words(sentence: str) -> list[str]:
    return _WORD.findall(sentence.lower())


def _overlap(one: list[str], other: list[str]) -> float:
    """The Jaccard index of two sets of words."""
    first, second = set(one), set(other)
    return len(first & second) / len(first | second) if first or second else 0.0
