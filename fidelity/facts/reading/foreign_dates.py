"""Dates in other languages than English: Babel knows their names of months and the order of day and month."""

import re
from collections.abc import Iterator
from functools import lru_cache

from babel import Locale, UnknownLocaleError

from fidelity.facts.reading.dates import Date, numeric_date
from fidelity.facts.reading.measures.foreign import foreign_unit_after
from fidelity.facts.reading.measures.reader import unit_after
from fidelity.facts.reading.notation.han import han_value
from fidelity.facts.reading.notation.roman import roman_value

_YEAR = r"(?:1\d{3}|20\d{2})"
# Of the languages that write no spaces between words, a date is digits and signs.
_SIGNS = re.compile(
    r"(?<!\d)(?:(?P<y>\d{4}|[〇零一二三四五六七八九]{4})\s?[年년](?:度)?\s?)?(?P<m>0?[1-9]|1[0-2]|十[一二]?|[一二三四五六七八九])\s?"
    r"[月월]\s?(?:(?P<d>[12]\d|3[01]|0?[1-9]|三十一?|二?十[一二三四五六七八九]?|[一二三四五六七八九])\s?[日号號일])?"
    r"|(?<!\d)(?P<only>\d{4}|[〇零一二三四五六七八九]{4})\s?[年년](?P<decade>代|대)?|(?<!\d)(?P<century>\d{1,2})\s?(?:世纪|世紀|세기)"
)
_CENTURY_WORDS = {
    "de": "Jahrhunderts?|Jh\\.",
    "fr": "siècles?",
    "es": "siglos?",
    "pt": "séculos?",
    "it": "secol[oi]",
    "nl": "eeuw",
    "ru": "век\\w*",
    "uk": "столітт\\w*",
    "pl": "wiek\\w*",
    "sv": "århundradet",
}


def foreign_dates(text: str, language: str) -> list[Date]:
    """The dates of a text, in order."""
    if language in ("zh", "ja", "ko", "yue"):
        return list(_by_signs(text))
    pattern, months, is_day_first = _pattern(language)
    return [date for match in pattern.finditer(text) for date in _read(match, months, is_day_first, language)]


def _by_signs(text: str) -> Iterator[Date]:
    for match in _SIGNS.finditer(text):
        start, end = match.span()
        if match.group("m"):
            year, month, day = (_whole(match.group(name)) for name in ("y", "m", "d"))
            if month is None or (year is None and day is None):
                continue  # 5月 may be five months
            yield _date(year, month, day, start, end)
        elif match.group("only"):
            first = _whole(match.group("only")) or 0
            yield _years(first, first + (9 if match.group("decade") else 0), start, end)
        else:
            number = int(match.group("century"))
            yield _years(100 * (number - 1), 100 * number - 1, start, end)


def _whole(written: str | None) -> int | None:
    return int(han_value(written) or 0) if written else None


def _read(match: re.Match[str], months: dict[str, int], is_day_first: bool, language: str) -> Iterator[Date]:
    group, start, end = match.group, match.start(), match.end()
    if group("iso_y"):
        yield _date(int(group("iso_y")), int(group("iso_m")), int(group("iso_d")), start, end)
    elif group("n_y"):
        yield from numeric_date(int(group("n_a")), int(group("n_b")), int(group("n_y")), is_day_first, start, end)
    elif month := group("dm_m") or group("md_m") or group("my_m"):
        day, year = group("dm_d") or group("md_d"), group("dm_y") or group("md_y") or group("my_y")
        yield _date(int(year) if year else None, months[month.lower()], int(day) if day else None, start, end)
    elif written := group("c_n") or group("c_r") or group("c_q"):
        number = int(written) if written.isdecimal() else roman_value(written)
        if number:
            yield _years(100 * (number - 1), 100 * number - 1, start, end)
    else:
        year = int(group("year"))
        if group("decade"):
            yield _years(year, year + 9, start, end)
        else:
            after = foreign_unit_after(match.string, end, language)
            after = after or unit_after(match.string, end, in_digits=True, words=False)
            # "в 1971 году", not "2000 km".
            if not after or after[0].name == "yr":
                yield _years(year, year, start, end)


def _date(year: int | None, month: int, day: int | None, start: int, end: int) -> Date:
    first = (year or 0) * 372 + (month - 1) * 31
    span = (first, first + 30) if day is None else (first + day - 1, first + day - 1)
    return Date(*span, start, end, yearly=year is None)


def _years(first: int, last: int, start: int, end: int) -> Date:
    return Date(first * 372, last * 372 + 371, start, end)


@lru_cache(maxsize=64)
def _pattern(language: str) -> tuple[re.Pattern[str], dict[str, int], bool]:
    """The pattern of all dates, the names of months, and whether the day is before the month."""
    months: dict[str, int] = {}
    is_day_first = True
    try:
        locale = Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        pass
    else:
        short = str(locale.date_formats["short"].pattern).lower()
        is_day_first = "m" not in short or short.find("d") < short.find("m")
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in locale.months[context][width].items():
                    if len(name.rstrip(".")) > 2 and not name.isdecimal():
                        months.setdefault(name.lower(), number)
                        months.setdefault(name.lower().rstrip("."), number)
    month = "|".join(re.escape(name) for name in sorted(months, key=len, reverse=True)) or r"(?!)"
    day = r"(?:[12]\d|3[01]|0?[1-9])"
    of = r"(?:de[l]?\s|d['’])?"
    century = _CENTURY_WORDS.get(language, "(?!)")
    return (
        re.compile(
            rf"(?<![\w.-])(?P<iso_y>\d{{4}})-(?P<iso_m>0[1-9]|1[0-2])-(?P<iso_d>0[1-9]|[12]\d|3[01])(?!\d)"
            rf"|(?<![\w/.-])(?P<n_a>{day})(?P<n_s>[./-])\s?(?P<n_b>{day})(?P=n_s)\s?(?P<n_y>{_YEAR})(?![\w/-]|[.,]\d)"
            rf"|(?<!\w)(?P<dm_d>{day})(?:\.|º|°|er|-го|-е)?\s?{of}(?P<dm_m>{month})(?!\w){_with_year('dm_y')}?"
            rf"|(?<!\w)(?P<md_m>{month})\s(?P<md_d>{day})(?!\d),?\s(?P<md_y>{_YEAR})(?!\d)"
            rf"|(?<!\w)(?P<my_m>{month})(?!\w){_with_year('my_y')}"
            rf"|(?<!\w)(?P<c_n>\d{{1,2}})(?:\.|e|º|-[а-я]{{1,2}})?\s(?:{century})(?!\w)"
            rf"|(?<!\w)(?:{century})\s(?-i:(?P<c_r>[IVX]{{1,5}}|[12]?\d(?!\d)))(?!\w)"
            rf"|(?<!\w)(?-i:(?P<c_q>[IVX]{{1,5}}))(?:e|ᵉ|ème|er)?\s(?:{century})(?!\w)"
            rf"|(?<![\w$€£¥.,/#^{{\\-])(?P<year>{_YEAR})(?:(?P<decade>er|ern|s|-х|-ых|-tal)(?!\w)|(?![\w%]|[.,:/]\d|\s?%))",
            re.IGNORECASE,
        ),
        months,
        is_day_first,
    )


def _with_year(name: str) -> str:
    return rf"(?:,?\s(?:de[l]?\s)?(?P<{name}>{_YEAR})(?!\d))"
