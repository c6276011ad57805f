"""Numbers of an English text, in digits or words, with sign, scale and unit.

"1.2 million" is 1,200,000; "a dozen" is 12; "half" is 0.5; "5 degrees below zero" is −5. A number often used in passing
("one", "first", "twice") is weak: it may support a number of the other text but needs no support itself.
"""

import dataclasses
import re
from bisect import bisect_left
from collections.abc import Sequence

from fidelity.facts.reading.measures.measure import Unit
from fidelity.facts.reading.measures.reader import (
    currency_before,
    inches_after,
    unit_after,
    unit_of_which,
    with_denominators,
)
from fidelity.facts.reading.measures.units import by_symbol
from fidelity.facts.reading.notation.clock import POINTED, half_after, hours, named_time, past_the_hour
from fidelity.facts.reading.notation.digits import MAX_DIGITS as MAX_DIGITS
from fidelity.facts.reading.notation.digits import Written, minus_before, read_digits, significant_digits
from fidelity.facts.reading.notation.formats import NumberFormat, format_of
from fidelity.facts.reading.notation.number import Number, mixed_units
from fidelity.facts.reading.notation.roman import roman_numeral
from fidelity.facts.reading.notation.spelled import STARTS, Spelled, read_spelled, scaled, with_half, written_scale
from fidelity.facts.reading.words import Span, Word

_ATTACHED_SCALES = {
    "k": 1e3,
    "bn": 1e9,
    "mn": 1e6,
    "tn": 1e12,
    "b": 1e9,
    "mm": 1e6,
    "m": 1e6,
    "t": 1e12,
    "cr": 1e7,
    "mln": 1e6,
    "mld": 1e9,
}
_WITHOUT_CURRENCY = frozenset({"M", "K", "k", "bn", "B", "mn", "tn", "Bn", "Mn"})
_SPACED_SCALE = re.compile(r"[ \u00a0](?P<scale>bn|mn|mln|mld|tn|cr|[mMBT](?=[\s,.;)]))(?!\w)")
_APPROXIMATORS = frozenset(
    "about around approximately roughly nearly almost over under circa ca some more than least most up estimated"
    " estimates close to c approaching exceeding".split()
)
_RANGE = re.compile(r"\s*(?:-|–|—|to|and|or)\s*[$€£¥]?\s*")
_BELOW_ZERO = re.compile(r"(?:\sdegrees?)?\sbelow\s(?:zero|freezing|0\b)", re.I)
# Below something else, the number may be written with a minus or without one.
_BELOW = re.compile(r"\sbelow\s", re.I)
_LOSS = re.compile(
    r"\b(?:loss(?:es)?|lost|deficits?|fell|fall(?:s|ing|en)?|drop(?:s|ped|ping)?|declin\w+|decreas\w+|down|shrank|reduc\w+)"
    r"(?:\s(?:of|by))?(?:\s(?:about|around|nearly|roughly|over|some))?\s$",
    re.I,
)
_FEET_AND_INCHES = re.compile(r"(?P<feet>\d{1,2})\s?['’′]\s?(?P<inches>\d{1,2})\s?(?:[\"”″]|''|’’)(?!\w)")
_WORLD_WAR = re.compile(r"WW\s?(?:(?P<roman>I{1,3})|(?P<digit>[12]))(?!\w)")
# Around the difference of two temperatures.
_BY = re.compile(
    r"\b(?:by|(?:rise|fall|drop|increase|decrease|difference|change|warming|cooling|range|gain|loss)\sof)\s(?:\w+\s)?$",
    re.IGNORECASE,
)
_THAN = re.compile(r"\s(?:warmer|colder|cooler|hotter|higher|lower|above|below|more|less|of\swarming)\b")
# A number, and how many of them: "nine out of ten".
_OUT_OF = re.compile(r"\s(?:in|out\sof|of|out\sof\severy|in\severy|of\severy)\s")
_WHOLES = frozenset((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 50, 100, 1000))


def english_numbers(text: str, words: Sequence[Word], claimed: Sequence[Span] = ()) -> list[Number]:
    """The numbers of an English text, in order.

    `claimed` are the sorted spans of dates and formulas; digits inside them are not numbers of their own.
    """
    starts = [start for start, _ in claimed]
    format_ = format_of(text, "en")
    found: list[Number] = []
    at = 0
    while at < len(words):
        word = words[at]
        before = bisect_left(starts, word.end) - 1
        if before >= 0 and claimed[before][1] > word.start:
            at += 1
            continue
        stop = _reader(text, words, at, found, format_)
        at = max(stop, at + 1)
    return _proportions(text, [_temperature(text, number) for number in mixed_units(text, _ranges(text, found))])


def _reader(text: str, words: Sequence[Word], at: int, found: list[Number], format_: NumberFormat | None) -> int:
    """Read the number that starts with this word, if any; return the index of the word after it."""
    word = words[at]
    if times := list(past_the_hour(text, words, at)):
        found.extend(times)
        return _index(words, at, times[0].end)
    if time := named_time(words, at):
        found.append(time)
        return at + 1
    if match := _WORLD_WAR.match(text, word.start):
        number = len(match.group("roman")) if match.group("roman") else int(match.group("digit"))
        found.append(Number((float(number),), None, *match.span()))
        return _index(words, at, match.end())
    if word.lower in STARTS:
        spelled = read_spelled(text, words, at)
        return _in_words(text, words, at, spelled, found) if spelled else at + 1
    if word.text.isupper() and (value := roman_numeral(words, at)):
        found.append(
            Number(
                (float(value),),
                None,
                word.start,
                word.end,
                is_weak=(value == 1 and not words[at - 1].is_capitalized) or word.text in ("V", "X"),
            )
        )
        return at + 1
    if word.text[0].isnumeric():
        return _in_digits(text, words, at, found, format_)
    return at + 1


def _in_words(text: str, words: Sequence[Word], at: int, spelled: Spelled, found: list[Number]) -> int:
    value, start, end, stop = spelled.value, words[at].start, spelled.end, spelled.stop
    unit = None
    is_article = words[at].lower in ("a", "an")
    if value in range(1, 13) and not is_article and (half := half_after(text, end)):
        found.append(Number(hours(value, half[0]), half[0], start, half[1]))
        return _index(words, stop, half[1])
    if 0 < value < 1 and (after := unit_of_which(text, end)):
        unit, end = after
    elif not spelled.is_complete and (after := unit_after(text, end, in_digits=False)):
        unit, end = after
        value, end, stop = with_half(text, words, value, end, _index(words, stop, end))
    negative, start = _negative_word(text, words, at, start, found)
    values, end = _signed((value,), unit, negative, text, start, end, is_weak=spelled.is_weak)
    found.append(
        Number(
            values,
            unit,
            start,
            end,
            # "a year" is said more often than counted.
            spelled.is_weak and (unit is None or (is_article and value <= 1)),
            _approximate(words, at),
            1 if value % 1 else significant_digits(f"{value:.0f}"),
            spelled.is_ordinal,
            spelled.parts,
        )
    )
    return _index(words, stop, end)


def _in_digits(text: str, words: Sequence[Word], at: int, found: list[Number], format_: NumberFormat | None) -> int:
    word = words[at]
    currency = currency_before(text, word.start)
    before = text[word.start - 1] if word.start else " "
    # x_2, H2O, \alpha1, #3: not numbers of the text.
    if (
        (before.isalpha() and not currency)
        or before in "_^\\{#"
        or (before == "-" and text[max(0, word.start - 2)] == "{")
    ):
        return at + 1
    if match := _FEET_AND_INCHES.match(text, word.start):
        inches = 12 * int(match.group("feet")) + int(match.group("inches"))
        found.append(Number((float(inches),), by_symbol("in."), *match.span(), n_digits=3))
        return _index(words, at + 1, match.end())
    if (match := POINTED.match(text, word.start)) and (half := half_after(text, match.end())):
        found.append(Number(hours(float(match.group("hour")), half[0]), half[0], word.start, match.end("hour")))
        found.append(Number((float(match.group("minute")),), None, match.start("minute"), half[1]))
        return _index(words, at + 1, half[1])
    written, first = _written(text, word.start, format_)
    if written is None or not (written.values or written.parts):
        return at + 1
    values, end, stop = written.values, written.end, _index(words, at + 1, written.end)
    suffix = words[stop] if stop < len(words) and words[stop].start == end else None
    half = half_after(text, end) if (written.parts or values)[0] in range(1, 13) or not values else None
    if not values:
        _append_parts(text, written, half[0] if half else None, found)
        return _index(words, stop, half[1]) if half else stop
    if half:
        found.append(Number(hours(values[0], half[0]), half[0], first, half[1]))
        return _index(words, stop, half[1])
    sign = minus_before(text, first)
    first = first if sign is None else sign
    if text[first - 1 : first] == "(" and text[end : end + 1] == ")" and currency_before(text, first - 1):
        sign, first, end = first, first - 1, end + 1  # $(4.5) of accounts is negative
    currency = currency_before(text, first)
    unit = currency[0] if currency else None
    if currency:
        first = currency[1]
        if sign is None and (sign := minus_before(text, first)) is not None:
            first = sign
    is_ordinal = False
    if suffix and suffix.lower in ("st", "nd", "rd", "th") and values[0].is_integer():
        is_ordinal, end, stop = True, suffix.end, stop + 1
    elif suffix and suffix.lower in _ATTACHED_SCALES and (currency or suffix.text in _WITHOUT_CURRENCY):
        values, end, stop = (values[-1] * _ATTACHED_SCALES[suffix.lower],), suffix.end, stop + 1
    elif (match := _SPACED_SCALE.match(text, end)) and (currency or len(match.group("scale")) > 1):
        values, end = (values[0] * _ATTACHED_SCALES[match.group("scale").lower()],), match.end()
        stop = _index(words, stop, end)
    if len(values) == 1:
        # "3.5 million", "2 hundred thousand", "2 and a half".
        value, end, stop = with_half(text, words, *scaled(text, words, values[0], end, stop))
        values = (value,)
    if unit:
        unit, end = with_denominators(text, unit, end)
    elif not is_ordinal:
        after = unit_after(text, end, in_digits=True)
        if not after and found and found[-1].unit and found[-1].unit.name == "ft" and first - found[-1].end <= 2:
            after = inches_after(text, end)
        if after and before == "°":
            after = None  # the minutes of 36°30′
        if not after and 0 < values[0] < 1:
            after = unit_of_which(text, end)
        unit, end = after or (None, end)
        if unit:
            value, end, stop = with_half(text, words, values[0], end, _index(words, stop, end))
            values = (value, *values[1:])
    negative, first = (True, first) if sign is not None else _negative_word(text, words, at, first, found)
    values, end = _signed(values, unit, negative, text, first, end)
    if currency and len(values) == 1 and text[first - 1 : first] == "(" and text[end : end + 1] == ")":
        values = (*values, -values[0])  # in parentheses, or negative
    weak = (values[0] in (0, 1) and unit is None) or (is_ordinal and values[0] == 1)
    is_approximate = _approximate(words, at)
    found.append(Number(values, unit, first, end, weak, is_approximate, written.n_digits, is_ordinal, written.parts))
    return _index(words, stop, end)


def _written(text: str, start: int, format_: NumberFormat | None) -> tuple[Written | None, int]:
    """The digits that start here, and their start: ".75" has no zero before its point."""
    is_share = start > 0 and text[start - 1] == "." and not text[max(0, start - 2) : start - 1].strip(" $€£¥(~\n\t-−")
    if is_share and (match := re.compile(rf"\d{{1,{MAX_DIGITS}}}(?![\w.]*\d)").match(text, start)):
        digits = match.group()
        return Written((float(f"0.{digits}"),), match.end(), significant_digits(digits)), start - 1
    return read_digits(text, start, format_, lists=True), start


def _append_parts(text: str, written: Written, half: Unit | None, found: list[Number]) -> None:
    """The numbers of a list, a time or a ratio."""
    for i, (value, place) in enumerate(written.parts):
        if text[slice(*place)] != "00":  # of 1:00
            is_hour = half is not None and i == 0 and 1 <= value <= 12
            found.append(
                Number(hours(value, half) if half and is_hour else (value,), half if is_hour else None, *place)
            )


def _negative_word(text: str, words: Sequence[Word], at: int, start: int, found: Sequence[Number]) -> tuple[bool, int]:
    """Whether "minus" or "negative" is right before the number, and where the number then starts."""
    word = words[at - 1] if at else None
    if word is None or word.lower not in ("minus", "negative") or not 0 < start - word.end <= 2:
        return False, start
    if word.lower == "minus" and found and not text[found[-1].end : word.start].strip():
        return False, start  # "ten minus five"
    return True, word.start


def _signed(
    values: tuple[float, ...],
    unit: Unit | None,
    negative: bool,
    text: str,
    start: int,
    end: int,
    *,
    is_weak: bool = False,
) -> tuple[tuple[float, ...], int]:
    """The values with the sign that the number or what follows gives them, and the new end."""
    if match := _BELOW_ZERO.match(text, end):
        return tuple(-abs(value) for value in values), match.end()
    if negative:
        return tuple(-value for value in values), end
    if not is_weak and (_LOSS.search(text, max(0, start - 30), start) or (unit and _BELOW.match(text, end))):
        return (*values, *(-value for value in values)), end
    return values, end


def _ranges(text: str, found: list[Number]) -> list[Number]:
    """In "5 to 10 million" and "5-10 %", apply the scale and the unit to both numbers."""
    for i in range(len(found) - 1):
        low, high = found[i], found[i + 1]
        if _is_shortened(text, low, high):  # "210–15"
            step = 10 ** len(text[high.start : high.end])
            found[i + 1] = dataclasses.replace(high, values=(low.value // step * step + high.value, high.value))
            continue
        scale = written_scale(text[high.start : high.end])
        if (low.unit == high.unit and scale == 1) or low.value >= high.value:
            continue
        if not _RANGE.fullmatch(text, low.end, high.start):
            continue
        values = low.values
        if (
            scale > 1
            and low.value < 1000
            and low.value * scale <= high.value
            and written_scale(text[low.start : low.end]) == 1
        ):
            values = tuple(value * scale for value in values)
        found[i] = dataclasses.replace(low, values=values, unit=low.unit or high.unit)
        found[i + 1] = dataclasses.replace(high, unit=high.unit or low.unit)
    return found


def _is_shortened(text: str, low: Number, high: Number) -> bool:
    """Whether a range ends with the last digits of its second number."""
    digits = text[low.start : low.end], text[high.start : high.end]
    return (
        text[low.end : high.start] in ("-", "–", "—")
        and all(each.isdecimal() for each in digits)
        and len(digits[0]) > len(digits[1])
        and digits[0][-len(digits[1]) :] < digits[1]
    )


def _proportions(text: str, found: list[Number]) -> list[Number]:
    """ "One in five" as 0.2, with its two numbers as another reading."""
    result: list[Number] = []
    for number in found:
        before = result[-1] if result else None
        if (
            before
            and not (before.unit or number.unit or before.is_ordinal or number.is_ordinal)
            and 0 < before.value < number.value
            and before.value.is_integer()
            and number.value in _WHOLES
            and _OUT_OF.fullmatch(text, before.end, number.start)
        ):
            parts = tuple((each.value, (each.start, each.end)) for each in (before, number))
            value = before.value / number.value
            result[-1] = Number((value,), None, before.start, number.end, n_digits=number.n_digits, parts=parts)
        else:
            result.append(number)
    return result


def _temperature(text: str, number: Number) -> Number:
    """The number, told whether it may be the difference of two temperatures."""
    if number.unit is None or not any(measure.zero for measure in number.unit.measures):
        return number
    is_difference = _BY.search(text, max(0, number.start - 40), number.start) or _THAN.match(text, number.end)
    return dataclasses.replace(number, is_difference=is_difference is not None)


def _index(words: Sequence[Word], at: int, end: int) -> int:
    """The index of the first word from `at` on that starts at `end` or after it."""
    while at < len(words) and words[at].start < end:
        at += 1
    return at


def _approximate(words: Sequence[Word], at: int) -> bool:
    return any(word.lower in _APPROXIMATORS for word in words[max(0, at - 2) : at])
