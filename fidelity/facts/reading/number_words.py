"""Numbers of a text in any language: digits of any script, decimal commas, number words, 万 and 亿.

num2words knows the number words of about forty languages; `number_words.toml` adds inflected forms and Swahili. An
ambiguous number (1.200) keeps both readings. Dates are not recognised: a year is a number here.
"""

import dataclasses
import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fidelity.facts.reading.measures.foreign import foreign_unit_after
from fidelity.facts.reading.measures.reader import currency_before, unit_after
from fidelity.facts.reading.measures.units import by_symbol
from fidelity.facts.reading.notation.digits import (
    NumberFormat,
    Written,
    format_of,
    minus_before,
    read_digits,
    starts_of_digits,
)
from fidelity.facts.reading.notation.roman import roman_value
from fidelity.facts.reading.numbers import Number, mixed_units
from fidelity.facts.reading.words import Span

# Languages that write no spaces between words.
_UNSPACED = frozenset({"th", "lo", "km", "my"})
_HAN = frozenset({"zh", "ja", "yue"})
# Languages whose number words may have endings: "তিনটি" is "তিন" with a counter.
_ENDINGS = frozenset({"bn", "te", "kn", "hi", "fi", "hu", "tr", "ko"})
_LONGEST_ENDING = 6
_MULTIPLIERS = frozenset({12.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e12})
# Between tens and units: Swahili, Spanish and Portuguese, French, Italian, Turkish, Arabic and Persian.
_CONNECTORS = frozenset({"", "na", "y", "e", "et", "ve", "و"})
# Between the ends of a range: "5 bis 10 Millionen".
_RANGES = frozenset({"-", "–", "—", "~", "bis", "a", "à", "до", "至", "到", "から", "tot", "til", "do", "ile"})
# Also everyday words: French "neuf" is nine and new, Bengali "নয়" nine and "is not", Italian "sei" six and "you are".
_AMBIGUOUS = frozenset({"neuf", "নয়", "sei"})

_MARKS = "\u0300-\u036f\u0900-\u0903\u093a-\u094f\u0980-\u0983\u09bc-\u09d7\u0a00-\u0d83\u0e31-\u0e4e"
_TOKEN = re.compile(rf"[^\W\d_](?:[^\W\d_]|[{_MARKS}\u200c\u200d'])*")
_HAN_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2, "俩": 2}
_HAN_TENS = {"十": 10, "百": 100, "千": 1000}
_HAN_SCALES = {"打": 12, "万": 1e4, "萬": 1e4, "亿": 1e8, "億": 1e8, "兆": 1e12}
_HAN_SCALE = re.compile(r"\s*(?P<scale>[十百千]?[万萬亿億兆]|[百千打])")
_HAN_NUMBER = re.compile(
    r"百分之(?P<percent>[零〇一二三四五六七八九十百两\d.]+)"
    r"|(?P<below>[一二三四五六七八九十百两\d]+)\s*分[之の]\s*(?P<above>[一二三四五六七八九十\d]+)"
    r"|(?P<digits>[\d½⅓⅔¼¾⅕⅛⅜⅝⅞])"
    r"|(?P<han>[零〇一二三四五六七八九两兩俩十百千万萬亿億]+)"
)


@dataclass(frozen=True, slots=True)
class _Words:
    """Number words of one language: phrases by their first word, longest first, and prefixes of words."""

    phrases: dict[str, list[tuple[tuple[str, ...], float]]]
    beginnings: tuple[tuple[str, float], ...]
    thousand: str = "\0"  # what "thousand" is inside a compound, if there are compounds

    def single(self, word: str) -> float | None:
        """The value of one word."""
        return next((value for phrase, value in self.phrases.get(word, ()) if len(phrase) == 1), None)


def foreign_numbers(text: str, language: str, claimed: Sequence[Span] = ()) -> list[Number]:
    """The numbers of a text, in order. `language` is an ISO 639-1 code; of an unknown language only digits are read.

    `claimed` are the sorted spans of dates: digits inside them are not numbers of their own.
    """
    language = base_language(language)
    if language in _HAN:
        found = _han_numbers(text, language)
    else:
        table = _number_words(language)
        spelled = _unspaced(text, table) if language in _UNSPACED else _in_words(text, table, language in _ENDINGS)
        in_digits = _in_digits(text, format_of(text, language))
        found = _composed(text, sorted([*in_digits, *spelled], key=lambda number: number.start))
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
        if read:
            end = read.end
            found.extend(_numbers(text, first, read))
    return found


def _written(text: str, start: int, format_: NumberFormat | None) -> tuple[Written | None, int]:
    """The digits that start here, and their start: ",5" has no zero before its comma."""
    if start and text[start - 1] in ".," and not re.compile(r"[\w.,]").match(text, max(0, start - 2)) and start > 1:
        match = re.compile(r"\d{1,20}(?![.,]?\d)").match(text, start)
        if match:
            return Written((float(f"0.{match.group()}"),), match.end(), 1), start - 1
    return read_digits(text, start, format_), start


def _numbers(text: str, start: int, read: Written) -> Iterator[Number]:
    """The number in digits, or those of a list, a time or a ratio."""
    if read.values:
        weak = read.values[0] in (0, 1)
        yield Number(read.values, None, start, read.end, weak, n_digits=read.n_digits, parts=read.parts)
        return
    for value, place in read.parts:
        if text[slice(*place)] != "00":  # of 16:00
            yield Number((value,), None, *place, is_weak=value in (0, 1))


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
    before, after = _sign_words(language)
    start = minus_before(text, number.start) if text[number.start].isnumeric() or number.unit else None
    end = number.end
    if start is None and before and (match := before.search(text, max(0, number.start - 12), number.start)):
        start = match.start()
    elif start is None and after and (match := after.match(text, number.end)):
        start, end = number.start, match.end()
    if start is None:
        return number
    return dataclasses.replace(number, values=tuple(-value for value in number.values), start=start, end=end)


@lru_cache(maxsize=64)
def _sign_words(language: str) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    """Words of a negative number before it and after it."""
    raw = _raw_table()
    before, after = raw["minus"].get(language), raw["below_zero"].get(language)
    boundary = "" if language in _HAN or language in _UNSPACED else r"(?<!\w)"
    return (
        re.compile(rf"{boundary}(?:{before})\s?$", re.IGNORECASE) if before else None,
        re.compile(rf"(?:\s\w+)?\s(?:{after})(?!\w)", re.IGNORECASE) if after else None,
    )


@lru_cache(maxsize=1)
def _raw_table() -> dict[str, dict[str, str]]:
    return tomllib.loads((Path(__file__).parent / "number_words.toml").read_text(encoding="utf-8"))


def _in_words(text: str, table: _Words, with_endings: bool) -> list[Number]:
    tokens = [(match.group().lower(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
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
        if value is not None:
            end = tokens[at + n_words - 1][2]
            weak = value <= 1 or word in _AMBIGUOUS
            found.append(Number((value,), None, start, end, weak))
        at += n_words
    return found


def _by_beginning(word: str, table: _Words, with_endings: bool) -> float | None:
    for beginning, value in table.beginnings:
        if word.startswith(beginning):
            return value
    if with_endings:
        for length in range(len(word) - 1, max(2, len(word) - _LONGEST_ENDING) - 1, -1):
            for phrase, value in table.phrases.get(word[:length], ()):
                if len(phrase) == 1 and value > 1:
                    return value
    return None


def _compound(word: str, table: _Words) -> float | None:
    """ "zweitausenddreihundert" in languages that write a number up to a million as one word."""
    before, _, after = word.partition(table.thousand)
    thousands, rest = table.single(before), table.single(after.removeprefix("und")) if after else 0.0
    return None if thousands is None or rest is None or rest >= 1000 else 1000 * thousands + rest


def _unspaced(text: str, table: _Words) -> list[Number]:
    """Number words in text without spaces, longest match first."""
    words = {phrase[0]: value for phrases in table.phrases.values() for phrase, value in phrases if len(phrase) == 1}
    if not words:
        return []
    pattern = re.compile("|".join(sorted(map(re.escape, words), key=len, reverse=True)))
    return [
        Number((words[match.group()],), None, match.start(), match.end(), words[match.group()] <= 1)
        for match in pattern.finditer(text)
    ]


def _composed(text: str, found: list[Number]) -> list[Number]:
    """ "2 mil" and "три тысячи" multiply; "mil doscientos" and "arobaini na tano" add."""
    result: list[Number] = []
    for number in found:
        before = result[-1] if result else None
        gap = text[before.end : number.start].strip(" \u00a0-").lower() if before else None
        if before is None or before.unit or gap is None or text[number.start].isdigit() or number.value < 1:
            result.append(number)
            continue
        low, high = before.value, number.value
        if not gap and high in _MULTIPLIERS and 0 < low < high and (high > 100 or low < 10):
            values = tuple(value * high for value in before.values)
            result[-1] = Number(values, None, before.start, number.end, n_digits=before.n_digits)
            _scale_range(text, result, high)
        elif gap in _CONNECTORS and not text[before.start].isdigit() and _adds(low, high, said=bool(gap)):
            result[-1] = Number((low + high,), None, before.start, number.end)
        else:
            result.append(number)
    return result


def _scale_range(text: str, result: list[Number], scale: float) -> None:
    """In "5 bis 10 Millionen" the scale is that of both numbers."""
    if len(result) < 2 or scale < 1000:
        return
    low, high = result[-2:]
    if text[low.end : high.start].strip(" \u00a0").lower() in _RANGES and low.value * scale <= high.value:
        result[-2] = dataclasses.replace(low, values=tuple(value * scale for value in low.values), is_weak=False)


def _adds(high: float, low: float, *, said: bool) -> bool:
    """Whether the lower number fills the zeros of the higher one; ten needs a connector (kumi na mbili)."""
    return any(low < zeros <= high and high % zeros == 0 for zeros in (10, 100, 1000)) and high >= (10 if said else 20)


def _han_numbers(text: str, language: str) -> list[Number]:
    """Chinese and Japanese: 16, 3万, 一百二十, 百分之五, 四分之一."""
    found: list[Number] = []
    format_ = format_of(text, language)
    end = 0
    while match := _HAN_NUMBER.search(text, end):
        start, end = match.span()
        if written := match.group("percent"):
            value = _han_value(written)
            if value is not None:
                found.append(Number((value,), by_symbol("%"), start, end))
        elif match.group("below"):
            below, above = _han_value(match.group("below")), _han_value(match.group("above"))
            if below and above:
                found.append(Number((above / below,), None, start, end, is_weak=True))
        elif match.group("digits"):
            read = read_digits(text, start, format_, lists=True)
            if read is None:  # a key, noise
                end = re.compile(r"[\d.,:/]+").match(text, start).end()  # type: ignore[union-attr]
                continue
            end = max(end, read.end)
            scale = _HAN_SCALE.match(text, end) if read.values else None
            if scale:
                factor, end = 1.0, scale.end()
                for char in scale.group("scale"):
                    factor *= _HAN_TENS.get(char) or _HAN_SCALES[char]
                found.append(Number((read.values[0] * factor,), None, start, end, n_digits=read.n_digits))
                _scale_range(text, found, factor)
            else:
                found.extend(_numbers(text, start, read))
        else:
            value = _han_value(match.group("han"))
            # A lone 千 is part of 千克, a lone 万 of many words; a lone 一 is "a".
            if value is not None and match.group("han") not in ("百", "千", "万", "萬", "亿", "億", "零"):
                found.append(Number((value,), None, start, end, is_weak=value <= 1))
    return [_with_tail(text, number) for number in found]


def _with_tail(text: str, number: Number) -> Number:
    """ "16个半" is sixteen and a half."""
    if text[number.end : number.end + 2].endswith("半") and number.unit is None:
        return Number((number.value, number.value + 0.5), None, number.start, number.end, number.is_weak)
    return number


def _han_value(written: str) -> float | None:
    """The value of Chinese numerals; None if they are not a number."""
    if re.fullmatch(r"[\d.]+", written):
        return float(written)
    if re.fullmatch(r"[零〇一二三四五六七八九]{2,}", written):  # 二〇〇八
        return float("".join(str(_HAN_DIGITS[char]) for char in written))
    total = section = digit = 0.0
    for char in written:
        if char in _HAN_DIGITS:
            digit = _HAN_DIGITS[char]
        elif char in _HAN_TENS:
            section += (digit or 1) * _HAN_TENS[char]
            digit = 0
        elif char in _HAN_SCALES:
            total += (section + digit or 1) * _HAN_SCALES[char]
            section = digit = 0
        else:
            return None
    return total + section + digit


@lru_cache(maxsize=64)
def _number_words(language: str) -> _Words:
    """0 to 999, one thousand and one million from num2words, and the forms in `number_words.toml`."""
    table: dict[tuple[str, ...], float] = {}
    beginnings: dict[str, float] = {}
    from num2words import num2words

    try:
        for number in (*range(1000), 1000, 1_000_000):
            words = num2words(number, lang=language)
            table[tuple(match.group().lower() for match in _TOKEN.finditer(words))] = float(number)
    except (NotImplementedError, OverflowError, IndexError, KeyError, TypeError, ValueError):
        pass  # num2words does not know the language, or does not count this far in it.
    for value, forms in _raw_table().get(language, {}).items():
        for word in forms.split():
            if word.endswith("*"):
                beginnings[word[:-1]] = float(value)
            else:
                table[(word,)] = float(value)
    phrases: dict[str, list[tuple[tuple[str, ...], float]]] = {}
    for phrase, value in table.items():
        if phrase:
            phrases.setdefault(phrase[0], []).append((phrase, value))
    for group in phrases.values():
        group.sort(key=lambda entry: -len(entry[0]))
    longest_first = tuple(sorted(beginnings.items(), key=lambda entry: -len(entry[0])))
    return _Words(phrases, longest_first, _thousand(language, table))


def _thousand(language: str, table: dict[tuple[str, ...], float]) -> str:
    """ "tausend" of German, "mila" of Italian: what is left of 2000 without 2, if they are one word."""
    from num2words import num2words

    two = next((phrase[0] for phrase, value in table.items() if value == 2 and len(phrase) == 1), None)
    if two is None:
        return "\0"
    try:
        written = str(num2words(2000, lang=language)).lower()
    except (NotImplementedError, OverflowError, IndexError, KeyError, TypeError, ValueError):
        return "\0"
    rest = written.removeprefix(two)
    return rest if rest != written and len(rest) > 2 and re.fullmatch(r"[^\W\d_]+", rest) else "\0"
