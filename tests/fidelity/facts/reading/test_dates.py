"""A date is the same in any form; a more exact date supports a less exact one, not the other way round."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.facts.reading.dates import english_dates, inside
from fidelity.facts.reading.foreign_dates import foreign_dates

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


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("13/4/2020 and 3/4/2020", [(13, 4, 2020), (3, 4, 2020)]),
        ("4/13/2020 and 3/4/2020", [(13, 4, 2020), (4, 3, 2020)]),
        ("3.4.2020", [(3, 4, 2020)]),
        ("2020/04/03", [(3, 4, 2020)]),
        ("2020-04-03T10:00", [(3, 4, 2020)]),
        ("4/13/98", [(13, 4, 1998)]),
    ],
)
def test_the_order_of_day_and_month_is_that_of_the_text(text, days):
    found = [(date.first % 31 + 1, date.first % 372 // 31 + 1, date.first // 372) for date in english_dates(text)]
    assert found == days


def test_an_ambiguous_date_supports_both_readings_but_not_the_swapped_date():
    (date,) = english_dates("3/4/2020")
    for other in ("March 4, 2020", "April 3, 2020"):
        (exact,) = english_dates(other)
        assert inside(date, exact)
        assert inside(exact, date)
    (swapped,) = english_dates("4/3/2020")
    assert not inside(date, swapped)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("in nineteen eighty-four", 1984, 1984),
        ("twenty ten", 2010, 2010),
        ("nineteen oh five", 1905, 1905),
        ("the nineteen-sixties", 1960, 1969),
        ("in ten sixty-six", 1066, 1066),
    ],
)
def test_years_in_two_number_words(text, first, last):
    (date,) = english_dates(text)
    assert (date.first // 372, date.last // 372) == (first, last)


@pytest.mark.parametrize("text", ["twenty twenty-year-olds", "at ten fifteen", "twenty fifteen minute walks"])
def test_two_number_words_that_are_no_year(text):
    assert not english_dates(text)


@pytest.mark.parametrize(
    ("language", "text", "first", "last"),
    [
        ("de", "am 3. März 2020", (3, 3, 2020), (3, 3, 2020)),
        ("de", "am 12.03.2020", (12, 3, 2020), (12, 3, 2020)),
        ("es", "el 3 de marzo de 2020", (3, 3, 2020), (3, 3, 2020)),
        ("fr", "le 1er janvier 2020", (1, 1, 2020), (1, 1, 2020)),
        ("ru", "3 марта 2020 года", (3, 3, 2020), (3, 3, 2020)),
        ("zh", "2008年5月3日", (3, 5, 2008), (3, 5, 2008)),
        ("de", "im 19. Jahrhundert", (1, 1, 1800), (31, 12, 1899)),
        ("es", "en el siglo XIX", (1, 1, 1800), (31, 12, 1899)),
        ("de", "die 1990er Jahre", (1, 1, 1990), (31, 12, 1999)),
    ],
)
def test_dates_of_other_languages(language, text, first, last):
    (date,) = foreign_dates(text, language)
    assert [(day % 31 + 1, day % 372 // 31 + 1, day // 372) for day in (date.first, date.last)] == [first, last]


def test_the_possessive_of_a_year_is_no_decade():
    (year,) = english_dates("He starred in 1935's Mutiny on the Bounty.")
    (decade,) = english_dates("He starred in films of the 1930's.")
    assert (year.year, decade.last - decade.first) == (1935, 3719)
