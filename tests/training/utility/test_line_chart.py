from xml.etree import ElementTree

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.utility.line_chart import MAX_NAMED, _ticks, line_chart

SVG = "{http://www.w3.org/2000/svg}"


def test_points_lie_where_they_belong_and_names_are_escaped() -> None:
    root = ElementTree.fromstring(line_chart("t", "x", "y", {"a<b": [(0, 0), (10, 5)]}, limit=2.5))
    (line,) = [path for path in root.iter(f"{SVG}path") if path.get("stroke-width")]
    assert line.get("d") == "M70.0 410.0L650.0 40.0"
    (limit,) = [path for path in root.iter(f"{SVG}path") if path.get("stroke") == "black"]
    assert limit.get("d") == "M70 225.0H650"
    assert "a<b" in [text.text for text in root.iter(f"{SVG}text")]


def test_many_lines_single_values_and_nothing_at_all() -> None:
    many = {f"line {i}": [(0.0, 1.0)] for i in range(50)}
    root = ElementTree.fromstring(line_chart("t", "x", "y", many))
    assert sum((text.text or "").startswith("line") for text in root.iter(f"{SVG}text")) == MAX_NAMED
    assert "no data" in line_chart("t", "x", "y", {})


def test_ticks_are_round_and_hold_all_values() -> None:
    assert _ticks([2.344, 50.26]) == [0, 10, 20, 30, 40, 50, 60]
    assert _ticks([0, 6]) == [0, 2, 4, 6]
    assert _ticks([-0.013, 0.021]) == pytest.approx([-0.02, -0.01, 0, 0.01, 0.02, 0.03])
    assert _ticks([3.0]) == pytest.approx([2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6])


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9))
def test_any_values_lie_between_the_first_tick_and_the_last(values: list[float]) -> None:
    assume(len(set(values)) == 1 or max(values) - min(values) > 1e-9 * max(map(abs, values)))
    ticks = _ticks(values)
    slack = 1e-6 * (ticks[-1] - ticks[0])
    assert ticks[0] - slack <= min(values) <= max(values) <= ticks[-1] + slack
    assert 2 <= len(ticks) <= 9
