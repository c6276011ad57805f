import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from utility_rows import utility_row, write_utility

from training.utility.style_shares import MAX_CHANGE, bounded, style_shares, thompson_shares
from training.utility.worth import Worth, read_utility


def shares_of(*worths: Worth | None) -> list[float]:
    return [float(share) for share in thompson_shares(worths, np.random.default_rng(0))]


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=20))
def test_shares_are_bounded_and_sum_to_one(wins: list[float]) -> None:
    n = len(wins)
    shares = bounded(np.array(wins) / sum(wins))
    assert shares.sum() == pytest.approx(1)
    assert shares.min() >= 1 / (MAX_CHANGE * n) - 1e-6
    assert shares.max() <= min(1.0, MAX_CHANGE / n) + 1e-6
    assert (np.diff(shares[np.argsort(wins)]) > -1e-9).all()


def test_what_was_worth_most_is_drawn_most_and_everything_is_still_tried() -> None:
    shares = shares_of(*(Worth(value, 0.1, 1) for value in (2.0, 1.0, 1.0, 0.0, -1.0, 0.5, 0.4, 0.3)))
    assert shares[0] == pytest.approx(MAX_CHANGE / 8, abs=0.01)
    assert min(shares) > 1 / (MAX_CHANGE * 8) - 0.01


def test_what_is_uncertain_is_tried_more_than_what_is_known_to_be_worse() -> None:
    known, uncertain = shares_of(Worth(1.0, 0.01, 1), Worth(0.8, 0.01, 1), Worth(0.8, 1.0, 1))[1:]
    assert uncertain > 2 * known


def test_a_style_that_was_never_seen_is_as_promising_as_the_best() -> None:
    best, worse, unseen = shares_of(Worth(1.0, 0.2, 1), Worth(0.0, 0.2, 1), None)
    assert unseen == pytest.approx(best, abs=0.02)
    assert unseen > 2 * worse


def test_shares_depend_on_the_seed_alone_and_recipes_that_the_run_does_not_know_are_left_out(tmp_path) -> None:
    rows = [utility_row("faq", 1.4, 0.2), utility_row("notes", 1.0, 0.2, recipe="translate+learning_note")]
    write_utility(tmp_path, rows)
    utility = [read_utility(tmp_path)]
    styles = {"rephrase": ("faq", "letter"), "learning_note": ("notes",), "mine": ("x", "y")}
    found = style_shares(utility, styles, seed=3)
    assert found == style_shares(utility, styles, seed=3)
    assert found != style_shares(utility, styles, seed=4)
    assert {(row.recipe, row.style) for row in found} == {
        ("rephrase", "faq"),
        ("rephrase", "letter"),
        ("learning_note", "notes"),
    }
    assert next(row.share for row in found if row.recipe == "learning_note") == 1
