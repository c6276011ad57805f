"""Which sentences of the source support each sentence of its rewrite, for the pairs that the reader shows."""

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fidelity.checks.sentences import REPORT_BELOW, SentenceReport, compare_sentences
from fidelity.embeddings.encoder import Encoder
from flows.report.pairs import Pair

# Word vectors have lower cosines than sentence embeddings.
MIN_WORD_SIMILARITY = 0.15
N_WORDS = 4096
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]|[^\W_]+")


@dataclass(frozen=True, slots=True)
class Links:
    """The sentences of a pair and their best matches; below `min_similarity` a sentence has no counterpart."""

    report: SentenceReport
    min_similarity: float


class SharedWords:
    """An encoder that needs no model: hashed words, weighted by inverse document frequency."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 of shape (number of texts, N_WORDS), each row of norm 1, or 0 for a text without words."""
        words = [Counter(_WORD.findall(text.lower())) for text in texts]
        n_texts_with = Counter(word for counts in words for word in counts)
        vectors = np.zeros((len(texts), N_WORDS), dtype=np.float32)
        for row, counts in enumerate(words):
            for word, count in counts.items():
                weight = math.log(1 + len(texts) / n_texts_with[word])
                vectors[row, zlib.crc32(word.encode()) % N_WORDS] += count * weight
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def link(pairs: Sequence[Pair], encoder: Encoder | None) -> list[Links | None]:
    """The links of each pair that has both texts; without an encoder, by shared words."""
    chosen = [index for index, pair in enumerate(pairs) if pair.source and pair.rewrite]
    found: list[Links | None] = [None] * len(pairs)
    min_similarity = REPORT_BELOW if encoder else MIN_WORD_SIMILARITY
    texts = [(pairs[index].source or "", pairs[index].rewrite) for index in chosen]
    for index, report in zip(chosen, compare_sentences(texts, encoder or SharedWords()), strict=True):
        found[index] = Links(report, min_similarity)
    return found
