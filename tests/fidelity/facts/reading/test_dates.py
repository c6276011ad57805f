"""A date is the same in any form; a more exact date supports a less exact one, not the other way round."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.facts.reading.dates import english_dates, inside

FORMS = ("{0:%B} {1}, {2}", "{1} {0:%B} {2}", "the {1} of {0:%B}, {2}", "{2}-{0:%m}-{0:%d}", "{0:%b} {1}, {2}")


@given(st.dates(datetime.date(1000, 1, 1), datetime.date(2099, 12, 31)), st.sampled_from(FORMS), st.sampled_from(FORMS))
def test_a_day_in_any_form_is_the_same_day(day, form, other):
    (a,), (b,) = (english_dates("It was " + f.format(day, day.day, day.year) + ".") for f in (form, other))
    assert (a.first, a.last) == (b.first, b.last)
    assert a.first == a.last


@given(st.dates(datetime.date(1000, 1, 1), datetime.date(2099, 12, 31)), st.integers(1, 400))
def test_another_day_is_not_the_same(day, shift):
    if day.year + 2 > 2099:
        return
    other = day + datetime.timedelta(days=shift)
    (a,), (b,) = (english_dates(FORMS[0].format(d, d.day, d.year)) for d in (day, other))
    assert not inside(a, b)
    assert not inside(b, a)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("in 1776", "July 4, 1776"),
        ("July 1776", "4 July 1776"),
        ("the 1770s", "in 1776"),
        ("the 18th century", "in 1776"),
        ("the eighteenth century", "the 1770s"),
        ("on July 4", "July 4, 1776"),
        ("in July", "July 4, 1776"),
        ("the fifth century BC", "450 BC"),
        ("the sixties", "1963"),
    ],
)
def test_the_less_exact_date_contains_the_more_exact_one(less, more):
    (a,), (b,) = english_dates(less), english_dates(more)
    assert inside(a, b)
    assert not inside(b, a)


@pytest.mark.parametrize(
    ("text", "n_dates"),
    [
        ("1500 people came", 0),
        ("it costs $1990", 0),
        ("1,776 men", 0),
        ("he may 5 times", 0),
        ("the March on Washington", 0),
        ("5 ad campaigns", 0),
        ("1914-1918", 2),
        ("1914–18", 2),
        ("from 1914 to 1918", 2),
        ("AD 79", 1),
        ("in March they left", 1),
    ],
)
def test_what_is_a_date(text, n_dates):
    assert len(english_dates(text)) == n_dates
