"""What the reader says about a pair."""

from dataclasses import dataclass

import numpy as np

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The probability of one mark for each token (spans in characters) and each sentence of a text."""

    spans: tuple[Span, ...]
    tokens: np.ndarray
    sentences: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the reader makes of a pair: `added` and `garbled` mark the rewrite, `lost` the source.

    Both are None without a source that it can read, and `lost` also where nobody asks what is missing.
    """

    garbled: Marks
    added: Marks | None = None
    lost: Marks | None = None
