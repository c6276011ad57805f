"""The endless, reproducible order in which documents are drawn from their streams.

Each draw comes from the stream that is furthest behind its share, so shares hold at all times to within a document and
no random state needs saving. Within a stream, each epoch is a permutation seeded by (seed, stream, epoch).

In a run that will repeat a stream, a sixteenth of its documents is read again and again during the first epoch and left
out of as many later ones. First and later readings of one stream then happen at the same time, which is what measuring
the worth of repetition needs; every document is still read as often as any other.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.data.mixture import Mixture, training_tokens
from training.data.plan import plan_tokens
from training.data.token_store import TokenStore

EARLY_SHARE = 1 / 16
MAX_EARLY_READINGS = 8


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
    """How far a stream has been drawn. `order` (n, 2) holds the documents of the epoch and their repetitions.

    `n_early` is how often the documents that are read early are read in the first epoch; 1 means there are none.
    """

    stream: int
    documents: NDArray[np.int64]
    weight: float
    max_epochs: int | None
    n_early: int = 1
    n_tokens: int = 0
    epoch: int = 0
    position: int = 0
    order: NDArray[np.int64] | None = None

    @property
    def exhausted(self) -> bool:
        return self.max_epochs is not None and self.epoch >= self.max_epochs


class DocumentSampler:
    """Draws whole documents from the part of the store that is not held out.

    Args:
        n_tokens: how many tokens the run is to draw; None if that is unknown, and no document is read early.
    """

    def __init__(
        self, store: TokenStore, mixture: Mixture, seed: int, held_out_share: float, n_tokens: int | None = None
    ) -> None:
        self._store, self._seed = store, seed
        shares = mixture.shares(store.streams, training_tokens(store, held_out_share))
        usable = (store.split_D >= held_out_share) & (store.length_D > 1)
        self._cursors = [
            _Cursor(index, np.flatnonzero(usable & (store.stream_D == index)), share.weight, share.max_epochs)
            for index, share in enumerate(shares)
        ]
        if n_tokens is not None:
            plan = plan_tokens(store, mixture, held_out_share, n_tokens)
            for cursor, stream in zip(self._cursors, plan.streams, strict=True):
                if len(cursor.documents) * EARLY_SHARE >= 1:
                    cursor.n_early = max(1, min(math.ceil(stream.n_epochs), MAX_EARLY_READINGS))
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
            behind.order = self._order(behind)
        document, repetition = map(int, behind.order[behind.position])
        piece = Piece(document, 0, int(self._store.length_D[document]) - 1, repetition)
        behind.n_tokens += piece.end
        behind.position += 1
        if behind.position == len(behind.order):
            behind.epoch, behind.position, behind.order = behind.epoch + 1, 0, None
        return piece

    def _order(self, cursor: _Cursor) -> NDArray[np.int64]:
        """The documents of the cursor's epoch and their repetitions (n, 2)."""
        random = np.random.default_rng([self._seed, cursor.stream, cursor.epoch])
        documents = cursor.documents
        if cursor.n_early > 1 and cursor.epoch < cursor.n_early:
            chosen = np.random.default_rng([self._seed, cursor.stream]).permutation(documents)
            early, documents = np.split(chosen, [int(len(chosen) * EARLY_SHARE)])
            if cursor.epoch == 0:
                # The r-th reading of a document is somewhere in the r-th part of the epoch.
                repetition = np.concatenate(
                    [np.zeros(len(documents), np.int64), np.repeat(np.arange(cursor.n_early), len(early))]
                )
                documents = np.concatenate([documents, np.tile(early, cursor.n_early)])
                at = random.random(len(documents))
                at[-len(early) * cursor.n_early :] += repetition[-len(early) * cursor.n_early :]
                at[-len(early) * cursor.n_early :] /= cursor.n_early
                return np.stack([documents, repetition], axis=1)[np.argsort(at)]
        return np.stack([random.permutation(documents), np.full(len(documents), cursor.epoch)], axis=1)

    def state_dict(self) -> dict[str, Any]:
        return {"cursors": [[c.n_tokens, c.epoch, c.position, c.n_early] for c in self._cursors]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for cursor, (n_tokens, epoch, position, *n_early) in zip(self._cursors, state["cursors"], strict=True):
            cursor.n_tokens, cursor.epoch, cursor.position, cursor.order = n_tokens, epoch, position, None
            cursor.n_early = n_early[0] if n_early else 1  # a run of version 0.1.0 reads no documents early
