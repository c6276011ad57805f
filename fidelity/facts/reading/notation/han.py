"""Numbers of Chinese and Japanese texts: 16, 3万, 一百二十, 百分之五, 四分之一."""

import re

from fidelity.facts.reading.measures.units import by_symbol
from fidelity.facts.reading.notation.digits import digits_end, read_digits
from fidelity.facts.reading.notation.formats import format_of
from fidelity.facts.reading.notation.number import Number, numbers_of, scale_range

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2, "俩": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_SCALES = {"打": 12, "万": 1e4, "萬": 1e4, "亿": 1e8, "億": 1e8, "兆": 1e12}
_SCALE = re.compile(r"\s*(?P<scale>[十百千]?[万萬亿億兆]|[百千打])")
_NUMBER = re.compile(
    r"百分之(?P<percent>[零〇一二三四五六七八九十百两\d.]+)"
    r"|(?P<below>[一二三四五六七八九十百两\d]{1,20})\s?分[之の]\s*(?P<above>[一二三四五六七八九十\d]+)"
    r"|(?P<digits>[\d½⅓⅔¼¾⅕⅛⅜⅝⅞])"
    r"|(?P<han>[零〇一二三四五六七八九两兩俩十百千万萬亿億]+)"
)


def han_numbers(text: str, language: str) -> list[Number]:
    """The numbers of a text, in order."""
    found: list[Number] = []
    format_ = format_of(text, language)
    end = 0
    while match := _NUMBER.search(text, end):
        start, end = match.span()
        if written := match.group("percent"):
            value = han_value(written)
            if value is not None:
                found.append(Number((value,), by_symbol("%"), start, end))
        elif match.group("below"):
            below, above = han_value(match.group("below")), han_value(match.group("above"))
            if below and above:
                found.append(Number((above / below,), None, start, end, is_weak=above == 1))
        elif match.group("digits"):
            read = read_digits(text, start, format_, lists=True)
            if read is None:  # a key, noise
                end = digits_end(text, start)
                continue
            end = max(end, read.end)
            scale = _SCALE.match(text, end) if read.values else None
            if scale:
                factor, end = 1.0, scale.end()
                for char in scale.group("scale"):
                    factor *= _TENS.get(char) or _SCALES[char]
                found.append(Number((read.values[0] * factor,), None, start, end, n_digits=read.n_digits))
                scale_range(text, found, factor)
            else:
                found.extend(numbers_of(text, start, read))
        else:
            value = han_value(match.group("han"))
            # A lone 千 is part of 千克, a lone 万 of many words; a lone 一 is "a".
            if value is not None and match.group("han") not in ("百", "千", "万", "萬", "亿", "億", "零"):
                found.append(Number((value,), None, start, end, is_weak=value <= 1))
    return [_with_tail(text, number) for number in found]


def _with_tail(text: str, number: Number) -> Number:
    """ "16个半" is sixteen and a half."""
    if text[number.end : number.end + 2].endswith("半") and number.unit is None:
        return Number((number.value, number.value + 0.5), None, number.start, number.end, number.is_weak)
    return number


def han_value(written: str) -> float | None:
    """The value of Chinese numerals; None if they are not a number."""
    if re.fullmatch(r"[\d.]+", written):
        return float(written)
    if re.fullmatch(r"[零〇一二三四五六七八九]{2,}", written):  # 二〇〇八
        return float("".join(str(_DIGITS[char]) for char in written))
    total = section = digit = 0.0
    for char in written:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char in _TENS:
            section += (digit or 1) * _TENS[char]
            digit = 0
        elif char in _SCALES:
            total += (section + digit or 1) * _SCALES[char]
            section = digit = 0
        else:
            return None
    return total + section + digit
