"""A batch of packed rows with the provenance of every token.

Shapes: B rows, S positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from training.data.boundaries import Boundaries
from training.data.sampler import Piece
from training.data.token_store import TokenStore

PADDING = -1


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens, their targets, the start of their piece, and their provenance.

    `stream_BS` and `document_BS` index the store's streams and documents; `repetition_BS` counts the earlier epochs in
    which the document was seen. Padding, which occurs only in evaluation, has stream −1.
    """

    tokens_BS: Tensor
    targets_BS: Tensor
    starts_BS: Tensor
    stream_BS: Tensor
    repetition_BS: Tensor
    document_BS: Tensor

    @property
    def boundaries(self) -> Boundaries:
        return Boundaries(self.starts_BS)

    def rows(self, start: int, end: int) -> "Batch":
        return Batch(*(getattr(self, field.name)[start:end] for field in fields(self)))

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))


def assemble(store: TokenStore, rows: Sequence[Sequence[Piece]], row_length: int) -> Batch:
    """Read the tokens of rows of pieces. Incomplete rows are padded; each padding position is its own piece."""
    shape = (len(rows), row_length)
    tokens, targets = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    starts = np.broadcast_to(np.arange(row_length, dtype=np.int32), shape).copy()
    stream, repetition = np.full(shape, PADDING, np.int32), np.zeros(shape, np.int32)
    document = np.full(shape, PADDING, np.int64)
    for b, pieces in enumerate(rows):
        at = 0
        for piece in pieces:
            ids = store.tokens(piece.document, piece.start, piece.end + 1)
            here = slice(at, at + piece.end - piece.start)
            tokens[b, here], targets[b, here], starts[b, here] = ids[:-1], ids[1:], at
            stream[b, here], repetition[b, here] = store.stream_D[piece.document], piece.repetition
            document[b, here] = piece.document
            at = here.stop
    return Batch(*(torch.from_numpy(array) for array in (tokens, targets, starts, stream, repetition, document)))
