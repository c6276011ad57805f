"""Which of a run's many chunks and rejects its reader shows: a seeded draw, stratified by recipe and reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rephrase.dataset.shards import Kind

# A recipe and a reason; the empty reason is that of accepted chunks.
Stratum = tuple[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a thing to show stands: a row of a part, and for a rewrite the place in its list of chunks."""

    kind: Kind
    part: int
    row: int
    chunk: int


class Candidates:
    """The `n` smallest random numbers of each stratum, however many rows go by.

    Each row's number depends on the seed, its part and its place in it, so the same run gives the same draw.
    """

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed = n, seed
        self._kept: dict[Stratum, list[tuple[float, Place]]] = {}
        self.sizes: dict[Stratum, int] = {}

    @property
    def n_seen(self) -> int:
        return sum(self.sizes.values())

    def add(self, kind: Kind, part: int, strata: Sequence[Stratum], rows: np.ndarray, chunks: np.ndarray) -> None:
        """See the candidates of one part; the sequences run in parallel."""
        numbers = np.random.default_rng([self._seed, part, len(kind)]).random(len(strata))
        members: dict[Stratum, list[int]] = {}
        for index, stratum in enumerate(strata):
            members.setdefault(stratum, []).append(index)
        for stratum, indices in members.items():
            self.sizes[stratum] = self.sizes.get(stratum, 0) + len(indices)
            drawn = sorted(indices, key=lambda index: numbers[index])[: self._n]
            places = [(float(numbers[i]), Place(kind, part, int(rows[i]), int(chunks[i]))) for i in drawn]
            self._kept[stratum] = sorted([*self._kept.get(stratum, []), *places])[: self._n]

    def draw(self) -> list[Place]:
        """At most `n` places in the order of the corpus: half of them accepted, where there are as many."""
        accepted = {stratum: size for stratum, size in self.sizes.items() if not stratum[1]}
        refused = {stratum: size for stratum, size in self.sizes.items() if stratum[1]}
        n_refused = min(sum(refused.values()), max(self._n // 2, self._n - sum(accepted.values())))
        shares = {**level(accepted, self._n - n_refused), **level(refused, n_refused)}
        places = [place for stratum, n in shares.items() for _, place in self._kept[stratum][:n]]
        return sorted(places, key=lambda place: (place.part, place.row, place.kind == "rejects", place.chunk))


def level(sizes: Mapping[Stratum, int], n: int) -> dict[Stratum, int]:
    """Share `n` evenly; what a small stratum cannot use goes to the others. {a: 2, b: 9, c: 9}, 10 -> {2, 4, 4}."""
    shares: dict[Stratum, int] = {}
    left, n_open = n, len(sizes)
    for stratum, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
        shares[stratum] = min(size, left // n_open)
        left, n_open = left - shares[stratum], n_open - 1
    return shares
