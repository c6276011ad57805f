"""Dates of an English text in any form: "July 4, 1776", "4 July 1776", 1776-07-04; also years, decades, centuries.

A date is the period of time it names. A less exact date is supported by a more exact one within it, never the other
way round. "3/4/2020" is in March or in April, by region; another date of the text may show which.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fidelity.facts.reading.measures.reader import unit_after
from fidelity.facts.reading.notation.roman import roman_value

_MONTHS = {
    name: number
    for number, names in enumerate(
        "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sept sep|october oct"
        "|november nov|december dec".split("|"),
        start=1,
    )
    for name in names.split()
}
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?:1\d{3}|20\d{2})"
_DECADE = r"(?:1\d{2}0|20\d0)"
_ERA = r"(?:\s*(?-i:(?P<era{n}>B\.?C\.?(?:E\.?)?|bce?|A\.?D\.?|C\.?E\.?))(?!\w))"
_ORDINAL_CENTURIES = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth twenty-first"
).split()
_DECADES = {
    name: 10 * number
    for number, name in enumerate("twenties thirties forties fifties sixties seventies eighties nineties".split(), 2)
}
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_CENTURIES = {word: number for number, word in enumerate([*_TEENS, "twenty"], 10)}
_ONES = {word: number for number, word in enumerate("one two three four five six seven eight nine".split(), 1)}
_TENS = {
    word: 10 * number for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_YEARS_OF_CENTURY = _ONES | _TENS | {word: number for number, word in enumerate(_TEENS, 10)}
_PATTERN = re.compile(
    rf"""
      (?P<iso>\b(?P<iso_y>\d{{4}})(?P<iso_s>[-/])(?P<iso_m>0[1-9]|1[0-2])(?P=iso_s)(?P<iso_d>0[1-9]|[12]\d|3[01])(?=\b|T\d))
    | (?P<mdy>\b(?P<mdy_m>{_MONTH})\s+(?:the\s+)?(?P<mdy_d>{_DAY})(?:\s*[-–—]\s*(?P<mdy_u>{_DAY})
        |\s+(?:to|through|until|and)\s+(?P<mdy_v>{_DAY})(?=\s*,?\s+{_YEAR}))?
        (?:\s*,?\s+(?:of\s+)?(?P<mdy_y>{_YEAR}))?\b(?!,\d))
    | (?P<dmy>\b(?:the\s+)?(?:(?P<dmy_u>{_DAY})(?:\s*[-–—]\s*|\s+(?:to|through|until|and)\s+))?(?P<dmy_d>{_DAY})
        (?:\s+of)?[\s-]+(?P<dmy_m>{_MONTH})(?:\s*,?[\s-]+(?P<dmy_y>{_YEAR}))?(?![\w]))
    | (?P<number_my>(?<![\w/.,-])(?P<n_m>0?[1-9]|1[0-2])/(?P<n_y>{_YEAR})(?![\w/-]|[.,]\d))
    | (?P<my>\b(?P<my_m>{_MONTH})\s*,?\s+(?:of\s+)?(?P<my_y>{_YEAR})\b)
    | (?P<slash>(?<![\w/.-])(?P<s_a>0?[1-9]|[12]\d|3[01])(?P<s_s>[/.-])(?P<s_b>0?[1-9]|[12]\d|3[01])(?P=s_s)
        (?P<s_y>{_YEAR}|(?<=/)\d\d)(?![\w/-]|\.\d))
    | (?P<spelled>\b(?P<sp_c>{"|".join(_CENTURIES)})[-\s](?:
        (?P<sp_d>{"|".join(_DECADES)})
        |(?:oh?[-\s](?P<sp_o>{"|".join(_ONES)})|(?P<sp_t>{"|".join(_TENS)})(?:[-\s](?P<sp_u>{"|".join(_ONES)}))?
        |(?P<sp_n>{"|".join(_TEENS)}))(?![-\s](?:hundred|thousand|million|billion|percent|per\scent)|-\w))\b)
    | (?P<decade>\b(?:the\s+)?(?:(?:early|mid|late)[-\s])?(?P<dec_y>{_DECADE})\s?['’]?s\b)
    | (?P<short_decade>(?<!\w)['’](?P<sd>[2-9]0)s\b)
    | (?P<named_decade>\bthe\s+(?:(?:early|mid|late)[-\s])?(?:Roaring\s+)?(?P<nd>{"|".join(_DECADES)})\b)
    | (?P<century>\b(?:(?P<c_n>\d{{1,2}})(?:st|nd|rd|th)|(?P<c_w>{"|".join(_ORDINAL_CENTURIES)})
        |(?-i:(?P<c_r>[IVX]{{1,5}})))
        [-\s]+(?:century\b|c\.){_ERA.format(n=1)}?)
    | (?P<hundreds>\b(?P<h_y>[1-9]00)s{_ERA.format(n=3)})
    | (?P<the_year>\bthe\s+year\s+(?P<t_y>[1-9]\d{{0,2}})(?![\w%]|[.,]\d))
    | (?P<short_year>(?:(?<=\bin\s)|(?<=\bof\s)|(?<=\bsince\s)|(?<=\buntil\s)|(?<=\bfrom\s))
        ['’](?P<s_yy>\d\d)(?![\w'’%]))
    | (?P<era_year>(?<![\w.,])(?P<e_y>\d{{1,4}}){_ERA.format(n=2)})
    | (?P<ad_year>\b(?-i:A\.?D\.?)\s+(?P<ad_y>\d{{1,4}})\b)
    | (?P<month>\b(?:in|of|since|until|by|during|throughout|last|next|early|late|mid|every|and|from|to)[-\s]+
        (?P<m_m>{_MONTH})
        (?![\w’']|(?-i:\s+[A-Z])|\.?\s*,?\s+(?:of\s+)?\d))
    | (?P<years>(?<![\w$€£¥.,/#:-])(?P<y_a>{_YEAR})\s?[-–—/]\s?(?P<y_b>{_YEAR}|\d\d)(?![\w%]|[.,:]\d))
    | (?P<year>(?:\bFY\s?|(?<![\w$€£¥.,/#^{{\\-]))(?P<y>{_YEAR})(?![\w%]|[.,:/]\d|\s?[-–]\s?\d{{5}}|\s?%))
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A number before a plural counts something: "1500 people". The words in _NOT_COUNTED are exceptions.
_COUNTED = re.compile(r"\s+(?:[a-z]+\s+)?(?P<noun>[a-z]+s|people|men|women|children|percent|km|kg|m|ft|per)\b")
_NOT_COUNTED = frozenset(
    "as was is has his its this was us perhaps always sometimes afterwards thus towards series census congress news"
    " elections olympics games saw includes marks brings".split()
)


@dataclass(frozen=True, slots=True)
class Date:
    """A period of time: days `first` to `last`, numbered year · 372 + month · 31 + day; `yearly`: in any year."""

    first: int
    last: int
    start: int
    end: int
    yearly: bool = False
    swapped: int | None = None  # the day if its day and month are the other way round

    @property
    def year(self) -> int | None:
        """The year, if the date has one."""
        return None if self.yearly else self.first // 372


def english_dates(text: str) -> list[Date]:
    """The dates of an English text, in order."""
    found: list[Date] = []
    matches = list(_PATTERN.finditer(text))
    is_day_first = _day_first(matches)
    for match in matches:
        found.extend(_read(match, is_day_first))
    return found


def _day_first(matches: Iterable[re.Match[str]]) -> bool | None:
    """Whether numeric dates of a text have the day first; None if no date shows it, or they contradict each other."""
    orders = {
        int(match.group("s_a")) > 12
        for match in matches
        if match.group("slash") and max(int(match.group("s_a")), int(match.group("s_b"))) > 12
    }
    return orders.pop() if len(orders) == 1 else None


def _read(match: re.Match[str], is_day_first: bool | None) -> Iterable[Date]:
    kind = match.lastgroup
    kind = next(name for name in _KINDS if match.group(name))
    group, start, end = match.group, match.start(), match.end()
    if kind == "iso":
        yield _day(int(group("iso_y")), int(group("iso_m")), int(group("iso_d")), start, end)
    elif kind in ("mdy", "dmy"):
        month, day, year = _month(group(f"{kind}_m")), _number(group(f"{kind}_d")), group(f"{kind}_y")
        # "may 5 people": an uncapitalized month is usually a verb.
        if group(f"{kind}_m")[0].isupper():
            until = group(f"{kind}_u") or (group("mdy_v") if kind == "mdy" else None)
            for each in (until, day) if kind == "dmy" else (day, until):
                if each:
                    yield _day(int(year) if year else None, month, _number(str(each)), start, end)
    elif kind == "number_my":
        yield _months(int(group("n_y")), int(group("n_m")), start, end)
    elif kind == "my":
        if group("my_m")[0].isupper():
            yield _months(int(group("my_y")), _month(group("my_m")), start, end)
        else:
            yield _years(int(group("my_y")), int(group("my_y")), match.start("my_y"), end)
    elif kind == "slash":
        year = int(group("s_y"))
        year += 0 if year > 99 else 1900 if year >= _PIVOT else 2000
        # Dots are German or Swiss: the day is first.
        is_day_first = True if group("s_s") == "." else is_day_first
        yield from numeric_date(int(group("s_a")), int(group("s_b")), year, is_day_first, start, end)
    elif kind == "spelled":
        yield from _spelled_year(match)
    elif kind == "decade":
        year = int(group("dec_y"))
        yield _years(year, year + (99 if year % 100 == 0 else 9), start, end)
    elif kind == "short_decade":
        yield _years(1900 + int(group("sd")), 1909 + int(group("sd")), start, end)
    elif kind == "named_decade":
        yield _years(1900 + _DECADES[group("nd").lower()], 1909 + _DECADES[group("nd").lower()], start, end)
    elif kind == "century":
        number = int(group("c_n") or 0)
        if group("c_w"):
            number = _ORDINAL_CENTURIES.index(group("c_w").lower()) + 1
        elif group("c_r"):
            number = roman_value(group("c_r")) or 0
        if not number:
            return
        first, last = 100 * (number - 1), 100 * number - 1
        before_christ = (group("era1") or "").upper().startswith("B")
        yield _years(-last - 1, -first, start, end) if before_christ else _years(first, last, start, end)
    elif kind == "hundreds":
        first, last = int(group("h_y")), int(group("h_y")) + 99
        yield (
            _years(-last - 1, -first, start, end)
            if group("era3").upper().startswith("B")
            else _years(first, last, start, end)
        )
    elif kind == "the_year":
        yield _years(int(group("t_y")), int(group("t_y")), start, end)
    elif kind == "short_year":
        yield _years(1900 + int(group("s_yy")), 1900 + int(group("s_yy")), start, end)
    elif kind == "era_year":
        year = int(group("e_y")) * (-1 if group("era2").upper().startswith("B") else 1)
        yield _years(year, year, start, end)
    elif kind == "ad_year":
        yield _years(int(group("ad_y")), int(group("ad_y")), start, end)
    elif kind == "month":
        if group("m_m")[0].isupper():
            month = _month(group("m_m"))
            yield Date((month - 1) * 31, (month - 1) * 31 + 30, match.start("m_m"), end, yearly=True)
    elif kind == "years":
        a, b = int(group("y_a")), int(group("y_b"))
        b = b if b > 99 else a // 100 * 100 + b + (100 if b < a % 100 and b < _NEXT_CENTURY else 0)
        if a < b:
            yield _years(a, a, match.start("y_a"), match.end("y_a"))
            yield _years(b, b, match.start("y_b"), match.end("y_b"))
        else:
            yield _years(a, a, match.start("y_a"), match.end("y_a"))
    else:
        counted = _COUNTED.match(match.string, end)
        if _after_preposition(match.string, start) or not (
            (counted and counted.group("noun") not in _NOT_COUNTED) or unit_after(match.string, end, in_digits=True)
        ):
            yield _years(int(group("y")), int(group("y")), start, end)


_KINDS = (
    "iso mdy dmy number_my my slash spelled decade short_decade named_decade century hundreds the_year short_year"
    " era_year ad_year month years year".split()
)
# Years of two digits from here on are of the twentieth century.
_PIVOT = 50
# "1999–03" ends in the next century, "1915–12" is something else.
_NEXT_CENTURY = 10
_PREPOSITION = re.compile(
    r"\b(?:in|since|until|by|from|of|after|before|during|around|circa|year|between|late|early)\s$", re.I
)


def numeric_date(a: int, b: int, year: int, is_day_first: bool | None, start: int, end: int) -> Iterable[Date]:
    """The date 3/4/2020; both readings if nothing shows whether the day is first."""
    if is_day_first is None and a <= 12 and b <= 12 and a != b:
        first = (year * 12 + a - 1) * 31 + b - 1
        yield Date(first, first, start, end, swapped=(year * 12 + b - 1) * 31 + a - 1)
        return
    day, month = (a, b) if is_day_first or a > 12 else (b, a)
    if month > 12:
        day, month = month, day
    if month <= 12:
        yield _day(year, month, day, start, end)


def _spelled_year(match: re.Match[str]) -> Iterable[Date]:
    """ "nineteen eighty-four", "twenty ten", "nineteen oh five", "the nineteen-sixties"."""
    group, start, end = match.group, match.start(), match.end()
    century = _CENTURIES[group("sp_c").lower()]
    if decade := group("sp_d"):
        first = 100 * century + _DECADES[decade.lower()]
        yield _years(first, first + 9, start, end)
        return
    # "at ten fifteen" is a time, "twenty fifteen minute walks" a product.
    if (century < 13 and not _after_preposition(match.string, start)) or unit_after(match.string, end, in_digits=False):
        return
    words = [word.lower() for word in (group("sp_o"), group("sp_t"), group("sp_u"), group("sp_n")) if word]
    year = 100 * century + sum(_YEARS_OF_CENTURY[word] for word in words)
    yield _years(year, year, start, end)


def _after_preposition(text: str, start: int) -> bool:
    return _PREPOSITION.search(text, max(0, start - 10), start) is not None


def _month(name: str) -> int:
    return _MONTHS[name.lower().rstrip(".")]


def _number(day: str) -> int:
    return int(re.sub(r"\D", "", day))


def _day(year: int | None, month: int, day: int, start: int, end: int) -> Date:
    at = (year or 0) * 372 + (month - 1) * 31 + day - 1
    return Date(at, at, start, end, yearly=year is None)


def _months(year: int, month: int, start: int, end: int) -> Date:
    at = year * 372 + (month - 1) * 31
    return Date(at, at + 30, start, end)


def _years(first: int, last: int, start: int, end: int) -> Date:
    return Date(first * 372, last * 372 + 371, start, end)


def inside(date: Date, other: Date) -> bool:
    """Whether `other` lies within `date`: "July 4, 1776" lies within "1776".

    Of two dates with two readings both must agree: 3/4/2020 is never 4/3/2020.
    """
    if date.swapped is not None and other.swapped is not None:
        return date.first == other.first
    if date.swapped is not None:
        return inside(_exact(date, date.first), other) or inside(_exact(date, date.swapped), other)
    if other.swapped is not None:
        return inside(date, _exact(other, other.first)) or inside(date, _exact(other, other.swapped))
    if date.yearly or other.yearly:
        # A day without a year: the other may have a year, but must have the day.
        first, last = other.first % 372, other.first % 372 + other.last - other.first
        if not date.yearly:
            return False
        return date.first % 372 <= first and last <= date.first % 372 + date.last - date.first
    return date.first <= other.first and other.last <= date.last


def _exact(date: Date, day: int) -> Date:
    return Date(day, day, date.start, date.end, date.yearly)
