"""Figures over questions with bootstrap intervals over entities.

Shapes: N questions, C entities, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean and its 95 % interval, which one entity alone does not have."""

    mean: float
    low: float | None
    high: float | None


def mean_over_entities(
    values_N: NDArray[np.floating], weights_N: NDArray[np.floating], entities: Sequence[str], seed: int = 0
) -> Figure:
    """`Σ values / Σ weights` and the percentiles of its bootstrap: whole entities are drawn, with all their questions.

    Questions about one entity are right or wrong together, so that drawing questions would give too small an interval.
    """
    _, entity_N = np.unique(np.asarray(entities), return_inverse=True)
    sums_C2 = np.stack([np.bincount(entity_N, values_N), np.bincount(entity_N, weights_N)], axis=1)
    total, weight = sums_C2.sum(axis=0)
    if len(sums_C2) < 2:
        return Figure(float(total / weight), None, None)
    counts_RC = np.random.default_rng(seed).multinomial(
        len(sums_C2), np.full(len(sums_C2), 1 / len(sums_C2)), size=N_RESAMPLES
    )
    totals_R, weights_R = (counts_RC @ sums_C2).T
    low, high = np.percentile(totals_R / weights_R, [2.5, 97.5])
    return Figure(float(total / weight), float(low), float(high))


def figures(scores: Mapping[str, Sequence[float | None]], entities: Sequence[str]) -> dict[str, Figure]:
    """The figure of each score over the questions that have it; `loss` counts by `n_tokens`, the others alike."""
    found = {}
    for name, values in scores.items():
        known = [i for i, value in enumerate(values) if value is not None]
        if name == "n_tokens" or not known:
            continue
        weights = [scores["n_tokens"][i] if name == "loss" else 1.0 for i in known]
        found[name] = mean_over_entities(
            np.array([values[i] for i in known], float), np.array(weights, float), [entities[i] for i in known]
        )
    return found
