"""Aligns each sentence of one text with the sentences of the other that say the same, by shared words.

Cheap on purpose: rare words weigh more than common ones, and a sentence may align with up to three of the other side,
so that a split or merged sentence is aligned with all of its parts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fidelity.facts.reading.words import Sentence

MAX_COVER = 3
# A further sentence is added if it covers at least this share of the weight of the words.
MIN_GAIN = 0.15


@dataclass(frozen=True, slots=True)
class Aligned:
    """The alignment of one sentence: `cover` holds the indices of the sentences that cover it, best first."""

    cover: tuple[int, ...]
    best: float  # share of the weight of its words that the best one alone covers
    share: float  # share that all of them together cover


def word_weights(*texts: Sequence[Sentence]) -> dict[str, float]:
    """The weight of each stem: log(1 + sentences / sentences with the stem), over all texts together."""
    counts: dict[str, int] = {}
    n_sentences = 0
    for text in texts:
        for sentence in text:
            n_sentences += 1
            for key in sentence.stems:
                counts[key] = counts.get(key, 0) + 1
    return {key: math.log(1 + n_sentences / count) for key, count in counts.items()}


def align(
    sentences: Sequence[Sentence], others: Sequence[Sentence], weights: dict[str, float], *, by_context: bool = False
) -> list[Aligned]:
    """For each sentence, the other sentences that cover it.

    `by_context` ignores names and numbers, so that a changed fact does not affect which sentence it is compared with; a
    sentence that has nothing else is still aligned by them.
    """
    keys = [sentence.context if by_context else sentence.stems for sentence in sentences]
    other_keys = [other.context if by_context else other.stems for other in others]
    if by_context:
        keys = [context or sentence.stems for context, sentence in zip(keys, sentences, strict=True)]
        other_keys = [context or other.stems for context, other in zip(other_keys, others, strict=True)]
    places: dict[str, list[int]] = {}
    for index, stems in enumerate(other_keys):
        for key in stems:
            places.setdefault(key, []).append(index)
    return [_cover(stems, other_keys, places, weights) for stems in keys]


def _cover(
    stems: frozenset[str],
    others: Sequence[frozenset[str]],
    places: dict[str, list[int]],
    weights: dict[str, float],
) -> Aligned:
    total = sum(weights[key] for key in stems)
    if not total or not others:
        return Aligned((), 0.0, 0.0 if stems else 1.0)
    left = set(stems)
    chosen: list[int] = []
    best = covered = 0.0
    while len(chosen) < MAX_COVER:
        gains: dict[int, float] = {}
        for key in left:
            for index in places.get(key, ()):
                gains[index] = gains.get(index, 0.0) + weights[key]
        if not gains:
            break
        # Ties go to the shorter one, then to the one nearer to those already chosen.
        index = max(gains, key=lambda i: (round(gains[i], 6), -len(others[i]), -abs(i - (chosen or [i])[0])))
        if chosen and gains[index] < MIN_GAIN * total:
            break
        chosen.append(index)
        covered += gains[index]
        best = best or gains[index] / total
        left -= others[index]
    return Aligned(tuple(chosen), best, covered / total)
