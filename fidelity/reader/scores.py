"""From the reader's marks to scores and to the places that a person should look at."""

import re
from collections.abc import Sequence

import numpy as np

from fidelity.checks.sentences import SentenceReport, Sentences
from fidelity.reader.reader import Marks, Reading
from rephrase.records import Discrepancy

LANGUAGE_SCORES = ("reader_garbled_max", "reader_garbled_mean", "reader_garbled_word", "reader_garbled_share")
ADDED_SCORES = ("reader_added_max", "reader_added_mean", "reader_added_word", "reader_added_share")
LOST_SCORES = ("reader_lost_max", "reader_lost_mean", "reader_lost_word", "reader_lost_share")
READER_SCORES = (*ADDED_SCORES, *LOST_SCORES, *LANGUAGE_SCORES)

# A sentence above this probability is reported, with its most suspicious words.
REPORT_ABOVE = 0.5
_WORD = re.compile(r"\w+(?:[.,'’-]\w+)*")
# Words of three letters and less are mostly grammar; whether they are marked says little.
_MIN_LETTERS = 4


def reader_scores(report: SentenceReport, reading: Reading) -> dict[str, float]:
    """The scores listed in READER_SCORES, without those of marks that the reading does not have.

    `max` and `mean` are over sentences, `word` is the highest probability of a word, and `share` the expected share of
    words.
    """
    scores = _scores("garbled", report.rewrite, reading.garbled)
    if reading.added is not None:
        scores |= _scores("added", report.rewrite, reading.added)
    if reading.lost is not None:
        scores |= _scores("lost", report.source, reading.lost)
    return scores


def _scores(name: str, side: Sentences, marks: Marks) -> dict[str, float]:
    words = word_probabilities(side, marks)
    values = np.array([value for _, _, value in words]) if words else np.zeros(1)
    sentences = marks.sentences if len(marks.sentences) else np.zeros(1)
    return {
        f"reader_{name}_max": float(sentences.max()),
        f"reader_{name}_mean": float(sentences.mean()),
        f"reader_{name}_word": float(values.max()),
        f"reader_{name}_share": float(values.mean()),
    }


def word_probabilities(side: Sentences, marks: Marks) -> list[tuple[int, int, float]]:
    """(start, end, probability) of each word of at least four letters or with a digit: the highest of its tokens."""
    tokens = sorted(zip(marks.spans, marks.tokens.tolist(), strict=True))
    starts = np.array([span[0] for span, _ in tokens])
    found = []
    for word in _WORD.finditer(side.text):
        if len(word.group()) < _MIN_LETTERS and not any(char.isdigit() for char in word.group()):
            continue
        first = int(np.searchsorted(starts, word.start())) if len(starts) else 0
        inside = [value for (start, _), value in tokens[first : first + 16] if start < word.end()]
        if inside:
            found.append((*word.span(), max(inside)))
    return found


def reader_discrepancies(report: SentenceReport, reading: Reading) -> tuple[Discrepancy, ...]:
    """The sentences that the reader finds unsupported, lost or garbled, the surest first."""
    found: list[tuple[float, Discrepancy]] = []
    if reading.added is not None:
        for i, value, words in _suspicious(report.rewrite, reading.added):
            detail = f"the source does not say{words}: {report.rewrite[i]}"
            found.append((value, Discrepancy(
                kind="sentence", problem="unsupported", source=None, rewrite=report.rewrite.spans[i], detail=detail
            )))  # fmt: skip
    if reading.lost is not None:
        for i, value, words in _suspicious(report.source, reading.lost):
            detail = f"omitted{words}: {report.source[i]}"
            found.append((value, Discrepancy(
                kind="sentence", problem="missing", source=report.source.spans[i], rewrite=None, detail=detail
            )))  # fmt: skip
    for i, value, words in _suspicious(report.rewrite, reading.garbled):
        detail = f"nobody would write{words}: {report.rewrite[i]}"
        found.append((value, Discrepancy(
            kind="language", problem="changed", source=None, rewrite=report.rewrite.spans[i], detail=detail
        )))  # fmt: skip
    return tuple(entry for _, entry in sorted(found, key=lambda pair: -pair[0]))


def _suspicious(side: Sentences, marks: Marks) -> Sequence[tuple[int, float, str]]:
    chosen = [(i, float(value)) for i, value in enumerate(marks.sentences) if value >= REPORT_ABOVE]
    words = word_probabilities(side, marks) if chosen else []
    found = []
    for i, value in chosen:
        start, end = side.spans[i]
        marked = [side.text[a:b] for a, b, p in words if start <= a < end and p >= REPORT_ABOVE]
        found.append((i, value, f" {' '.join(marked[:8])!r}" if marked else ""))
    return found
