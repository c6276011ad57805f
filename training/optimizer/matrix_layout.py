"""Which matrices a stored parameter contains: Muon orthogonalises matrices, but parameters fuse and stack them.

Shapes: E stacked weights, G groups of rows (heads), P parts of a group (such as key rows and value rows), n rows and m
columns of one matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class MatrixLayout:
    """A parameter ([E,] G · sum(parts), m) as matrices.

    The rows are G groups, each with the same parts. A part of all groups together is one matrix, or G matrices if
    `per_group` is set. With empty `parts`, a group is one part.

    A fused gate-and-up projection is `MatrixLayout(parts=(F, F))`, MLA's key-and-value projection of H heads
    `MatrixLayout(n_groups=H, parts=(N, V))`: a matrix of all keys and one of all values.
    """

    n_groups: int = 1
    parts: tuple[int, ...] = ()
    per_group: bool = False

    def check(self, name: str, shape: Sequence[int]) -> None:
        """Raises ValueError if a parameter of this shape cannot have this layout."""
        rows = shape[-2] if len(shape) in (2, 3) else 0
        expected = self.n_groups * sum(self.parts)
        if not rows or (rows != expected if self.parts else rows % self.n_groups):
            raise ValueError(
                f"{name} of shape {tuple(shape)} is not {self.n_groups} groups of rows {self.parts or '(any)'}"
            )

    def matrix_shapes(self, shape: Sequence[int]) -> list[tuple[int, int, int]]:
        """What `split` makes of a parameter of this shape: number, rows and columns of the matrices of each part."""
        batches = self.split(torch.empty(tuple(shape), device="meta"))
        return [(batch.shape[0], batch.shape[1], batch.shape[2]) for batch in batches]

    def split(self, tensor: Tensor) -> list[Tensor]:
        """One batch (N, n, m) per part; a copy where the rows of a matrix are not contiguous."""
        return [
            part_EGPm.flatten(0, 1) if self.per_group else part_EGPm.flatten(1, 2) for part_EGPm in self._parts(tensor)
        ]

    def join(self, tensor: Tensor, batches: Sequence[Tensor], scales: Sequence[float]) -> None:
        """`tensor += scale · batch` for each part, in place: the inverse of `split`."""
        for part_EGPm, batch_Nnm, scale in zip(self._parts(tensor), batches, scales, strict=True):
            part_EGPm.add_(batch_Nnm.reshape(part_EGPm.shape).to(part_EGPm.dtype), alpha=scale)

    def _parts(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Views (E, G, P, m) of the parameter."""
        stacked = tensor if tensor.ndim == 3 else tensor[None]
        grouped = stacked.unflatten(1, (self.n_groups, -1))
        return grouped.split(list(self.parts) or [grouped.shape[2]], dim=2)
