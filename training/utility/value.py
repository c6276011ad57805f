"""The current value of a token by stream and repetition: its pull towards held-out text relative to the average.

Shapes: K streams, R repetitions, T time bins.

The pull is the alignment score per token. A value of 1 is the average pull of the run (in absolute terms, so that
harmful text cannot bring the average to zero); 0 teaches nothing about the held-out text, and below 0 the opposite.

Only the later half of the run counts: early on, all text teaches the same letter and word frequencies, and the decision
is about the next tokens. Within that half, pulls are compared bin by bin, so that the larger gradients of earlier bins
do not favour the text seen then. What a text has taught over the whole run is another question: the sum of its pulls,
each times the learning rate of its time.

The worth of repetition is a ratio within bins and uses the whole run: the sampler lets first and later readings of a
stream meet early on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.utility.ledger import UtilityLedger
from training.utility.repetition import RepetitionDiscount, fit_discount

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TokenValues:
    """Values and their standard errors within the run, nan where nothing was measured.

    By repetition (K, R); for each stream as recently seen, over all exposures (K,); what each has taught, as a share of
    what all have (K, R); and the repetition discount.
    """

    value_KR: Floats
    error_KR: Floats
    current_K: Floats
    current_error_K: Floats
    taught_KR: Floats
    discount: RepetitionDiscount


def token_values(ledger: UtilityLedger, rate_T: Floats | None = None) -> TokenValues:
    """Errors are from a jackknife over time bins: over steps, not over tokens, which are not independent.

    Args:
        rate_T: the learning rate of each time bin, for what was taught; by default it counts as constant.
    """
    scored, score = ledger.scored_KRT.numpy(), ledger.score_KRT.numpy()
    taught_KR = _taught(
        ledger.tokens_KRT.numpy(), scored, score, np.ones(scored.shape[2]) if rate_T is None else rate_T
    )
    worth, error = _worth_of_repetition(scored, score)
    measured = np.flatnonzero(scored.sum(axis=(0, 1)) > 0)
    later = measured[len(measured) // 2 :]
    scored, score = scored[..., later], score[..., later]
    pull_T = np.abs(score).sum(axis=(0, 1)) / np.maximum(1.0, scored.sum(axis=(0, 1)))
    value_KR, error_KR = _ratio(score, scored * pull_T)
    current_K, current_error_K = _ratio(score.sum(axis=1), scored.sum(axis=1) * pull_T)
    discount = fit_discount(np.arange(1, value_KR.shape[1], dtype=np.float64), worth, error)
    return TokenValues(value_KR, error_KR, current_K, current_error_K, taught_KR, discount)


def _taught(tokens: Floats, scored: Floats, score: Floats, rate_T: Floats) -> Floats:
    """The pull of all tokens (K, R), scored or not, times the learning rate, as a share of the sum of all pulls."""
    with np.errstate(invalid="ignore", divide="ignore"):
        pull_KR = np.nan_to_num(score / scored * tokens * rate_T).sum(axis=2)
        return np.where(scored.sum(axis=2) > 0, pull_KR / np.abs(pull_KR).sum(), np.nan)


def _worth_of_repetition(scored: Floats, score: Floats) -> tuple[Floats, Floats]:
    """For repetitions 1 … R−1: score per token over that of the same stream's first exposures in the same bins."""
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
