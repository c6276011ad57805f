"""Two parsed texts with aligned sentences, and the comparison of facts of one kind in them."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fidelity.facts.comparing.alignment import Aligned, align, word_weights
from fidelity.facts.reading.parsed import Parsed
from fidelity.facts.reading.words import Sentence, Word

# Below this share of common words, two sentences are not taken to say the same.
MIN_ALIGNED = 0.35
# A fact may be stated twice or once: the confidence factor of an exchange that shows only in how often facts occur.
REPEATED = 0.6


class Fact(Protocol):
    """Anything with a span in a text."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, slots=True)
class Exchanged(Generic[F]):
    """A fact of the rewrite where its source has another; `confidence` is the similarity of the two sentences."""

    rewrite: F
    source: F
    confidence: float


@dataclass(frozen=True, slots=True)
class Pairing:
    """A source and its rewrite; `support` aligns the rewrite's sentences, `coverage` the source's.

    `context` and `context_back` do the same but ignore names and numbers.
    """

    source: Parsed
    rewrite: Parsed
    weights: dict[str, float]
    support: tuple[Aligned, ...]
    coverage: tuple[Aligned, ...]
    context: tuple[Aligned, ...]
    context_back: tuple[Aligned, ...]

    @classmethod
    def of(cls, source: Parsed, rewrite: Parsed) -> "Pairing":
        weights = word_weights(source.sentences, rewrite.sentences)
        return cls(
            source,
            rewrite,
            weights,
            tuple(align(rewrite.sentences, source.sentences, weights)),
            tuple(align(source.sentences, rewrite.sentences, weights)),
            tuple(align(rewrite.sentences, source.sentences, weights, by_context=True)),
            tuple(align(source.sentences, rewrite.sentences, weights, by_context=True)),
        )

    def block(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The source sentences that cover this sentence of the rewrite, and all rewrite sentences that cover those.

        So a negation that moved to the other half of a split sentence is still in the block.
        """
        return _block(index, self.support, self.coverage)

    def context_block(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Like `block`, ignoring names and numbers."""
        return _block(index, self.context, self.context_back)

    def source_words(self, indices: Sequence[int]) -> list[Word]:
        return [word for i in sorted(indices) for word in self.source.sentences[i].words]

    def rewrite_words(self, indices: Sequence[int]) -> list[Word]:
        return [word for i in sorted(indices) for word in self.rewrite.sentences[i].words]


def _block(
    index: int, support: Sequence[Aligned], coverage: Sequence[Aligned]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    cover = support[index].cover
    back = {index}
    for source_index in cover:
        back.update(coverage[source_index].cover[:2])
    return cover, tuple(sorted(back))


def by_sentence(facts: Sequence[F], sentences: Sequence[Sentence]) -> dict[int, list[F]]:
    """The facts of each sentence, by the index of the sentence."""
    starts = [sentence.start for sentence in sentences]
    found: dict[int, list[F]] = {}
    for fact in facts:
        found.setdefault(max(0, bisect_right(starts, fact.start) - 1), []).append(fact)
    return found


def exchanged(
    pairing: Pairing,
    rewrite: Sequence[F],
    source: Sequence[F],
    same: Callable[[F, F], bool],
    counts: Callable[[F], bool],
) -> list[Exchanged[F]]:
    """Facts that the aligned sentences lack, paired with facts of those sentences that the rewrite lost.

    `same(a, b)` says whether b of the source supports a of the rewrite; only facts for which `counts` is true are
    reported. Each fact supports one other, so that "3 and 4" is not "4 and 4"; a repeated fact lowers `confidence`.
    """
    ours, theirs = by_sentence(rewrite, pairing.rewrite.sentences), by_sentence(source, pairing.source.sentences)
    found: list[Exchanged[F]] = []
    used: set[int] = set()
    for index, facts in ours.items():
        if index >= len(pairing.support) or pairing.context[index].best < MIN_ALIGNED:
            continue
        cover, back = pairing.context_block(index)
        there = [fact for i in sorted(cover) for fact in theirs.get(i, ())]
        here = [fact for i in back for fact in ours.get(i, ())]
        new, gone = _unmatched(here, there, same)
        new = [fact for fact in new if counts(fact) and any(fact is mine for mine in facts)]
        gone = [other for other in gone if counts(other) and id(other) not in used]
        for fact in new:
            if not gone:
                break
            other = max(gone, key=lambda other: _context_overlap(pairing, fact, other))
            gone.remove(other)
            used.add(id(other))
            repeated = any(same(fact, each) for each in there) or any(same(each, other) for each in here)
            confidence = pairing.context[index].share * (REPEATED if repeated else 1.0)
            found.append(Exchanged(fact, other, confidence))
    return found


def _unmatched(ours: Sequence[F], theirs: Sequence[F], same: Callable[[F, F], bool]) -> tuple[list[F], list[F]]:
    """The facts left on each side after matching them one to one, in order."""
    left = list(theirs)
    new = []
    for fact in ours:
        match = next((i for i, other in enumerate(left) if same(fact, other)), None)
        if match is None:
            new.append(fact)
        else:
            del left[match]
    return new, left


def _context_overlap(pairing: Pairing, fact: Fact, other: Fact) -> float:
    """The overlap of the words around two facts."""
    ours = set(pairing.rewrite.prose[max(0, fact.start - 40) : fact.end + 40].lower().split())
    theirs = set(pairing.source.prose[max(0, other.start - 40) : other.end + 40].lower().split())
    return len(ours & theirs) / (1 + len(ours | theirs))
