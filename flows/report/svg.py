"""Charts as inline SVG. Colours come from CSS classes, so that they follow the theme of the page.

Each function returns markup with all text escaped. Lengths are in view-box units.
"""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from flows.report.histogram import Histogram
from training.utility.line_chart import round_step

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 380, 42, 12, 26, 36
WIDE = 560
MAX_POINTS = 300
N_COLOURS = 7
MAX_NAME = 36

Points = Sequence[tuple[float, float]]
# A reference value and its label.
Limit = tuple[float, str]


class Scale:
    """A linear map from values to coordinates."""

    def __init__(self, low: float, high: float, at_low: float, at_high: float) -> None:
        self._low, self._at_low, self._factor = low, at_low, (at_high - at_low) / (high - low)

    def __call__(self, value: float) -> float:
        return self._at_low + (value - self._low) * self._factor


def histogram(found: Histogram, x_name: str, limits: Sequence[Limit] = (), *, height: int = 215) -> Markup:
    """Accepted values upwards and rejected ones downwards, so that the chart does not rely on colour."""
    bins = [*found.accepted, *found.rejected]
    if not bins:
        return empty(f"No data: {x_name}.")
    low, high = min(bins) * found.width, (max(bins) + 1) * found.width
    for value, _ in limits:
        low, high = min(low, value - found.width), max(high, value + found.width)
    up, down = max(found.accepted.values(), default=0), max(found.rejected.values(), default=0)
    plot_height = height - TOP - BOTTOM
    middle = TOP + plot_height * up / (up + down)
    x_of = Scale(low, high, LEFT, WIDTH - RIGHT)
    per_unit = plot_height / (up + down)
    parts = [*_x_axis(low, high, x_of, height, x_name)]
    for counts, sign, css in ((found.accepted, -1, "accepted"), (found.rejected, 1, "rejected")):
        for index, count in sorted(counts.items()):
            x, width = x_of(index * found.width), x_of((index + 1) * found.width) - x_of(index * found.width)
            size = max(1.0, count * per_unit)
            y = middle - size if sign < 0 else middle
            name = f"{index * found.width:.2f} to {(index + 1) * found.width:.2f}: {count:,} {css}"
            parts.append(
                Markup(
                    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
                ).format(f"fill-{css}", x + 0.5, y, max(1.0, width - 1), size, name)
            )
    parts.append(_line("axis", LEFT, middle, WIDTH - RIGHT, middle))
    for count, y, css in ((up, TOP, "accepted"), (down, height - BOTTOM, "rejected")):
        if count:
            shown = f"{count:,}"
            parts.append(_text(LEFT - 6, y + (8 if css == "accepted" else 0), shown, "tick", "end"))
    for value, name in limits:
        x = x_of(value)
        parts.append(_line("limit", x, TOP - 6, x, height - BOTTOM))
        anchor = "end" if x > WIDTH / 2 else "start"
        parts.append(_text(x + (-5 if anchor == "end" else 5), TOP - 10, name, "limit-name", anchor))
    total = f"{x_name}: {found.n_accepted:,} accepted, {found.n_rejected:,} rejected"
    return _svg(WIDTH, height, total, parts)


def line_chart(
    lines: Mapping[str, Points],
    x_name: str,
    y_name: str,
    *,
    limit: Limit | None = None,
    steps: bool = False,
    filled: bool = False,
    from_zero: bool = False,
    marks: Sequence[float] = (),
    width: int = WIDTH,
    height: int = 240,
) -> Markup:
    """One line for each name, with a legend below the chart when there are several.

    Args:
        steps: each value holds until the next point.
        marks: positions on the x axis to mark, such as pauses.
    """
    lines = {name: thinned([p for p in line if all(map(math.isfinite, p))]) for name, line in lines.items()}
    lines = {name: line for name, line in lines.items() if line}
    if not lines:
        return empty(f"No data: {y_name}.")
    xs = [x for line in lines.values() for x, _ in line]
    ys = [y for line in lines.values() for _, y in line]
    ys += [limit[0]] if limit else []
    ys += [0.0] if from_zero or filled else []
    if not any(ys):
        ys = [0.0, 1.0]  # all values are 0: keep the line at the bottom
    (x_low, x_high), (y_low, y_high) = _widened(xs), _widened(ys)
    x_of, y_of = Scale(x_low, x_high, LEFT, width - RIGHT), Scale(y_low, y_high, height - BOTTOM, TOP)
    parts = [
        *_x_axis(x_low, x_high, x_of, height, x_name, right=width - RIGHT),
        *_y_axis(y_low, y_high, y_of, y_name, width - RIGHT),
    ]
    for mark in marks:
        parts.append(_line("pause", x_of(mark), TOP, x_of(mark), height - BOTTOM))
    for index, line in enumerate(lines.values()):
        path = _path(line, x_of, y_of, steps)
        if filled:
            area = f"{path}L{x_of(line[-1][0]):.1f} {y_of(0):.1f}L{x_of(line[0][0]):.1f} {y_of(0):.1f}Z"
            parts.append(Markup('<path class="area" d="{}"/>').format(area))
        parts.append(Markup('<path class="line line-{}" d="{}"/>').format(index % N_COLOURS, path))
        if len(line) == 1:
            x, y = line[0]
            parts.append(
                Markup('<circle class="dot line-{}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(
                    index % N_COLOURS, x_of(x), y_of(y)
                )
            )
    if limit:
        y = y_of(limit[0])
        parts.append(_line("limit", LEFT, y, width - RIGHT, y))
        parts.append(_text(width - RIGHT - 2, y - 4, limit[1], "limit-name", "end"))
    chart = _svg(width, height, f"{y_name} over {x_name}: {', '.join(lines)}", parts)
    return chart + _legend(list(lines)) if len(lines) > 1 else chart


def bar(shares: Sequence[tuple[str, float]], name: str) -> Markup:
    """One horizontal stacked bar of (CSS class, share of the width) segments; shares sum to at most 1."""
    x, parts = 0.0, []
    for css, share in shares:
        parts.append(
            Markup('<rect class="fill-{}" x="{:.3f}" y="0" width="{:.3f}" height="10"/>').format(
                css, 100 * x, 100 * share
            )
        )
        x += share
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(name, Markup("").join(parts))


def whiskers(rows: Sequence[tuple[str, float, float | None]], x_name: str, zero: Limit | None = None) -> Markup:
    """A dot with an error bar for each (name, value, standard error)."""
    if not rows:
        return empty(f"No data: {x_name}.")
    left, row_height = 235, 24
    height = TOP + row_height * len(rows) + BOTTOM
    ends = [end for _, value, error in rows for end in (value - (error or 0), value + (error or 0))]
    low, high = _widened([*ends, *([zero[0]] if zero else [])])
    x_of = Scale(low, high, left, WIDE - RIGHT)
    parts = [*_x_axis(low, high, x_of, height, x_name, left, WIDE - RIGHT)]
    if zero:
        parts.append(_line("limit", x_of(zero[0]), TOP - 6, x_of(zero[0]), height - BOTTOM))
        parts.append(_text(x_of(zero[0]), TOP - 10, zero[1], "limit-name", "middle"))
    for index, (name, value, error) in enumerate(rows):
        y = TOP + row_height * (index + 0.5)
        shown = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
        label = Markup("<g><title>{}</title>{}</g>").format(name, _text(left - 10, y + 4, shown, "row-name", "end"))
        parts += [_line("grid", left, y, WIDE - RIGHT, y), label]
        if error:
            parts.append(_line("whisker", x_of(value - error), y, x_of(value + error), y))
        described = f"{name}: {value:.2f}" + (f" ± {error:.2f}" if error else "")
        parts.append(
            Markup('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}</title></circle>').format(
                x_of(value), y, described
            )
        )
    return _svg(WIDE, height, x_name, parts)


def empty(why: str) -> Markup:
    return Markup('<p class="nothing">{}</p>').format(why)


def thinned(line: Points, n: int = MAX_POINTS) -> Points:
    """About `n` points that keep the lowest and highest value of each interval, so that no peak is lost."""
    if len(line) <= n:
        return line
    size = math.ceil(len(line) / (n // 2))
    kept: list[tuple[float, float]] = []
    for start in range(0, len(line), size):
        stretch = range(start, min(len(line), start + size))
        ends = {min(stretch, key=lambda i: line[i][1]), max(stretch, key=lambda i: line[i][1])}
        kept += [line[i] for i in sorted(ends)]
    return kept


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """About `n` round values from `low` to `high`.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    step = round_step(low, high, n)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A tick label: 12,500 as 12.5k."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = 1e3 if sign == "k" else size
            return f"{value / scale:.4g}{sign}"
    return f"{value:,.6g}" if value else "0"


def _path(line: Points, x_of: Scale, y_of: Scale, steps: bool) -> str:
    path = f"M{x_of(line[0][0]):.1f} {y_of(line[0][1]):.1f}"
    for x, y in line[1:]:
        path += f"H{x_of(x):.1f}V{y_of(y):.1f}" if steps else f"L{x_of(x):.1f} {y_of(y):.1f}"
    return path


def _widened(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _x_axis(
    low: float, high: float, x_of: Scale, height: int, name: str, left: int = LEFT, right: int = WIDTH - RIGHT
) -> list[Markup]:
    bottom = height - BOTTOM
    parts = [_text((left + right) / 2, height - 4, name, "axis-name", "middle")]
    for tick in ticks(low, high):
        parts += [_line("tick-mark", x_of(tick), bottom, x_of(tick), bottom + 4)]
        parts += [_text(x_of(tick), bottom + 15, number(tick), "tick", "middle")]
    return parts


def _y_axis(low: float, high: float, y_of: Scale, name: str, right: int) -> list[Markup]:
    parts = [_text(4, 12, name, "axis-name", "start")]
    for tick in ticks(low, high, 4):
        parts += [_line("grid", LEFT, y_of(tick), right, y_of(tick))]
        parts += [_text(LEFT - 6, y_of(tick) + 4, number(tick), "tick", "end")]
    return parts


def _line(css: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<path class="{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(css, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, css: str, anchor: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(css, x, y, anchor, text)


def _svg(width: int, height: int, name: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, name, Markup("").join(parts)
    )


def _legend(names: Sequence[str]) -> Markup:
    entries = (
        Markup('<li><svg viewBox="0 0 18 8"><path class="line line-{}" d="M0 4H18"/></svg>{}</li>').format(
            index % N_COLOURS, escape(name)
        )
        for index, name in enumerate(names)
    )
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(entries))
