"""An answer about an example of the prompt is recognised, one in its manner of speaking is not."""

import pytest

from rephrase.prompting.echoes import find_example_echo
from rephrase.prompting.recipes import load_recipes

EXAMPLES = [
    (example.passage, example.rewrite)
    for examples in load_recipes()["rephrase"].for_model(1.5e9).examples.values()
    for example in examples
]
HUGUENOTS = "Renewed religious warfare in the 1620s caused the privileges of the Huguenots to be abolished."


@pytest.mark.parametrize(
    ("passage", "answer", "echo"),
    [
        (
            HUGUENOTS,
            "It was believed that the flood had destroyed the bridge, with two of nine arches.",
            "flood, bridge, arches",
        ),
        (HUGUENOTS, "Voles were fought over from a fence post.", "voles, fence"),
        ("Spring floods carried away two bridges.", "Each spring flood took a bridge away, two in all.", None),
        ("The flood of 1910 spared the bridge.", "In 1910 the bridge survived the flood.", None),
        (HUGUENOTS, "For a long time people believed that war had ended the privileges of the Huguenots.", None),
        (HUGUENOTS, "Unlike the majority of wars, this one of the 1620s cost the Huguenots their privileges.", None),
    ],
)
def test_an_answer_about_an_example(passage, answer, echo):
    assert find_example_echo(EXAMPLES, passage, answer) == echo


def test_no_example_echoes_another():
    for passage, rewrite in EXAMPLES:
        others = [example for example in EXAMPLES if example[0] != passage]
        assert find_example_echo(others, passage, rewrite) is None
