"""What a token of each stream and repetition is worth now: its pull towards held-out text, relative to the average
pull.

Shapes: K streams, R repetitions, T time bins.

The pull is the alignment score per token. 1 is the average pull in the run (its sign left out, so that harmful text
cannot bring the average to zero), 0 teaches nothing that the held-out text asks for, below 0 the opposite.

Only the later half of the run counts: at first all text teaches the same letter and word frequencies, and what is to be
decided is the next token. Inside it, pulls are compared bin by bin, so that larger gradients of earlier bins do not
favour what happened to be seen then.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.utility.ledger import UtilityLedger
from training.utility.repetition import RepetitionDiscount, fit_discount

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Values:
    """Values and their standard errors, nan where nothing was measured.

    By repetition (K, R); for the stream as the run saw it lately, all sights together (K,); and the discount.
    """

    value_KR: Floats
    error_KR: Floats
    current_K: Floats
    current_error_K: Floats
    discount: RepetitionDiscount


def values(ledger: UtilityLedger) -> Values:
    """Jackknife over time bins: the errors are over steps, not over tokens, which are not independent."""
    scored, score = ledger.scored_KRT.numpy(), ledger.score_KRT.numpy()
    measured = np.flatnonzero(scored.sum(axis=(0, 1)) > 0)
    later = measured[len(measured) // 2 :]
    scored, score = scored[..., later], score[..., later]
    pull_T = np.abs(score).sum(axis=(0, 1)) / np.maximum(1.0, scored.sum(axis=(0, 1)))
    value_KR, error_KR = _ratio(score, scored * pull_T)
    current_K, current_error_K = _ratio(score.sum(axis=1), scored.sum(axis=1) * pull_T)
    worth, error = _worth_of_repetition(scored, score)
    discount = fit_discount(np.arange(1, value_KR.shape[1], dtype=np.float64), worth, error)
    return Values(value_KR, error_KR, current_K, current_error_K, discount)


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
