"""The training rows of a run: at most one fact document in each, the rest background.

Documents are never cut and never share a row, so two texts about one person are never in the same window, whatever the
attention mask. The two pieces of a row do not attend to each other.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facts.arms import Arm, Gate, exposures
from facts.world import World


@dataclass(frozen=True, slots=True)
class Rows:
    """(R, S) each: tokens, the tokens that follow, and where the piece of a position begins."""

    tokens: Tensor
    targets: Tensor
    starts: Tensor

    def to(self, device: str) -> "Rows":
        return Rows(self.tokens.to(device), self.targets.to(device), self.starts.to(device))

    def part(self, start: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of a step, with ids as torch indexes: long."""
        return self.tokens[start:end].long(), self.targets[start:end].long(), self.starts[start:end]


def make_rows(arm: Arm, world: World, seed: int, gate: Gate) -> tuple[Rows, float]:
    """The rows of a run, and the share of their tokens that is about people.

    Raises:
        ValueError: a document is longer than a row.
    """
    rng = random.Random(seed)
    length, n_rows = world.sizes.row_length, world.n_rows
    read = exposures(arm, world, seed, gate)
    # In order of the exposures, at rows spread over the run.
    document_of_row = dict(zip(sorted(rng.sample(range(n_rows), len(read))), read, strict=True))
    background = _background(world, n_rows * length + length, rng)
    tokens, targets = np.empty((n_rows, length), np.int32), np.empty((n_rows, length), np.int32)
    starts = np.zeros((n_rows, length), np.int32)
    at, n_about_people = 0, 0
    for row in range(n_rows):
        document = _document(document_of_row.get(row, []), world)
        n = max(len(document) - 1, 0)
        if n > length:
            raise ValueError(f"a document has {n + 1} tokens and a row {length}; use longer rows")
        filler = background[at : at + length - n + 1]
        at += length - n
        n_about_people += n
        first = rng.random() < 0.5
        fact, rest = (slice(0, n), slice(n, length)) if first else (slice(length - n, length), slice(0, length - n))
        tokens[row, fact], targets[row, fact], starts[row, fact] = document[:-1], document[1:], fact.start
        tokens[row, rest], targets[row, rest], starts[row, rest] = filler[:-1], filler[1:], rest.start
    rows = Rows(*(torch.from_numpy(array) for array in (tokens, targets, starts)))
    return rows, n_about_people / tokens.size


def held_out_rows(world: World, max_rows: int = 128) -> Rows:
    """Rows of background that no run trains on."""
    length = world.sizes.row_length
    n_rows = min(max_rows, (len(world.held_out) - 1) // length)
    ids = world.held_out[: n_rows * length + 1].astype(np.int32)
    tokens, targets = (torch.from_numpy(part.reshape(n_rows, length).copy()) for part in (ids[:-1], ids[1:]))
    return Rows(tokens, targets, torch.zeros_like(tokens))


def _document(parts, world: World) -> NDArray[np.int32]:
    """The ids of a document; parts joined to one keep a single start and end."""
    ids = [world.pools[pool].document(person, k) for pool, person, k in parts]
    return np.concatenate([*ids[:1], *(part[1:] for part in ids[1:])] or [np.empty(0)]).astype(np.int32)


def _background(world: World, n_tokens: int, rng: random.Random) -> NDArray[np.int32]:
    """Sections in random order, again and again in another."""
    chosen, n = [], 0
    while n < n_tokens:
        for index in rng.sample(range(len(world.background)), len(world.background)):
            chosen.append(world.background[index])
            n += len(chosen[-1])
    return np.concatenate(chosen)[:n_tokens].astype(np.int32)
