"""Numbers of a text in any language: digits of any script, decimal commas, number words, 万 and 亿.

Numbers in digits are read by the language's format: German 2.000 is two thousand. Only where the language does not
tell, a number keeps both readings.
"""

import dataclasses
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from fidelity.facts.reading.measures.foreign import foreign_unit_after
from fidelity.facts.reading.measures.reader import currency_before, unit_after
from fidelity.facts.reading.notation.digits import Written, digits_end, minus_before, read_digits, starts_of_digits
from fidelity.facts.reading.notation.formats import NumberFormat, format_of
from fidelity.facts.reading.notation.han import han_numbers
from fidelity.facts.reading.notation.number import Number, mixed_units, numbers_of, scale_range
from fidelity.facts.reading.notation.roman import roman_value
from fidelity.facts.reading.notation.word_tables import TOKEN, WordTable, fraction_words, number_words, sign_words
from fidelity.facts.reading.words import Span

# Languages that write no spaces between words.
_UNSPACED = frozenset({"th", "lo", "km", "my"})
_HAN = frozenset({"zh", "ja", "yue"})
# Languages whose number words may have endings: "তিনটি" is "তিন" with a counter.
_ENDINGS = frozenset({"bn", "te", "kn", "hi", "fi", "hu", "tr", "ko"})
_LONGEST_ENDING = 6
_MULTIPLIERS = frozenset({12.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e12})
# "15.30 Uhr" is a time.
_HOUR = re.compile(r"(?P<hour>[012]?\d)\.(?P<minute>[0-5]\d)(?=\sUhr\b)")
# Between tens and units: Swahili, Spanish and Portuguese, French, Italian, Turkish, Arabic and Persian.
_CONNECTORS = frozenset({"", "na", "y", "e", "et", "ve", "و"})
# Also everyday words: French "neuf" is nine and new, Bengali "নয়" nine and "is not", Italian "sei" six and "you are".
_AMBIGUOUS = frozenset({"neuf", "নয়", "sei"})


def foreign_numbers(text: str, language: str, claimed: Sequence[Span] = ()) -> list[Number]:
    """The numbers of a text, in order. `language` is an ISO 639-1 code; of an unknown language only digits are read.

    `claimed` are the sorted spans of dates: digits inside them are not numbers of their own.
    """
    language = base_language(language)
    if language in _HAN:
        found = han_numbers(text, language)
    else:
        table = number_words(language)
        spelled = _unspaced(text, table) if language in _UNSPACED else _in_words(text, table, language in _ENDINGS)
        in_digits = _in_digits(text, format_of(text, language))
        found = _composed(text, sorted([*in_digits, *spelled], key=lambda number: number.start), language)
    found = sorted([*found, *_roman(text)], key=lambda number: number.start)
    starts = [start for start, _ in claimed]
    free = []
    for number in found:
        before = bisect_left(starts, number.end) - 1
        if before < 0 or claimed[before][1] <= number.start:
            free.append(_with_sign(text, _with_unit(text, number, language), language))
    return mixed_units(text, free)


def _roman(text: str) -> Iterator[Number]:
    """Roman numerals ("siglo XIX", "Ludwig XIV."): weak, since languages write different things with them."""
    for match in re.finditer(r"(?<![\w.'’-])[IVX]{2,7}(?!\w)", text):
        if value := roman_value(match.group()):
            yield Number((float(value),), None, *match.span(), is_weak=True)


def base_language(language: str) -> str:
    """The language without its region: "pt" for "pt-BR"."""
    return re.split("[-_]", language.lower())[0]


def _in_digits(text: str, format_: NumberFormat | None) -> list[Number]:
    found: list[Number] = []
    end = 0
    for start in starts_of_digits(text):
        if start < end or text[start - 1 : start] in ("^", "_", "\\"):
            continue
        read, first = _written(text, start, format_)
        end = read.end if read else digits_end(text, start)
        if read:
            found.extend(numbers_of(text, first, read))
    return found


def _written(text: str, start: int, format_: NumberFormat | None) -> tuple[Written | None, int]:
    """The digits that start here, and their start: ",5" has no zero before its comma."""
    if match := _HOUR.match(text, start):
        places = match.span("hour"), match.span("minute")
        return Written((), match.end(), 2, tuple((float(text[slice(*place)]), place) for place in places)), start
    if start and text[start - 1] in ".," and not re.compile(r"[\w.,]").match(text, max(0, start - 2)) and start > 1:
        match = re.compile(r"\d{1,20}(?![.,]?\d)").match(text, start)
        if match:
            return Written((float(f"0.{match.group()}"),), match.end(), 1), start - 1
    return read_digits(text, start, format_), start


def _with_unit(text: str, number: Number, language: str) -> Number:
    """The number with its currency sign and its unit: symbols are those of all languages."""
    if number.unit:
        return number
    is_digits = text[number.end - 1].isnumeric() or text[number.start].isnumeric()
    if is_digits and (currency := currency_before(text, number.start)):
        return dataclasses.replace(number, unit=currency[0], start=currency[1])
    after = foreign_unit_after(text, number.end, language)
    if after is None and is_digits:
        after = unit_after(text, number.end, in_digits=True, words=False)
    return dataclasses.replace(number, unit=after[0], end=after[1]) if after else number


def _with_sign(text: str, number: Number, language: str) -> Number:
    """The number with its minus, in a sign or in words."""
    before, after = sign_words(language)
    start = minus_before(text, number.start) if text[number.start].isnumeric() or number.unit else None
    end = number.end
    if start is None and before and (match := before.search(text, max(0, number.start - 12), number.start)):
        start = match.start()
    elif start is None and after and (match := after.match(text, number.end)):
        start, end = number.start, match.end()
    if start is None:
        return number
    return dataclasses.replace(number, values=tuple(-value for value in number.values), start=start, end=end)


def _in_words(text: str, table: WordTable, with_endings: bool) -> list[Number]:
    tokens = [(match.group().lower(), match.start(), match.end()) for match in TOKEN.finditer(text)]
    found: list[Number] = []
    at = 0
    while at < len(tokens):
        word, start, end = tokens[at]
        value, n_words = None, 1
        for phrase, phrase_value in table.phrases.get(word, ()):
            if tuple(token for token, _, _ in tokens[at : at + len(phrase)]) == phrase:
                value, n_words = phrase_value, len(phrase)
                break
        if value is None:
            value = _by_beginning(word, table, with_endings)
        if value is None and table.thousand in word[1:]:
            value = _compound(word, table)
        if value is None and word.endswith("einhalb") and (whole := table.single(word.removesuffix("einhalb"))):
            value = whole + 0.5
        if value is not None:
            end = tokens[at + n_words - 1][2]
            weak = value <= 1 or word in _AMBIGUOUS
            found.append(Number((value,), None, start, end, weak))
        at += n_words
    return found


def _by_beginning(word: str, table: WordTable, with_endings: bool) -> float | None:
    for beginning, value in table.beginnings:
        if word.startswith(beginning):
            return value
    if with_endings:
        for length in range(len(word) - 1, max(2, len(word) - _LONGEST_ENDING) - 1, -1):
            for phrase, value in table.phrases.get(word[:length], ()):
                if len(phrase) == 1 and value > 1:
                    return value
    return None


def _compound(word: str, table: WordTable) -> float | None:
    """ "zweitausenddreihundert" in languages that write a number up to a million as one word."""
    before, _, after = word.partition(table.thousand)
    thousands, rest = table.single(before), table.single(after.removeprefix("und")) if after else 0.0
    return None if thousands is None or rest is None or rest >= 1000 else 1000 * thousands + rest


def _unspaced(text: str, table: WordTable) -> list[Number]:
    """Number words in text without spaces, longest match first."""
    words = {phrase[0]: value for phrases in table.phrases.values() for phrase, value in phrases if len(phrase) == 1}
    if not words:
        return []
    pattern = re.compile("|".join(sorted(map(re.escape, words), key=len, reverse=True)))
    return [
        Number((words[match.group()],), None, match.start(), match.end(), words[match.group()] <= 1)
        for match in pattern.finditer(text)
    ]


def _composed(text: str, found: list[Number], language: str) -> list[Number]:
    """ "2 mil" and "три тысячи" multiply; "mil doscientos" and "arobaini na tano" add; "trois quarts" divides."""
    half, parts = fraction_words(language)
    result: list[Number] = []
    for number in found:
        if result and number.start < result[-1].end:
            continue
        before = result[-1] if result else None
        gap = text[before.end : number.start].strip(" \u00a0-").lower() if before else None
        if before is None or before.unit or gap is None or text[number.start].isdigit() or number.value < 1:
            result.append(_with_fraction(text, number, half, parts))
            continue
        low, high = before.value, number.value
        if not gap and high in _MULTIPLIERS and 0 < low < high and (high > 100 or low < 10):
            values = tuple(value * high for value in before.values)
            result[-1] = Number(values, None, before.start, number.end, n_digits=before.n_digits)
            scale_range(text, result, high)
        elif gap in _CONNECTORS and not text[before.start].isdigit() and _adds(low, high, said=bool(gap)):
            result[-1] = Number((low + high,), None, before.start, number.end)
        else:
            result.append(number)
        result[-1] = _with_fraction(text, result[-1], half, parts)
    return result


def _with_fraction(text: str, number: Number, half: re.Pattern[str] | None, parts: dict[str, int]) -> Number:
    """ "tres y medio", "tres millones y medio", "drei Viertel"."""
    if number.unit or not number.value.is_integer() or number.value < 1:
        return number
    if half and (match := half.match(text, number.end)):
        step = next((each for each in (1e12, 1e9, 1e6, 1e3) if number.value % each == 0), 1.0)
        return Number((number.value + step / 2,), None, number.start, match.end())
    match = (
        TOKEN.match(text, number.end + 1) if number.value < 10 and text[number.end : number.end + 1] == " " else None
    )
    below = parts.get(match.group().lower(), 0) if match else 0
    if match is None or number.value >= below:
        return number
    return Number((number.value / below,), None, number.start, match.end(), is_weak=number.value == 1)


def _adds(high: float, low: float, *, said: bool) -> bool:
    """Whether the lower number fills the zeros of the higher one; ten needs a connector (kumi na mbili)."""
    return any(low < zeros <= high and high % zeros == 0 for zeros in (10, 100, 1000)) and high >= (10 if said else 20)
