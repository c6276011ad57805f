"""Packs documents into rows of equal length, without padding and without losing a token.

Rows are filled from a small buffer of pieces, always with the largest piece that still fits. When none fits, the oldest
is cut: its head fills the row and its tail stays in the buffer. Two pieces of one document do not attend to each other.

With rows of 8 and a buffer of 3 that holds a(5) b(6) c(2), oldest first:

    b is the largest that fits 8, then c fits the 2 left      row: b b b b b b c c
    the buffer is refilled with d(9) e(1): a(5) d(9) e(1)
    a fits 8, e fits 3, then d does not fit the 2 left: cut   row: a a a a a e d d      d(7) remains

A buffer of 64 cuts about one document per row. Cutting wherever a row ends also cuts one; first-fit without cutting
leaves about a tenth of the row empty.
"""

from collections.abc import Callable
from typing import Any

from training.data.sampler import Piece

BUFFER_PIECES = 64


class Packer:
    """Draws pieces and emits full rows."""

    def __init__(self, draw: Callable[[], Piece | None], row_length: int, n_buffered: int = BUFFER_PIECES) -> None:
        if row_length < 1 or n_buffered < 1:
            raise ValueError(f"row length {row_length} and buffer {n_buffered} must both be 1 or more")
        self._draw, self._row_length, self._n_buffered = draw, row_length, n_buffered
        self._buffer: list[Piece] = []

    def next_row(self) -> list[Piece] | None:
        """Pieces whose lengths sum to the row length; None when the remaining documents do not fill one."""
        row: list[Piece] = []
        n_free = self._row_length
        while n_free:
            self._refill()
            if not self._buffer:
                return None
            sizes = [piece.end - piece.start for piece in self._buffer]
            fitting = [size for size in sizes if size <= n_free]
            if fitting:
                piece = self._buffer.pop(sizes.index(max(fitting)))
            else:
                oldest = self._buffer[0]
                piece = oldest._replace(end=oldest.start + n_free)
                self._buffer[0] = oldest._replace(start=piece.end)
            row.append(piece)
            n_free -= piece.end - piece.start
        return row

    def _refill(self) -> None:
        while len(self._buffer) < self._n_buffered and (piece := self._draw()) is not None:
            self._buffer.append(piece)

    def state_dict(self) -> dict[str, Any]:
        return {"buffer": [list(piece) for piece in self._buffer]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._buffer = [Piece(*piece) for piece in state["buffer"]]
