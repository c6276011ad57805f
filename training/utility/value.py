"""What a token of each stream and repetition is worth: its alignment relative to the average token of the same time.

Shapes: K streams, R repetitions, T time bins.

1 is the average token of the run, 0 teaches nothing that the held-out text asks for, below 0 the opposite. Comparing
inside time bins keeps early, large gradients from favouring what happens to be seen early.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.utility.ledger import UtilityLedger
from training.utility.repetition import RepetitionDiscount, fit_discount

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Values:
    """Values and their standard errors (K, R), nan where nothing was measured, and the discount of repetition."""

    value_KR: Floats
    error_KR: Floats
    first_sight_K: Floats
    first_sight_error_K: Floats
    discount: RepetitionDiscount


def values(ledger: UtilityLedger) -> Values:
    """Jackknife over time bins: the errors are over steps, not over tokens, which are not independent."""
    scored, score = ledger.scored_KRT.numpy(), ledger.score_KRT.numpy()
    measured = scored.sum(axis=(0, 1)) > 0
    scored, score = scored[..., measured], score[..., measured]
    value_KR, error_KR = _relative(scored, score)
    repetition = np.arange(1, value_KR.shape[1], dtype=np.float64)
    # Worth of repetition r against first sight, over all streams that have both at the same time.
    worth, error = _worth_of_repetition(scored, score)
    discount = fit_discount(repetition, worth, error)
    first_K, first_error_K = value_KR[:, 0], error_KR[:, 0]
    return Values(value_KR, error_KR, first_K, first_error_K, discount)


def _relative(scored: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Score per token over what the average token of the same bins scored, and its jackknife error."""
    average_T = score.sum(axis=(0, 1)) / np.maximum(1.0, scored.sum(axis=(0, 1)))
    return _ratio(score, scored * average_T)


def _worth_of_repetition(scored: Floats, score: Floats) -> tuple[Floats, Floats]:
    """For repetitions 1 … R−1: score per token over that of the same stream's first sights in the same bins."""
    with np.errstate(invalid="ignore", divide="ignore"):
        first_KT = score[:, 0] / scored[:, 0]
    both = np.isfinite(first_KT)[:, None] & (scored[:, 1:] > 0)
    expected = np.where(both, scored[:, 1:] * np.nan_to_num(first_KT)[:, None], 0.0)
    return _ratio(np.where(both, score[:, 1:], 0.0).sum(axis=0), expected.sum(axis=0))


def _ratio(numerator: Floats, denominator: Floats) -> tuple[Floats, Floats]:
    """Σ_T numerator / Σ_T denominator with the jackknife error over T; nan where the denominator is not positive."""
    top, bottom = numerator.sum(axis=-1), denominator.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(bottom > 0, top / bottom, np.nan)
        present = denominator != 0
        left_out = np.where(present, (top[..., None] - numerator) / (bottom[..., None] - denominator), np.nan)
        n = present.sum(axis=-1)
        mean = np.where(n > 0, np.nansum(np.where(present, left_out, 0.0), axis=-1) / np.maximum(n, 1), np.nan)
        spread = np.nansum(np.where(present, (left_out - mean[..., None]) ** 2, 0.0), axis=-1)
        error = np.where(n > 1, np.sqrt(spread * (n - 1) / np.maximum(n, 1)), np.nan)
    return value, np.where(np.isfinite(value), error, np.nan)
