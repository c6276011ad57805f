"""Every pair has every score; scores are neutral without facts and react to a changed fact."""

import pytest

from fidelity.facts.comparing.compare import FACT_SCORES, compare_facts

SOURCE = (
    "In 1776, John Adams and Thomas Jefferson met in Philadelphia. About 1.2 million people lived there. "
    "The price of bread rose by 5 percent before the war. It was not possible to leave the city."
)


@pytest.mark.parametrize("pair", [("", ""), ("a", ""), ("", "b"), ("$x$", "…"), ("词", "word"), ("1", "2\n\n3")])
def test_any_text_has_every_score(pair):
    assert tuple(compare_facts(*pair).scores) == FACT_SCORES


def test_a_text_is_faithful_to_itself():
    report = compare_facts(SOURCE, SOURCE)
    assert not report.discrepancies
    counts = ("unsupported", "missing", "exchanged", "mismatch", "errors")
    for name, score in report.scores.items():
        if name.endswith(counts):
            assert score == 0, name
        elif "support" in name or "coverage" in name:
            assert score == 1, name


@pytest.mark.parametrize(
    ("old", "new", "score", "kind"),
    [
        ("1776", "1778", "date_unsupported", "date"),
        ("1.2 million", "1.3 million", "number_unsupported", "number"),
        ("Philadelphia", "Boston", "name_unsupported", "name"),
        ("rose", "fell", "direction_mismatch", "direction"),
        ("before", "after", "direction_mismatch", "direction"),
        ("not possible", "possible", "negation_mismatch", "negation"),
        ("5 percent", "5 dollars", "unit_mismatch", "number"),
        ("John Adams and Thomas Jefferson", "John Jefferson and Thomas Adams", "name_recombined", "name"),
    ],
)
def test_a_changed_fact_is_detected_and_named(old, new, score, kind):
    report = compare_facts(SOURCE, SOURCE.replace(old, new))
    assert report.scores[score] >= 0.5
    assert kind in {discrepancy.kind for discrepancy in report.discrepancies}


def test_a_discrepancy_says_where():
    rewrite = SOURCE.replace("1776", "1778")
    (found,) = compare_facts(SOURCE, rewrite).discrepancies
    assert (found.problem, found.detail) == ("changed", "1778; the source has 1776")
    assert found.source is not None
    assert found.rewrite is not None
    assert SOURCE[slice(*found.source)] == "1776"
    assert rewrite[slice(*found.rewrite)] == "1778"


@pytest.mark.parametrize(("year", "is_said"), [("1943", True), ("1939", False), ("1944", False)])
def test_a_year_to_which_the_source_counts(year, is_said):
    source = "In 1941 Ann Bower won a prize, and two years later she moved to Ulm."
    scores = compare_facts(source, f"In 1941 Ann Bower won a prize. In {year} she moved to Ulm.").scores
    assert (scores["date_unsupported"] == 0) is is_said
    assert scores["number_missing"] == 0 or not is_said


YEARS = [
    ("He was born in 1941. He married two years later. He died in 1990.",
     "He was born in 1941. He married in 1943. He died in 1992.", "1992"),
    ("He left it 5 years before the war, in 1940.", "He left it 5 years before the war, in 1935.", "1935"),
    ("The firm was founded in 1941. It moved ten years later, in 1951.",
     "The firm was founded in 1941. It moved ten years later, in 1961.", "1961"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "rewrite", "wrong"), YEARS)
def test_a_year_to_which_the_source_does_not_count(source, rewrite, wrong):
    found = compare_facts(source, rewrite).discrepancies
    assert any(wrong in d.detail for d in found if d.problem != "missing")


def test_a_counted_year_that_the_source_also_names_is_kept():
    text = "The war ended in 1950. He moved two years later, in 1952."
    assert compare_facts(text, text).scores["date_missing"] == 0


def test_a_duration_is_not_what_lies_between_two_other_years():
    source = "The bridge was built in 1900 and rebuilt in 1910. The mayor served for 10 years in prison."
    assert compare_facts(source, source.replace("for 10 years ", "")).scores["number_missing"] == 1
