"""Reliability diagrams: how often is the answer yes where the probability says so?"""

import numpy as np

_SIZE, _MARGIN = 320, 44
N_BINS = 10


def reliability_bins(probabilities: np.ndarray, labels: np.ndarray) -> list[tuple[float, float, int]]:
    """For each non-empty bin of width 0.1: mean probability, share of rows with the label, number of rows."""
    bins = np.minimum((probabilities * N_BINS).astype(int), N_BINS - 1)
    return [
        (float(probabilities[bins == b].mean()), float(labels[bins == b].mean()), int((bins == b).sum()))
        for b in range(N_BINS)
        if (bins == b).any()
    ]


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The mean distance of the bins from the diagonal, weighted by rows (Guo et al., arXiv 1706.04599)."""
    bins = reliability_bins(probabilities, labels)
    return sum(abs(p - share) * n for p, share, n in bins) / len(labels)


def reliability_svg(probabilities: np.ndarray, labels: np.ndarray) -> str:
    """The diagram; the size of a dot grows with the number of its rows."""
    side = _SIZE - 2 * _MARGIN

    def at(x: float, y: float) -> tuple[float, float]:
        return _MARGIN + x * side, _SIZE - _MARGIN - y * side

    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect x="{x0}" y="{y1}" width="{side}" height="{side}" fill="none" stroke="#888"/>',
        f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="#bbb" stroke-dasharray="4"/>',
    ]
    for probability, share, n_rows in reliability_bins(probabilities, labels):
        x, y = at(probability, share)
        radius = 2 + 14 * (n_rows / len(labels)) ** 0.5
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#2a6f97" fill-opacity="0.7"/>')
    for value in (0, 0.5, 1):
        (x, _), (_, y) = at(value, 0), at(0, value)
        parts.append(f'<text x="{x}" y="{y0 + 14}" text-anchor="middle">{value:g}</text>')
        parts.append(f'<text x="{x0 - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    error = expected_calibration_error(probabilities, labels)
    parts += [
        f'<text x="{_SIZE / 2}" y="{_SIZE - 10}" text-anchor="middle">probability</text>',
        f'<text x="{_SIZE / 2}" y="20" text-anchor="middle">share of rows, {len(labels):,} in all; '
        f"expected calibration error {error:.3f}</text>",
        "</svg>",
    ]
    return "\n".join(parts)
