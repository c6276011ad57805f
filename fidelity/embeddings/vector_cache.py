"""A caching encoder: the sentences of a source are encoded once for all its variants and attempts."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from fidelity.embeddings.encoder import Encoder

# Enough for the chunks of about a hundred documents in progress; with 384 float32 each and their texts, 20 MB.
MAX_VECTORS = 10_000


class CachedEncoder:
    """Keeps the vectors of the most recently used texts; a text that occurs twice in a call is encoded once."""

    def __init__(self, encoder: Encoder, max_vectors: int = MAX_VECTORS) -> None:
        self._encoder = encoder
        self._max_vectors = max_vectors
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        wanted = dict.fromkeys(texts)
        # Sorted by length to reduce padding; sentence-transformers sorts again, other models may not.
        new = sorted((text for text in wanted if text not in self._vectors), key=len)
        fresh = dict(zip(new, self._encoder.encode(new), strict=True)) if new else {}
        rows = []
        for text in texts:
            if text in fresh:
                rows.append(fresh[text])
            else:
                self._vectors.move_to_end(text)
                rows.append(self._vectors[text])
        # Copies: a view of a row would keep the whole batch in memory.
        self._vectors.update((text, row.copy()) for text, row in fresh.items())
        while len(self._vectors) > self._max_vectors:
            self._vectors.popitem(last=False)
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)
