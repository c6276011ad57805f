"""Line charts as SVG, without a plotting library."""

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 460, 70, 250, 40, 50
# The colour-blind-safe palette of Okabe and Ito; further lines repeat the colours, dashed.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MAX_NAMED = 20
N_TICKS = 5


def line_chart(title: str, x_name: str, y_name: str, lines: Mapping[str, Points], limit: float | None = None) -> str:
    """One line per name; only the first `MAX_NAMED` are labelled.

    Args:
        limit: a horizontal reference line, such as a threshold.
    """
    points = [point for line in lines.values() for point in line]
    if not points:
        text = f'<text y="20">{escape(title)}: no data</text>'
        return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="40">{text}</svg>\n'
    xs, ys = [x for x, _ in points], [y for _, y in points] + ([] if limit is None else [limit])
    x_ticks, y_ticks = _ticks(xs), _ticks(ys)
    (x_low, x_high), (y_low, y_high) = (x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1])

    def x_at(x: float) -> float:
        return LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y_at(y: float) -> float:
        return HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}</text>',
        f'<text x="{(WIDTH - RIGHT + LEFT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_name)}</text>',
        f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>',
    ]
    for y in y_ticks:
        parts += [
            f'<path d="M{LEFT} {y_at(y):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>',
            f'<text x="{LEFT - 6}" y="{y_at(y) + 4:.1f}" text-anchor="end">{y:.6g}</text>',
        ]
    parts += [
        f'<text x="{x_at(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:.6g}</text>' for x in x_ticks
    ]
    if limit is not None:
        parts.append(f'<path d="M{LEFT} {y_at(limit):.1f}H{WIDTH - RIGHT}" stroke="black" stroke-dasharray="2 4"/>')
    for index, (name, line) in enumerate(lines.items()):
        colour, dash = COLOURS[index % len(COLOURS)], "6 3" if index // len(COLOURS) % 2 else "none"
        path = "L".join(f"{x_at(x):.1f} {y_at(y):.1f}" for x, y in line)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dash}"/>')
        if index < MAX_NAMED:
            at = TOP + 18 * index
            parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{at + 4}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def round_step(low: float, high: float, n: int) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten of which `n` steps reach from `low` to `high`."""
    raw = (high - low) / n
    magnitude = 10.0 ** math.floor(math.log10(raw))
    return next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * 0.999)


def _ticks(values: Sequence[float]) -> list[float]:
    """Round values, about `N_TICKS`, from below the lowest value to above all."""
    low, high = min(values), max(values)
    if high == low:
        low, high = low - 0.5, high + 0.5
    step = round_step(low, high, N_TICKS)
    return [step * i for i in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]
