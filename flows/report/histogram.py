"""A histogram of values of unknown range: bins double in width whenever there are too many."""

from collections import Counter

import numpy as np

MAX_BINS = 64


class Histogram:
    """Counts of accepted and rejected values in the same bins; bin `i` holds values from `i * width` on.

    At most `MAX_BINS` bins are kept, whatever the number of values.
    """

    def __init__(self, width: float = 0.02) -> None:
        self.width = width
        self.accepted: Counter[int] = Counter()
        self.rejected: Counter[int] = Counter()

    def add(self, values: np.ndarray, accepted: bool) -> None:
        """Add values of shape (n,); non-finite ones are ignored."""
        values = values[np.isfinite(values)]
        if not len(values):
            return
        # 1e-9 absorbs rounding, so that 0.7 falls into the bin that begins at 0.7.
        low, high = np.floor(np.array([values.min(), values.max()]) / self.width + 1e-9)
        bins = [*self.accepted, *self.rejected, int(low), int(high)]
        while max(bins) - min(bins) >= MAX_BINS:
            self._widen()
            bins = [bin_ // 2 for bin_ in bins]
        indices, counts = np.unique(np.floor(values / self.width + 1e-9).astype(np.int64), return_counts=True)
        target = self.accepted if accepted else self.rejected
        for index, count in zip(indices.tolist(), counts.tolist(), strict=True):
            target[index] += count

    @property
    def n_accepted(self) -> int:
        return self.accepted.total()

    @property
    def n_rejected(self) -> int:
        return self.rejected.total()

    @property
    def separation(self) -> float | None:
        """Distance between the means of accepted and rejected values, in standard deviations of all values."""
        if not self.accepted or not self.rejected:
            return None
        (a, mean_a, square_a), (r, mean_r, square_r) = _moments(self.accepted), _moments(self.rejected)
        mean = (a * mean_a + r * mean_r) / (a + r)
        variance = (a * square_a + r * square_r) / (a + r) - mean**2
        return abs(mean_a - mean_r) / variance**0.5 if variance > 0 else None

    def _widen(self) -> None:
        self.width *= 2
        for counts in (self.accepted, self.rejected):
            merged: Counter[int] = Counter()
            for index, count in counts.items():
                merged[index // 2] += count
            counts.clear()
            counts.update(merged)


def _moments(counts: Counter[int]) -> tuple[int, float, float]:
    """Count, mean and mean square, in units of bins."""
    n = counts.total()
    return n, sum(i * c for i, c in counts.items()) / n, sum(i * i * c for i, c in counts.items()) / n
