import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from training.optimizer.owners import Owners, assign_longest_first


def test_the_longest_goes_first_to_the_least_loaded() -> None:
    # Sorted: 8 7 6 5 4; one owner gets 8, the other 7, which then gets 6; and so on.
    assert assign_longest_first({"e": 4, "a": 8, "d": 5, "c": 6, "b": 7}, 2) == [["a", "d", "e"], ["b", "c"]]
    assert assign_longest_first({"a": 1}, 3) == [["a"], [], []]
    assert assign_longest_first({"b": 1, "a": 1}, 1) == [["b", "a"]]  # equals stay in order
    assert assign_longest_first({"a": 5, "b": 3}, 2, [4, 0]) == [["b"], ["a"]]


class Exchange:
    """Process groups of threads: `all_to_all_single` among them."""

    def __init__(self, size: int) -> None:
        self.size, self.barrier = size, threading.Barrier(size)
        self.sent: list[Any] = [None] * size

    def group(self, rank: int) -> Any:
        exchange = self

        class Group:
            def rank(self) -> int:
                return rank

            def size(self) -> int:
                return exchange.size

        return Group()

    def all_to_all_single(self, out: Any, tensor: Any, n_out: list[int], n_in: list[int], group: Any) -> None:
        self.sent[group.rank()] = tensor.split(n_in)
        self.barrier.wait()
        out.copy_(torch.cat([pieces[group.rank()] for pieces in self.sent]))
        assert [len(pieces[group.rank()]) for pieces in self.sent] == n_out
        self.barrier.wait()


def on_threads(n: int, act: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            act(rank)
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_an_owner_gets_whole_matrices_and_everyone_gets_its_rows_back(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with more processes than matrices or rows, and rows that do not divide evenly."""
    weights = [nn.Parameter(torch.randn(shape)) for shape in ((7, 3), (2, 5), (1, 4))]
    costs = {weight: weight.numel() for weight in weights}
    exchange = Exchange(n)
    monkeypatch.setattr(dist, "all_to_all_single", exchange.all_to_all_single)
    seen = []

    def act(rank: int) -> None:
        mine = Owners(costs, exchange.group(rank))
        rows = {}
        for weight in weights:
            chunks = list(weight.detach().chunk(n))
            rows[weight] = chunks[rank] if rank < len(chunks) else weight.detach()[:0]
        whole = mine.gather(rows)
        assert all(torch.equal(matrix, weight) for weight, matrix in whole.items())
        seen.extend(whole)
        back = mine.scatter({weight: 2 * matrix for weight, matrix in whole.items()})
        assert all(torch.equal(back[weight], 2 * rows[weight]) for weight in weights)

    on_threads(n, act)
    assert len(seen) == len(set(seen)) == 3  # one owner each
