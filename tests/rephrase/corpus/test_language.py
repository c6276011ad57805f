"""A language is named only where a text is long enough to tell."""

import pytest

from rephrase.corpus.language import likely_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Compute $2^3$.", None),
        ("Evaluate $\\log_2 8$.", None),
        ("Solve for $x$: $x + 2 = 3$.", None),
        ("How many eggs does she sell at the market each day?", "en"),
        ("Wie viele Eier hat sie?", "de"),
        ("Cuantos huevos tiene ella?", "es"),
        ("計算せよ。", "ja"),
        ("Вычислите $2^3$.", "ru"),
    ],
)
def test_the_language_of_a_short_problem(text, language):
    assert likely_language(text) == language
