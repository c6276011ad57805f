"""Tells changed words that mean the same from others, by WordNet and by their embeddings."""

from collections.abc import Sequence

from fidelity.embeddings.encoder import Encoder
from fidelity.facts.comparing.copies import Change
from fidelity.facts.reading.polarity import are_listed_opposites
from fidelity.facts.reading.wordnet import can_mean
from fidelity.facts.reading.words import Word
from rephrase.records import Discrepancy

# Above this cosine, words are taken to mean the same: "quickly" and "rapidly". Opposites are as similar ("often" and
# "always"); those are found as facts.
SAME_MEANING = 0.4


def other_meanings(changes: Sequence[Sequence[Change]], encoder: Encoder) -> list[list[Change]]:
    """Of the changes of each pair, those to words of another meaning: names, and words unlike those they replace."""
    texts = {text for found in changes for change in found for text in (_text(change.new), _text(change.gone)) if text}
    if not texts:
        return [[] for _ in changes]
    vectors = dict(zip(texts, encoder.encode(list(texts)), strict=True))

    def is_other(change: Change) -> bool:
        if change.is_name or not change.gone:
            return True
        if any(are_listed_opposites(new, gone) for new in change.new for gone in change.gone):
            return True
        if all(any(can_mean(new.lower, gone.lower) for gone in change.gone) for new in change.new):
            return False
        return float(vectors[_text(change.new)] @ vectors[_text(change.gone)]) < SAME_MEANING

    return [[change for change in found if is_other(change)] for found in changes]


def change_discrepancies(changes: Sequence[Change]) -> tuple[Discrepancy, ...]:
    return tuple(
        Discrepancy(
            kind="word",
            problem="changed",
            source=_span(change.gone),
            rewrite=_span(change.new),
            detail=f"{_text(change.new)}; the copied sentence has {_text(change.gone) or 'nothing'}",
        )
        for change in changes
    )


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def _span(words: Sequence[Word]) -> tuple[int, int] | None:
    return (words[0].start, words[-1].end) if words else None
