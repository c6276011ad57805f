"""Compares two texts sentence by sentence: support (rewrite found in source) and coverage (source found in rewrite).

One cosine for a whole text hides a sentence that was added or omitted. Here each sentence is matched to the nearest
window of one to three consecutive sentences on the other side, so that split and merged sentences match too. The vector
of a window is the mean of its sentences' vectors, weighted by their length: nearly what a model with mean pooling would
give, without encoding each sentence three times.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fidelity.embeddings.encoder import Encoder
from rephrase.corpus.sentences import sentence_spans
from rephrase.records import Discrepancy

Span = tuple[int, int]

WINDOW_SENTENCES = 3
# A sentence of fewer words ("Yes.", a heading) says too little to be matched.
MIN_WORDS = 4
# Below this cosine a sentence is reported as having no match on the other side. For display only: the verdict is based
# on the scores.
REPORT_BELOW = 0.5
# A rewrite shorter than the first share of its source is a summary and omits on purpose; from the second share on it
# should contain everything.
SUMMARY_RATIO, WHOLE_RATIO = 0.3, 0.6

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]|[^\W\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]+")

SENTENCE_SCORES = ("support_min", "support_mean", "support_p10", "coverage_min", "coverage_mean", "coverage_p10")


@dataclass(frozen=True, slots=True)
class Sentences:
    """A text split into sentences; `informative` holds the indices of those long enough to be matched."""

    text: str
    spans: tuple[Span, ...]
    informative: tuple[int, ...]

    def __getitem__(self, index: int) -> str:
        start, end = self.spans[index]
        return self.text[start:end]

    def window(self, first: int, last: int) -> Span:
        return self.spans[first][0], self.spans[last][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The window on the other side nearest to one sentence: its sentences `first` to `last`, and the cosine."""

    sentence: int
    first: int
    last: int
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceReport:
    """How the sentences of a pair match: `scores` are listed in SENTENCE_SCORES.

    `support` has a match for each informative sentence of the rewrite, `coverage` for each of the source.
    """

    source: Sentences
    rewrite: Sentences
    support: tuple[Match, ...]
    coverage: tuple[Match, ...]
    scores: dict[str, float]

    def discrepancies(self) -> tuple[Discrepancy, ...]:
        """Sentences that have no match on the other side."""
        found = [
            Discrepancy(
                kind="sentence",
                problem="unsupported",
                source=None,
                rewrite=self.rewrite.spans[match.sentence],
                detail=f"not in the source: {self.rewrite[match.sentence]}",
            )
            for match in self.support
            if match.similarity < REPORT_BELOW
        ]
        if len(self.rewrite.text) < SUMMARY_RATIO * len(self.source.text):
            return tuple(found)
        found += [
            Discrepancy(
                kind="sentence",
                problem="missing",
                source=self.source.spans[match.sentence],
                rewrite=None,
                detail=f"omitted: {self.source[match.sentence]}",
            )
            for match in self.coverage
            if match.similarity < REPORT_BELOW
        ]
        return tuple(found)


def split_sentences(text: str, language: str = "en") -> Sentences:
    """Sentences without surrounding white space; pieces without a word are omitted."""
    spans = []
    for start, end in sentence_spans(text, language):
        piece = text[start:end]
        if not _WORD.search(piece):
            continue
        start += len(piece) - len(piece.lstrip())
        spans.append((start, start + len(piece.strip())))
    long = [i for i, (start, end) in enumerate(spans) if len(_WORD.findall(text[start:end])) >= MIN_WORDS]
    return Sentences(text, tuple(spans), tuple(long or range(len(spans))))


def compare_sentences(
    pairs: Sequence[tuple[str, str]], encoder: Encoder, *, source_languages: Sequence[str] | None = None
) -> list[SentenceReport]:
    """Compares many (source, rewrite) pairs; all their sentences go to the encoder in one call.

    `source_languages` are ISO 639-1 codes, English by default.
    """
    languages = source_languages or ["en"] * len(pairs)
    split = [
        (split_sentences(source, language), split_sentences(rewrite))
        for (source, rewrite), language in zip(pairs, languages, strict=True)
    ]
    texts = list(dict.fromkeys(side[i] for pair in split for side in pair for i in range(len(side.spans))))
    vectors = dict(zip(texts, encoder.encode(texts), strict=True)) if texts else {}

    def of(side: Sentences) -> np.ndarray:
        return np.stack([vectors[side[i]] for i in range(len(side.spans))])

    return [
        _report(source, rewrite, of(source), of(rewrite))
        if source.spans and rewrite.spans
        else SentenceReport(
            source=source, rewrite=rewrite, support=(), coverage=(), scores=dict.fromkeys(SENTENCE_SCORES, 0.0)
        )
        for source, rewrite in split
    ]


def _report(source: Sentences, rewrite: Sentences, source_rows: np.ndarray, rewrite_rows: np.ndarray) -> SentenceReport:
    support = _matches(rewrite, rewrite_rows, source, source_rows)
    coverage = _matches(source, source_rows, rewrite, rewrite_rows)
    scores: dict[str, float] = {}
    for name, matches in (("support", support), ("coverage", coverage)):
        values = np.array([match.similarity for match in matches])
        scores |= {
            f"{name}_min": float(values.min()),
            f"{name}_mean": float(values.mean()),
            f"{name}_p10": float(np.quantile(values, 0.1)),
        }
    return SentenceReport(source=source, rewrite=rewrite, support=support, coverage=coverage, scores=scores)


def _matches(side: Sentences, side_rows: np.ndarray, other: Sentences, other_rows: np.ndarray) -> tuple[Match, ...]:
    windows, rows = window_vectors(other, other_rows)
    similarity = side_rows[list(side.informative)] @ rows.T
    best = similarity.argmax(axis=1)
    return tuple(
        Match(sentence=i, first=windows[b][0], last=windows[b][1], similarity=float(similarity[k, b]))
        for k, (i, b) in enumerate(zip(side.informative, best, strict=True))
    )


def window_vectors(sentences: Sentences, rows: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray]:
    """All windows of one to three consecutive sentences, as (first, last), and their unit vectors.

    `rows` has shape (sentences, dimensions).
    """
    lengths = np.array([[end - start] for start, end in sentences.spans], dtype=np.float32)
    sums = np.concatenate([np.zeros((1, rows.shape[1]), np.float32), np.cumsum(rows * lengths, axis=0)])
    windows = [
        (first, first + size - 1)
        for size in range(1, WINDOW_SENTENCES + 1)
        for first in range(len(sentences.spans) - size + 1)
    ]
    found = np.stack([sums[last + 1] - sums[first] for first, last in windows])
    return windows, found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
