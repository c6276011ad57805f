"""Muon's matrices when their rows are divided among processes: each has one owner, which orthogonalises it whole.

Newton–Schulz needs all rows of a matrix at once. So before it, every process sends its rows of each matrix to the
matrix's owner, and afterwards the owner sends every process its rows of the result: two messages for all matrices of a
step. Stacks of experts need none: processes divide them along the experts, so each holds whole matrices.
"""

import heapq
from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from training.parallel import divided_dimensions, local

T = TypeVar("T", bound=Hashable)
ByParameter = dict[nn.Parameter, Tensor]


def rows_group(parameter: Tensor) -> dist.ProcessGroup | None:
    """The processes that divide the rows of a matrix; None if this one has them all, or whole matrices."""
    dimensions = divided_dimensions(parameter)
    if parameter.ndim == 3 or not dimensions:
        return None
    assert isinstance(parameter, DTensor)
    (dimension,) = dimensions
    return parameter.device_mesh.get_group(dimension)


def assign_longest_first(costs: Mapping[T, int], n_owners: int, loads_before: Sequence[int] = ()) -> list[list[T]]:
    """What each owner gets: the most expensive goes first, always to the owner with the least so far (Graham, 1969).

    The most that one of n owners gets is at most 4/3 − 1/(3n) of what the best assignment would give it, unless they
    had something before.
    """
    owned: list[list[T]] = [[] for _ in range(n_owners)]
    loads = [(load, owner) for owner, load in enumerate(loads_before or [0] * n_owners)]
    heapq.heapify(loads)
    for one in sorted(costs, key=lambda one: -costs[one]):  # stable: the same order on every process
        load, owner = heapq.heappop(loads)
        owned[owner].append(one)
        heapq.heappush(loads, (load + costs[one], owner))
    return owned


class Owners:
    """The owners of matrices (n, m) whose rows a process group divides evenly, the first processes taking more.

    Args:
        costs: of each matrix, in any unit; in the same order on every process.
    """

    def __init__(self, costs: Mapping[nn.Parameter, int], group: dist.ProcessGroup) -> None:
        self._group = group
        self.owned = assign_longest_first(costs, group.size())
        self._mine = self.owned[group.rank()]
        self._nothing = local(next(iter(costs)).detach()).new_empty(0)

    def gather(self, rows: Mapping[nn.Parameter, Tensor]) -> ByParameter:
        """From this process's rows of every matrix, the whole matrices that it owns."""
        sent = [[rows[parameter] for parameter in owned] for owned in self.owned]
        expected = [[(p, rank) for p in self._mine] for rank in range(len(self.owned))]
        received = self._exchange(sent, expected)
        return {p: torch.cat(pieces) for p, pieces in zip(self._mine, zip(*received, strict=True), strict=True)}

    def scatter(self, whole: Mapping[nn.Parameter, Tensor]) -> ByParameter:
        """From the whole matrices that this process owns, its rows of every matrix: the inverse of `gather`."""
        pieces = [whole[p].split([self._n_rows(p, rank) for rank in range(len(self.owned))]) for p in self._mine]
        sent = [[of_matrix[rank] for of_matrix in pieces] for rank in range(len(self.owned))]
        expected = [[(p, self._group.rank()) for p in owned] for owned in self.owned]
        received = self._exchange(sent, expected)
        return dict(zip(chain.from_iterable(self.owned), chain.from_iterable(received), strict=True))

    def _exchange(
        self, sent: Sequence[Sequence[Tensor]], expected: Sequence[Sequence[tuple[nn.Parameter, int]]]
    ) -> list[list[Tensor]]:
        """Send some pieces to each process, and receive from each the pieces (matrix, whose rows) that are expected."""
        shapes = [[(self._n_rows(p, rank), p.shape[1]) for p, rank in from_one] for from_one in expected]
        sizes = [[n * m for n, m in from_one] for from_one in shapes]
        # A process may own nothing, and then has nothing to send.
        flat = torch.cat([self._nothing, *(piece.flatten() for piece in chain.from_iterable(sent))])
        received = flat.new_empty(sum(map(sum, sizes)))
        n_sent = [sum(piece.numel() for piece in to_one) for to_one in sent]
        dist.all_to_all_single(received, flat, [sum(from_one) for from_one in sizes], n_sent, self._group)
        pieces = iter(received.split(list(chain.from_iterable(sizes))))
        return [[next(pieces).view(shape) for shape in from_one] for from_one in shapes]

    def _n_rows(self, parameter: nn.Parameter, rank: int) -> int:
        """The rows of a matrix on one process, as `torch.chunk` and with it FSDP2 divide them."""
        n_rows, size = parameter.shape[0], -(-parameter.shape[0] // len(self.owned))
        return max(0, min(size, n_rows - rank * size))
