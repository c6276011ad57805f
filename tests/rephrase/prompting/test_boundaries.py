"""Repetition at a chunk boundary is removed, and a rewrite that starts over is detected."""

import pytest

from rephrase.prompting.boundaries import find_restart, remove_overlap

WRITTEN = "The treaty was signed in Paris. It ended a long war between the two powers."


@pytest.mark.parametrize(
    ("rewrite", "expected", "n_removed"),
    [
        ("It ended a long war between the two powers. Trade grew.", "Trade grew.", 1),
        ("It ended a long war between two powers. Trade grew.", "Trade grew.", 1),
        ("It ended a long war between the two powers.", "It ended a long war between the two powers.", 0),
        ("Trade grew. It ended a long war between the two powers.", None, 0),
        ("Trade grew between the powers.", None, 0),
        ("", None, 0),
    ],
)
def test_repeated_sentences_at_the_beginning_are_removed(rewrite, expected, n_removed):
    assert remove_overlap(WRITTEN, rewrite) == (rewrite if expected is None else expected, n_removed)


def test_nothing_is_repeated_before_anything_is_written():
    assert remove_overlap("", "Trade grew.") == ("Trade grew.", 0)


@pytest.mark.parametrize(
    "rewrite",
    [
        "Introduction: the treaty",
        "In this article we look at the treaty.",
        "Welcome back to our lecture.",
        "Today, we will talk about war.",
        "Once upon a time there was a war.",
        "The treaty was signed in Paris again.",
    ],
)
def test_a_restart_is_detected(rewrite):
    assert find_restart(WRITTEN, rewrite)
    assert find_restart("", rewrite) is None


@pytest.mark.parametrize(
    "rewrite",
    ["Trade grew. In this article of the treaty it says so.", "The introduction of coins helped.", "", "Yes."],
)
def test_a_continuation_is_not_a_restart(rewrite):
    assert find_restart(WRITTEN, rewrite) is None
