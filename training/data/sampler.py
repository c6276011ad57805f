"""The endless, reproducible order in which documents are drawn from their streams.

Each draw comes from the stream that is furthest behind its share, so shares hold at all times to within a document and
no random state needs saving. Within a stream, each epoch is a permutation seeded by (seed, stream, epoch).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.data.mixture import Mixture, training_tokens
from training.data.token_store import TokenStore


class Piece(NamedTuple):
    """Input positions [start, end) of a document, in its `repetition`-th epoch (0 is the first exposure).

    A document of n tokens has n − 1 of them: position i is token i, and token i + 1 is its target.
    """

    document: int
    start: int
    end: int
    repetition: int


@dataclass(slots=True)
class _Cursor:
    """How far a stream has been drawn."""

    stream: int
    documents: NDArray[np.int64]
    weight: float
    max_epochs: int | None
    n_tokens: int = 0
    epoch: int = 0
    position: int = 0
    order: NDArray[np.int64] | None = None

    @property
    def exhausted(self) -> bool:
        return self.max_epochs is not None and self.epoch >= self.max_epochs


class DocumentSampler:
    """Draws whole documents from the part of the store that is not held out."""

    def __init__(self, store: TokenStore, mixture: Mixture, seed: int, held_out_share: float) -> None:
        self._store, self._seed = store, seed
        shares = mixture.shares(store.streams, training_tokens(store, held_out_share))
        usable = (store.split_D >= held_out_share) & (store.length_D > 1)
        self._cursors = [
            _Cursor(index, np.flatnonzero(usable & (store.stream_D == index)), share.weight, share.max_epochs)
            for index, share in enumerate(shares)
        ]
        if not any(len(cursor.documents) and cursor.weight > 0 for cursor in self._cursors):
            raise ValueError(
                f"all documents are held out (held_out_share is {held_out_share}) or have weight 0; nothing to train on"
            )

    def draw(self) -> Piece | None:
        """The next document, or None when every stream has reached its cap."""
        behind = min(
            (c for c in self._cursors if c.weight > 0 and len(c.documents) and not c.exhausted),
            key=lambda c: c.n_tokens / c.weight,
            default=None,
        )
        if behind is None:
            return None
        if behind.order is None:
            seed = [self._seed, behind.stream, behind.epoch]
            behind.order = np.random.default_rng(seed).permutation(behind.documents)
        document = int(behind.order[behind.position])
        piece = Piece(document, 0, int(self._store.length_D[document]) - 1, behind.epoch)
        behind.n_tokens += piece.end
        behind.position += 1
        if behind.position == len(behind.documents):
            behind.epoch, behind.position, behind.order = behind.epoch + 1, 0, None
        return piece

    def state_dict(self) -> dict[str, Any]:
        return {"cursors": [[c.n_tokens, c.epoch, c.position] for c in self._cursors]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for cursor, (n_tokens, epoch, position) in zip(self._cursors, state["cursors"], strict=True):
            cursor.n_tokens, cursor.epoch, cursor.position, cursor.order = n_tokens, epoch, position, None
