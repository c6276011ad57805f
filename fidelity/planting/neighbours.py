"""Words of the same part of speech and topic, from a model's own word embeddings: plausible one-word errors."""

import random
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from fidelity.planting.edits import Edit, prose

_WORD = re.compile(r"(?<![\w'’-])[a-z]{4,}(?![\w'’-])")
# The nearest are often synonyms or forms of the same word, and the farthest no longer fit.
NEAREST, FARTHEST = 4, 30


class WordNeighbours:
    """For each frequent word, the words near it in an embedding table."""

    def __init__(self, words: Sequence[str], vectors: np.ndarray) -> None:
        """`vectors` has shape (words, dimensions)."""
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        near = np.argsort(-(unit @ unit.T), axis=1)[:, NEAREST:FARTHEST]
        self._near = {word: [words[i] for i in row] for word, row in zip(words, near, strict=True)}

    def replace(self, sentence: str, rng: random.Random) -> Edit | None:
        """One word replaced by a near one with the same ending, not by a form of itself; None if there is none."""
        found = [match for match in _WORD.finditer(prose(sentence)) if match.group() in self._near]
        rng.shuffle(found)
        for match in found:
            word = match.group()
            fitting = [
                other
                for other in self._near[word]
                if other[:4] != word[:4] and _ending(other) == _ending(word) and other not in sentence
            ]
            if fitting:
                return Edit(*match.span(), rng.choice(fitting))
        return None


def _ending(word: str) -> str:
    return next((ending for ending in ("ing", "ed", "ly", "s", "er") if word.endswith(ending)), "")


def frequent_words(texts: Sequence[str], *, at_least: int, at_most: int) -> list[str]:
    """The lower-case words that occur most often, without the hundred that carry grammar."""
    counts = Counter(word for text in texts for word in _WORD.findall(text))
    return [word for word, n in counts.most_common(at_most + 100)[100:] if n >= at_least]
