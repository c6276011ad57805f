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

    `hidden_QK` marks the masked pairs among the last K keys of the block; all earlier keys are visible to every query.
    None when no pair is masked.
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
        """The rows in blocks of up to `QUERY_BLOCK` queries, each with its visible keys.

        A block is cut where a piece that began before it ends. So each block either belongs to one piece, which may
        reach far back and hides only its own future, or reaches back no further than its own start: masks are no larger
        than a block squared, and memory grows with the length of a row, not with its square.
        """
        length = self.starts_BS.shape[1]
        future_QQ = torch.ones(QUERY_BLOCK, QUERY_BLOCK, dtype=torch.bool, device=self.starts_BS.device).triu(1)
        spans = []
        for row, starts_S in enumerate(self.starts_BS):
            for block in range(0, length, QUERY_BLOCK):
                end = min(block + QUERY_BLOCK, length)
                starts_Q = starts_S[block:end]
                cut = block + int((starts_Q < block).sum())
                if cut > block:
                    n = cut - block
                    spans.append(Span(row, block, cut, int(starts_Q[0]), future_QQ[:n, :n] if n > 1 else None))
                if cut < end:
                    keys_K = torch.arange(cut, end, device=self.starts_BS.device)
                    hidden_QK = future_QQ[: end - cut, : end - cut] | (keys_K[None, :] < starts_S[cut:end, None])
                    spans.append(Span(row, cut, end, cut, hidden_QK if end - cut > 1 else None))
        return spans
