"""The remaining worth of a repeated token, after Muennighoff et al. (arXiv 2305.16264).

U unique tokens seen for 1 + R epochs count as `D′ = U + U·R*·(1 − e^(−R/R*))`. The r-th repetition of a token is then
worth `e^(−r/R*)` of its first exposure; the published R* is about 15.4.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PUBLISHED_R_STAR = 15.4
# Above 1000, a hundred epochs lose less than a tenth of their worth: no run could distinguish that from no decay.
_CANDIDATES = np.geomspace(0.05, 1000.0, 400)


@dataclass(frozen=True, slots=True)
class RepetitionDiscount:
    """R*, and its range within one standard error; `measured` is false for the published value."""

    r_star: float
    low: float
    high: float
    measured: bool

    def worth(self, repetition: int) -> float:
        """The worth of a token's `repetition`-th repetition, as a share of its first exposure."""
        return math.exp(-repetition / self.r_star)

    def effective_tokens(self, n_unique: float, n_epochs: float) -> float:
        """D′ for `n_unique` tokens seen for `n_epochs` epochs."""
        repeated = max(0.0, n_epochs - 1)
        return n_unique * (1 + self.r_star * (1 - math.exp(-repeated / self.r_star)))


def fit_discount(repetition: Floats, worth: Floats, error: Floats) -> RepetitionDiscount:
    """R* from measured worths at repetitions of 1 and more, each with its standard error.

    Without measurements, the published value is used and assumed to be right within a factor of two.
    """
    usable = np.isfinite(worth) & np.isfinite(error) & (error > 0) & (repetition >= 1)
    if not usable.any():
        return RepetitionDiscount(PUBLISHED_R_STAR, PUBLISHED_R_STAR / 2, PUBLISHED_R_STAR * 2, measured=False)
    expected = np.exp(-repetition[None, usable] / _CANDIDATES[:, None])
    chi_squared = (((expected - worth[None, usable]) / error[None, usable]) ** 2).sum(axis=1)
    best = int(np.argmin(chi_squared))
    within = _CANDIDATES[chi_squared <= chi_squared[best] + 1]
    return RepetitionDiscount(float(_CANDIDATES[best]), float(within.min()), float(within.max()), measured=True)


def max_useful_epochs(discount: RepetitionDiscount, min_worth: float = 0.5) -> int:
    """Epochs until one more is worth less than `min_worth` of fresh tokens: 1 + ⌊R*·ln(1/min_worth)⌋."""
    return 1 + math.floor(discount.r_star * math.log(1 / min_worth))
