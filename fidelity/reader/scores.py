"""From the reader's marks to scores and to the places that a person should look at."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from fidelity.checks.sentences import SentenceReport, Sentences
from fidelity.reader.marks import Marks, Reading
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
_LABEL = re.compile(r"^\W{0,4}(?:Q|A|Question|Answer)[ ]?\d{0,3}[.:)]\W{0,4}", re.IGNORECASE)


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


def without_copies(report: SentenceReport, reading: Reading) -> Reading:
    """The reading without marks in sentences that the other text has word for word.

    Such a sentence is neither added nor lost nor garbled, whatever the reader makes of what stands around it.
    """
    ours, theirs = ({_plain(side[i]) for i in range(len(side.spans))} for side in (report.rewrite, report.source))
    return Reading(
        garbled=_unmarked(report.rewrite, reading.garbled, theirs),
        added=reading.added and _unmarked(report.rewrite, reading.added, theirs),
        lost=reading.lost and _unmarked(report.source, reading.lost, ours),
    )


def _plain(sentence: str) -> str:
    return " ".join(_LABEL.sub("", sentence).split())


def _unmarked(side: Sentences, marks: Marks, copies: set[str]) -> Marks:
    copied = [i for i in range(len(side.spans)) if _plain(side[i]) in copies]
    if not copied:
        return marks
    starts = np.array([start for start, _ in marks.spans])
    tokens, sentences = marks.tokens.copy(), marks.sentences.copy()
    for i in copied:
        start, end = side.spans[i]
        tokens[(starts >= start) & (starts < end)] = 0.0
        sentences[i] = 0.0
    return dataclasses.replace(marks, tokens=tokens, sentences=sentences)


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
