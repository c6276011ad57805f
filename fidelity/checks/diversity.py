"""Diversity of rewrites: between the variants of a document, and of their openings over a corpus."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from fidelity.checks.form import COPY_WORDS, copied_share, share_of, word_ngrams
from fidelity.embeddings.encoder import Encoder

# Two variants of one document are near-duplicates when one mostly copies the other, word for word or in meaning.
MAX_SHARED = 0.6
MAX_SIMILARITY = 0.985
OPENING_WORDS = 3


def near_duplicate(variants: Sequence[str], encoder: Encoder) -> dict[int, tuple[int, str]]:
    """The variants of a document that repeat an earlier one: {variant: (earlier variant, evidence)}."""
    vectors = encoder.encode(variants)
    rejected: dict[int, tuple[int, str]] = {}
    for later in range(len(variants)):
        for earlier in range(later):
            if earlier in rejected:
                continue
            shared = copied_share(variants[earlier], variants[later])
            similarity = float(vectors[earlier] @ vectors[later])
            if shared > MAX_SHARED:
                rejected[later] = (earlier, f"{shared:.0%} of its {COPY_WORDS}-word sequences")
            elif similarity > MAX_SIMILARITY:
                rejected[later] = (earlier, f"cosine similarity {similarity:.3f}")
            if later in rejected:
                break
    return rejected


def shared_sequences(variants: Sequence[str], n_words: int) -> list[float]:
    """For each ordered pair of variants, the share of the second's n-word sequences that the first has too."""
    sequences = [word_ngrams(text, n_words) for text in variants]
    known = [set(found) for found in sequences]
    return [
        share_of(found, known[other])
        for this, found in enumerate(sequences)
        for other in range(len(variants))
        if other != this
    ]


def template_collapse(texts: Iterable[str]) -> tuple[float, str]:
    """The share of texts with the most common three-word opening, and that opening."""
    openings = Counter(" ".join(re.findall(r"\w+", text.lower())[:OPENING_WORDS]) for text in texts)
    if not openings:
        return 0.0, ""
    opening, count = openings.most_common(1)[0]
    return count / openings.total(), opening


def distinct_n(texts: Iterable[str], n_words: int) -> float:
    """The share of n-word sequences over all texts that are distinct (Li et al., arXiv 1510.03055)."""
    found = [sequence for text in texts for sequence in word_ngrams(text, n_words)]
    return len(set(found)) / len(found) if found else 0.0
