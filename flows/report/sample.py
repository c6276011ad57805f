"""Which of a run's chunks and rejects its reader shows: a seeded sample, stratified by recipe and reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rephrase.dataset.shards import Kind

# A recipe and a reject reason, which is empty for accepted chunks.
Stratum = tuple[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """Where a sampled item is stored: the row of a part, and for a rewrite the index in its list of chunks."""

    kind: Kind
    part: int
    row: int
    chunk: int


class StratifiedSampler:
    """Keeps the `n` rows with the smallest random numbers in each stratum, whatever the number of rows.

    A row's number depends on the seed, its part and its position there, so the same run gives the same sample.
    """

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed = n, seed
        self._kept: dict[Stratum, list[tuple[float, Location]]] = {}
        self.sizes: dict[Stratum, int] = {}

    @property
    def n_seen(self) -> int:
        return sum(self.sizes.values())

    def add(self, kind: Kind, part: int, strata: Sequence[Stratum], rows: np.ndarray, chunks: np.ndarray) -> None:
        """Add the candidates of one part; the sequences are parallel."""
        numbers = np.random.default_rng([self._seed, part, len(kind)]).random(len(strata))
        members: dict[Stratum, list[int]] = {}
        for index, stratum in enumerate(strata):
            members.setdefault(stratum, []).append(index)
        for stratum, indices in members.items():
            self.sizes[stratum] = self.sizes.get(stratum, 0) + len(indices)
            drawn = sorted(indices, key=lambda index: numbers[index])[: self._n]
            found = [(float(numbers[i]), Location(kind, part, int(rows[i]), int(chunks[i]))) for i in drawn]
            self._kept[stratum] = sorted([*self._kept.get(stratum, []), *found])[: self._n]

    def draw(self) -> list[Location]:
        """At most `n` locations in corpus order, half of them accepted where there are enough of both."""
        accepted = {stratum: size for stratum, size in self.sizes.items() if not stratum[1]}
        rejected = {stratum: size for stratum, size in self.sizes.items() if stratum[1]}
        n_rejected = min(sum(rejected.values()), max(self._n // 2, self._n - sum(accepted.values())))
        shares = {**share_evenly(accepted, self._n - n_rejected), **share_evenly(rejected, n_rejected)}
        found = [location for stratum, n in shares.items() for _, location in self._kept[stratum][:n]]
        return sorted(found, key=lambda at: (at.part, at.row, at.kind == "rejects", at.chunk))


def share_evenly(sizes: Mapping[Stratum, int], n: int) -> dict[Stratum, int]:
    """Divide `n` evenly; what a small stratum cannot use goes to the others. {a: 2, b: 9, c: 9}, 10 -> {2, 4, 4}."""
    shares: dict[Stratum, int] = {}
    left, n_open = n, len(sizes)
    for stratum, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
        shares[stratum] = min(size, left // n_open)
        left, n_open = left - shares[stratum], n_open - 1
    return shares
