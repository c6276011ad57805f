"""Names in Markdown are shown as they are."""

import pytest
from markdown_it import MarkdownIt

from rephrase.markdown import inline


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a|b"),
        ("ends in \\", "ends in \\"),
        ("a\\|b", "a\\|b"),
        ("<!-- note\nand a line", "&lt;!-- note and a line"),
        ("&#124;", "&amp;#124;"),
    ],
)
def test_a_cell_holds_one_name_whatever_its_characters(text, shown):
    table = f"| name | n |\n|---|---|\n| {inline(text)} | 1 |\n"
    rendered = MarkdownIt("commonmark").enable("table").render(table)
    assert f"<td>{shown}</td>\n<td>1</td>" in rendered
