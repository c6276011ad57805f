"""The next mixture, from the measured value of tokens."""

import glob
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.mixture import Mixture, MixtureRule
from training.data.texts import Stream
from training.utility.repetition import RepetitionDiscount, max_useful_epochs

# A stream's share changes by at most this factor and never falls below the floor: one run is weak evidence, and a
# stream that is left out can never prove useful again.
MAX_CHANGE = 4.0
FLOOR = 0.01


def recommend_mixture(
    streams: Sequence[Stream],
    share_K: NDArray[np.float64],
    value_K: NDArray[np.float64],
    discount: RepetitionDiscount,
) -> Mixture:
    """Shares in proportion to share · value, and epoch caps from the repetition discount.

    Streams that this run has not seen, such as the files and styles of the next one, get their share of the tokens.

    Args:
        share_K: each stream's share of the tokens of the measured run.
        value_K: the value of each stream's tokens relative to the average pull; nan (unknown) counts as 1.
    """
    factor_K = np.clip(np.nan_to_num(value_K, nan=1.0), 1 / MAX_CHANGE, MAX_CHANGE)
    weight_K = share_K * factor_K
    weight_K = np.maximum(weight_K / weight_K.sum(), FLOOR / len(streams))
    weight_K = weight_K / weight_K.sum()
    cap = max_useful_epochs(discount)
    rules = [
        MixtureRule(
            **{name: glob.escape(value) for name, value in stream._asdict().items()},
            weight=round(float(weight), 6),
            max_epochs=cap,
        )
        for stream, weight in zip(streams, weight_K, strict=True)
    ]
    return Mixture((*rules, MixtureRule(weight=None, max_epochs=cap)))
