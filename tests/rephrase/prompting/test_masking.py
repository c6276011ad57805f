"""Formulas come back unchanged, wherever the model moves their placeholders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rephrase.prompting.masking import PlaceholderError, mask

FORMULAS = [r"$x^2$", r"$$\int_0^1 f\,dx$$", r"\[a = b\]", r"\(c\)", r"\begin{align}a&=b\\c&=d\end{align}"]


@given(
    st.lists(st.one_of(st.sampled_from([*FORMULAS, " and ", "$5 ", "\n\n", "中文"]), st.text(max_size=5)), max_size=12)
)
def test_masking_and_restoring_gives_the_text(pieces):
    text = "".join(pieces)
    masked = mask(text)
    assert masked.restore(masked.text) == text


def test_placeholders_may_move():
    masked = mask("first $a$, then $b$")
    assert masked.text == "first ⟦1⟧, then ⟦2⟧"
    assert masked.restore("⟦ 2 ⟧ after ⟦1⟧ and ⟦1⟧ again") == "$b$ after $a$ and $a$ again"


@pytest.mark.parametrize(
    ("text", "message"), [("only ⟦1⟧", r"formula lost: \$b\$"), ("⟦1⟧ ⟦2⟧ ⟦3⟧", "⟦3⟧ has no formula")]
)
def test_lost_and_unknown_placeholders_are_named(text, message):
    with pytest.raises(PlaceholderError, match=message):
        mask("$a$ $b$").restore(text)


def test_a_text_that_already_has_placeholders_is_left_alone():
    masked = mask("a ⟦1⟧ of its own and $x$")
    assert masked.text == "a ⟦1⟧ of its own and $x$"
    assert masked.restore("⟦9⟧ anything") == "⟦9⟧ anything"
