import math

import pytest
from utility_rows import utility_row, write_utility

from training.data.texts import Stream
from training.utility.repetition import RepetitionDiscount
from training.utility.worth import ACROSS_RUNS, pooled_over, read_utility

DISCOUNT = RepetitionDiscount(4.0, 3.0, 5.0, measured=True)


def test_the_worth_is_that_of_first_exposures_or_of_repetitions_without_their_discount(tmp_path) -> None:
    rows = [
        utility_row("faq", 1.5, 0.1, n_tokens=100),
        utility_row("faq", 0.9, 0.1, repetition=1, n_tokens=100),
        utility_row("notes", None, None, n_tokens=50),
        utility_row("notes", 0.9, 0.2, repetition=2, n_tokens=50),
        utility_row("once", 3.0, None),
        utility_row("original", 1.0, 0.1, recipe="original"),
    ]
    write_utility(tmp_path, rows, DISCOUNT)
    utility = read_utility(tmp_path)
    assert {stream.style for stream in utility.worths} == {"faq", "notes"}
    faq, notes = (utility.worths[Stream("a.jsonl", "rephrase", style)] for style in ("faq", "notes"))
    assert (faq.value, faq.n_tokens) == (1.5, 200)
    assert faq.error == pytest.approx(0.1 * ACROSS_RUNS)
    assert notes.value == pytest.approx(0.9 * math.exp(2 / 4))
    assert notes.error == pytest.approx(0.2 * ACROSS_RUNS * math.exp(2 / 4))
    assert utility.discount == DISCOUNT


def test_sources_are_pooled_by_their_tokens(tmp_path) -> None:
    rows = [utility_row("faq", 1.0, 0.1, n_tokens=300), utility_row("faq", 2.0, 0.3, source="b", n_tokens=100)]
    write_utility(tmp_path, rows)
    (pooled,) = read_utility(tmp_path).pooled(lambda stream: stream.style).values()
    assert (pooled.value, pooled.n_tokens) == (1.25, 400)
    assert pooled.error == pytest.approx(ACROSS_RUNS * math.hypot(0.75 * 0.1, 0.25 * 0.3))


def test_the_estimates_of_several_runs_are_weighted_by_their_errors(tmp_path) -> None:
    for run, rows in {
        "a": [utility_row("faq", 1.0, 0.1), utility_row("notes", 0.5, 0.1)],
        "b": [utility_row("faq", 2.0, 0.2, source="b"), utility_row("letter", 0.7, 0.1)],
    }.items():
        write_utility(tmp_path / run, rows)
    runs = [read_utility(tmp_path / run) for run in "ab"]
    pooled = pooled_over(runs, lambda stream: stream.style)
    assert (pooled["faq"].value, pooled["faq"].n_tokens) == (pytest.approx((4 * 1 + 1 * 2) / 5), 2000)
    assert pooled["faq"].error == pytest.approx(ACROSS_RUNS * (1 / 0.1**2 + 1 / 0.2**2) ** -0.5)
    assert pooled["notes"] == runs[0].pooled(lambda stream: stream.style)["notes"]
    assert pooled["letter"] == runs[1].pooled(lambda stream: stream.style)["letter"]
    # One run alone decides as it always has.
    assert pooled_over(runs[:1], lambda stream: stream.style) == runs[0].pooled(lambda stream: stream.style)


@pytest.mark.parametrize(("n_readings", "n_variants"), [(1.2, 1), (3.1, 1), (6.0, 2), (30.0, 10)])
def test_so_many_variants_that_none_is_read_until_it_is_worth_less_than_half(tmp_path, n_readings, n_variants) -> None:
    """With R* = 4, the third reading is the last worth half of the first: 1 + ⌊4 ln 2⌋."""
    write_utility(tmp_path, [utility_row("faq", 1.0, 0.1)], DISCOUNT, n_readings=n_readings)
    utility = read_utility(tmp_path)
    assert utility.n_readings == pytest.approx(n_readings)
    assert utility.n_variants == n_variants


def test_what_was_not_measured_is_said(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no utility\.parquet"):
        read_utility(tmp_path)
    write_utility(tmp_path, [utility_row("faq", None, None)])
    with pytest.raises(ValueError, match="did not measure what rewrites are worth"):
        read_utility(tmp_path)
