"""The training rows of a run: fact documents at one end of a row, the rest background.

Documents are never cut, and in most arms a row has one at most, so that two texts about one person are never in the
same window. The pieces of a row do not attend to each other, unless the arm has no mask.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facts.arms import Arm, Document, Gate, exposures
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
        documents = _documents(document_of_row.get(row, []), arm, world)
        n = sum(len(document) - 1 for document in documents)
        if n > length:
            raise ValueError(f"the documents of a row have {n + 1} tokens and a row {length}; use longer rows")
        filler = background[at : at + length - n + 1]
        at += length - n
        n_about_people += n
        pieces = [*documents, filler] if rng.random() < 0.5 else [filler, *documents]
        first = 0
        for piece in pieces:
            place = slice(first, first + len(piece) - 1)
            tokens[row, place], targets[row, place] = piece[:-1], piece[1:]
            starts[row, place] = first if arm.masked else 0
            first = place.stop
    rows = Rows(*(torch.from_numpy(array) for array in (tokens, targets, starts)))
    return rows, n_about_people / tokens.size


def held_out_rows(world: World, max_rows: int = 128) -> Rows:
    """Rows of background that no run trains on."""
    length = world.sizes.row_length
    n_rows = min(max_rows, (len(world.held_out) - 1) // length)
    ids = world.held_out[: n_rows * length + 1].astype(np.int32)
    tokens, targets = (torch.from_numpy(part.reshape(n_rows, length).copy()) for part in (ids[:-1], ids[1:]))
    return Rows(tokens, targets, torch.zeros_like(tokens))


def _documents(parts: list[Document], arm: Arm, world: World) -> list[NDArray[np.int32]]:
    """The ids of each document; parts joined to one keep a single start and end."""
    ids = [world.pools[pool].document(person, k).astype(np.int32) for pool, person, k in parts]
    return [np.concatenate([ids[0], *(part[1:] for part in ids[1:])])] if arm.joined and ids else ids


def _background(world: World, n_tokens: int, rng: random.Random) -> NDArray[np.int32]:
    """Sections in random order, again and again in another."""
    chosen, n = [], 0
    while n < n_tokens:
        for index in rng.sample(range(len(world.background)), len(world.background)):
            chosen.append(world.background[index])
            n += len(chosen[-1])
    return np.concatenate(chosen)[:n_tokens].astype(np.int32)
