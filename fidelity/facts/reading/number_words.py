"""Numbers of a text in any language: digits of any script, decimal commas, number words, 万 and 亿.

num2words knows the number words of about forty languages; `number_words.toml` adds inflected forms and Swahili. An
ambiguous number (1.200) keeps both readings. Dates are not recognised: a year is a number here.
"""

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fidelity.facts.reading.measures.units import by_symbol
from fidelity.facts.reading.notation.digits import MAX_DIGITS, readings
from fidelity.facts.reading.numbers import Number

# Languages that write no spaces between words.
_UNSPACED = frozenset({"th", "lo", "km", "my"})
_HAN = frozenset({"zh", "ja", "yue"})
# Languages whose number words may have endings: "তিনটি" is "তিন" with a counter.
_ENDINGS = frozenset({"bn", "te", "kn", "hi", "fi", "hu", "tr", "ko"})
_LONGEST_ENDING = 6
_MULTIPLIERS = frozenset({12.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e9})
# Between tens and units: Swahili, Spanish and Portuguese, French, Italian, Turkish, Arabic and Persian.
_CONNECTORS = frozenset({"", "na", "y", "e", "et", "ve", "و"})
# Also everyday words: French "neuf" is nine and new, Bengali "নয়" nine and "is not", Italian "sei" six and "you are".
_AMBIGUOUS = frozenset({"neuf", "নয়", "sei"})

_MARKS = "\u0300-\u036f\u0900-\u0903\u093a-\u094f\u0980-\u0983\u09bc-\u09d7\u0a00-\u0d83\u0e31-\u0e4e"
_DIGITS = re.compile(
    r"(?<![\w.,])\d+(?:[.,'’٬٫\u00a0\u202f ]\d{3})+(?:[.,٫]\d+)?(?!\d)|(?:(?<![\w.,])[.,])?\d+(?:[.,٫]\d+)*"
)
_TOKEN = re.compile(rf"[^\W\d_](?:[^\W\d_]|[{_MARKS}\u200c\u200d'])*")
_HAN_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2, "俩": 2}
_HAN_TENS = {"十": 10, "百": 100, "千": 1000}
_HAN_SCALES = {"打": 12, "万": 1e4, "萬": 1e4, "亿": 1e8, "億": 1e8, "兆": 1e12}
_HAN_NUMBER = re.compile(
    r"百分之(?P<percent>[零〇一二三四五六七八九十百两\d.]+)"
    r"|(?P<below>[一二三四五六七八九十百两\d]+)\s*分[之の]\s*(?P<above>[一二三四五六七八九十\d]+)"
    r"|(?P<fraction>\d+/\d+)"
    r"|(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)\s*(?P<scale>[十百千]?[万萬亿億兆]|[百千打])?"
    r"|(?P<han>[零〇一二三四五六七八九两兩俩十百千万萬亿億]+)"
)


@dataclass(frozen=True, slots=True)
class _Words:
    """Number words of one language: phrases by their first word, longest first, and prefixes of words."""

    phrases: dict[str, list[tuple[tuple[str, ...], float]]]
    beginnings: tuple[tuple[str, float], ...]


def foreign_numbers(text: str, language: str) -> list[Number]:
    """The numbers of a text, in order. `language` is an ISO 639-1 code; of an unknown language only digits are read."""
    language = language.lower().split("-")[0].split("_")[0]
    if language in _HAN:
        return _han_numbers(text)
    found = [
        _in_digits(text, match)
        for match in _DIGITS.finditer(text)
        if len(match.group()) <= MAX_DIGITS and not (match.group() == "00" and text[match.start() - 1] == ":")
    ]
    table = _number_words(language)
    spelled = _unspaced(text, table) if language in _UNSPACED else _in_words(text, table, language in _ENDINGS)
    return _composed(text, sorted([*found, *spelled], key=lambda number: number.start))


def _in_digits(text: str, match: re.Match[str]) -> Number:
    written = "".join(str(unicodedata.digit(char)) if char.isdigit() else char for char in match.group())
    values = readings(f"0{written}" if written[0] in ".," else written)
    end = match.end()
    percent = re.compile(r"\s?[%٪﹪]").match(text, end)
    if fraction := re.compile(r"/(\d+)").match(text, end):
        below = float(fraction.group(1))
        if 0 < values[0] < below <= 10:
            values, end = (values[0] / below,), fraction.end()
    return Number(
        values,
        by_symbol("%") if percent else None,
        match.start(),
        percent.end() if percent else end,
        values[0] in (0, 1),
    )


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
            result[-1] = Number(values, None, before.start, number.end)
        elif gap in _CONNECTORS and not text[before.start].isdigit() and _adds(low, high, said=bool(gap)):
            result[-1] = Number((low + high,), None, before.start, number.end)
        else:
            result.append(number)
    return result


def _adds(high: float, low: float, *, said: bool) -> bool:
    """Whether the lower number fills the zeros of the higher one; ten needs a connector (kumi na mbili)."""
    return any(low < zeros <= high and high % zeros == 0 for zeros in (10, 100, 1000)) and high >= (10 if said else 20)


def _han_numbers(text: str) -> list[Number]:
    """Chinese and Japanese: 16, 3万, 一百二十, 百分之五, 四分之一."""
    found = []
    for match in _HAN_NUMBER.finditer(text):
        start, end = match.span()
        if written := match.group("percent"):
            value = _han_value(written)
            if value is not None:
                found.append(Number((value,), by_symbol("%"), start, end))
        elif match.group("below"):
            below, above = _han_value(match.group("below")), _han_value(match.group("above"))
            if below and above is not None:
                found.append(Number((above / below,), None, start, end, is_weak=True))
        elif match.group("fraction"):
            found.extend(_in_digits(text, first) for first in [_DIGITS.match(text, start)] if first)
        elif digits := match.group("digits"):
            if len(digits) > MAX_DIGITS:
                continue
            value = float("".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in digits if c != ","))
            for char in match.group("scale") or "":
                value *= _HAN_TENS.get(char) or _HAN_SCALES[char]
            percent = re.compile(r"\s?[%％]").match(text, end)
            found.append(Number((value,), by_symbol("%") if percent else None, start, end, value in (0, 1)))
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
    raw = tomllib.loads((Path(__file__).parent / "number_words.toml").read_text(encoding="utf-8"))
    for value, forms in raw.get(language, {}).items():
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
    return _Words(phrases, tuple(sorted(beginnings.items(), key=lambda entry: -len(entry[0]))))
