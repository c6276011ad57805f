"""Where the pieces of documents begin in packed rows: all that attention needs to know about packing.

Shapes: B rows, S positions of a row.

A position attends to the positions of its own piece up to itself. In the row `a a a b b` the piece starts are
`0 0 0 3 3` and the positions `0 1 2 0 1`; position 4 attends to 3 and 4.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

# Queries per block of chunked attention: small blocks waste less above the diagonal, large ones give larger products.
QUERY_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Span:
    """A block of queries [start, end) of one row and the first key that any of them attends to.

    `hidden_QK` marks the masked pairs of the block; None when no pair is masked.
    """

    row: int
    start: int
    end: int
    first_key: int
    hidden_QK: Tensor | None


class Boundaries:
    """Piece starts of packed rows: `starts_BS[b, i]` is the first position of the piece that position i is in.

    Everything derived from them is computed once per batch and shared by all layers.
    """

    def __init__(self, starts_BS: Tensor) -> None:
        if starts_BS.ndim != 2 or starts_BS.is_floating_point():
            raise ValueError(f"piece starts must be integers (B, S), not {starts_BS.dtype} of {tuple(starts_BS.shape)}")
        self.starts_BS = starts_BS

    @classmethod
    def whole_rows(cls, n_rows: int, length: int, device: torch.device | str = "cpu") -> "Boundaries":
        """Every row is one document."""
        return cls(torch.zeros(n_rows, length, dtype=torch.int32, device=device))

    @cached_property
    def positions_BS(self) -> Tensor:
        return torch.arange(self.starts_BS.shape[1], device=self.starts_BS.device) - self.starts_BS

    @cached_property
    def visible_BSS(self) -> Tensor:
        """True where query i may attend to key j, as a dense mask: only for tests and small models."""
        n = torch.arange(self.starts_BS.shape[1], device=self.starts_BS.device)
        return (n[None, None, :] <= n[None, :, None]) & (n[None, None, :] >= self.starts_BS[:, :, None])

    @cached_property
    def spans(self) -> list[Span]:
        """The rows in blocks of `QUERY_BLOCK` queries, each with its visible keys.

        Piece starts never decrease along a row, so the first query of a block reaches furthest back.
        """
        n_rows, length = self.starts_BS.shape
        spans = []
        for row in range(n_rows):
            for start in range(0, length, QUERY_BLOCK):
                end = min(start + QUERY_BLOCK, length)
                starts_Q = self.starts_BS[row, start:end]
                first_key = int(starts_Q[0])
                keys_K = torch.arange(first_key, end, device=self.starts_BS.device)
                queries_Q = torch.arange(start, end, device=self.starts_BS.device)
                hidden_QK = (keys_K[None, :] > queries_Q[:, None]) | (keys_K[None, :] < starts_Q[:, None])
                spans.append(Span(row, start, end, first_key, hidden_QK if end - start > 1 else None))
        return spans
