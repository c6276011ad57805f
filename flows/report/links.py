"""Which sentences of a source stand behind each sentence of its rewrite, for the pairs that a reader shows."""

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fidelity.checks.encoder import Encoder
from fidelity.checks.sentences import POINTED_OUT, SentenceReport, compare_sentences
from flows.report.pairs import Pair

# The cosine of shared words is lower than that of meanings.
POINTED_OUT_BY_WORDS = 0.15
N_WORDS = 4096
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]|[^\W_]+")


@dataclass(frozen=True, slots=True)
class Links:
    """The sentences of a pair and how they match; a match below `pointed_out` has no like on the other side."""

    report: SentenceReport
    pointed_out: float


class SharedWords:
    """An encoder that needs no model: hashed words, weighted down where many of the texts hold them."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 of shape (number of texts, N_WORDS), each row of length 1, or 0 without a word."""
        words = [Counter(_WORD.findall(text.lower())) for text in texts]
        n_texts_with = Counter(word for counts in words for word in counts)
        vectors = np.zeros((len(texts), N_WORDS), dtype=np.float32)
        for row, counts in enumerate(words):
            for word, count in counts.items():
                weight = math.log(1 + len(texts) / n_texts_with[word])
                vectors[row, zlib.crc32(word.encode()) % N_WORDS] += count * weight
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def link(pairs: Sequence[Pair], encoder: Encoder | None) -> list[Links | None]:
    """Links of each pair that has both sides; without an encoder by the words they share."""
    chosen = [index for index, pair in enumerate(pairs) if pair.source and pair.rewrite]
    found: list[Links | None] = [None] * len(pairs)
    pointed_out = POINTED_OUT if encoder else POINTED_OUT_BY_WORDS
    texts = [(pairs[index].source or "", pairs[index].rewrite) for index in chosen]
    for index, report in zip(chosen, compare_sentences(texts, encoder or SharedWords()), strict=True):
        found[index] = Links(report, pointed_out)
    return found
