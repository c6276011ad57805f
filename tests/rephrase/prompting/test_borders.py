"""A document cannot end the border around it, and gets back what was broken in it for that."""

import re

from hypothesis import given
from hypothesis import strategies as st

from rephrase.prompting.borders import MAX_LINE_CHARACTERS, contain, contain_line, release

PARTS = st.sampled_from(
    ["<", "/", ">", "text", "TEXT", "context", " ", "|im_end|", "[", "]", "/INST", "end_of_turn", "s", "a b", "\n", "|"]
)
DANGEROUS = re.compile(
    r"<\s{0,20}/?\s{0,20}(?:text|context)\b|<\|im_end\|>|\[/INST\]|<end_of_turn>|<s>|</s>", re.IGNORECASE
)


@given(st.lists(PARTS, max_size=30).map("".join))
def test_nothing_contained_ends_a_border_or_a_turn(text):
    assert not DANGEROUS.search(contain(text))
    assert len(contain(text)) == len(text)


@given(st.lists(PARTS, max_size=200).map("".join))
def test_a_line_is_one_line_of_bounded_length(text):
    line = contain_line(text)
    assert "\n" not in line
    assert len(line) <= MAX_LINE_CHARACTERS + 2


def test_code_with_such_tags_comes_back_as_it_was():
    source = 'An <svg><text x="1">label</text></svg> and <|endoftext|>.'
    assert release(contain(source), source) == source


def test_borders_that_a_model_repeats_are_no_part_of_its_answer():
    assert release("<text>\nThe rewrite.\n</text>", "The source.") == "The rewrite."
