from xml.etree import ElementTree

from training.utility.line_chart import MAX_NAMED, line_chart

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
