"""How numbers are written in digits: groups, decimal marks, exponents, fractions and signs."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from fidelity.facts.reading.notation.formats import APOSTROPHES, NARROW_SPACES, NumberFormat, readings
from fidelity.facts.reading.words import Span

# Longer strings of digits are not numbers of the text.
MAX_DIGITS = 40
# Larger exponents do not fit into a float.
_MAX_EXPONENT = 290
_SUPERSCRIPTS = {char: str(digit) for digit, char in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")} | {"⁻": "-", "⁺": ""}
VULGAR = {
    chr(code): unicodedata.numeric(chr(code)) for code in (*range(0xBC, 0xBF), *range(0x2150, 0x215F), 0x2189)
}  # ¼ ½ ¾ ⅐ … ⅞ ↉
_VULGAR = "".join(VULGAR)
_RAISED_DIGIT, _LOWERED_DIGIT = "[⁰¹²³⁴⁵⁶⁷⁸⁹]", "[₀₁₂₃₄₅₆₇₈₉]"
_SPACED = re.compile(
    rf"\d{{1,3}}(?P<mark>[ {NARROW_SPACES}{APOSTROPHES}])\d{{3}}(?:(?P=mark)\d{{3}}){{0,8}}(?!\d)"
    r"(?P<fraction>[.,]\d+(?![.,]?\d))?"
)
_PLAIN = re.compile(r"\d+(?:[.,:/٫٬⁄∕]\d+)*")
_EXPONENT = (
    r"\s?(?:(?:\^|\*\*)\s?[{(]?\s?(?P<caret>[-+−–]?\d{1,9})(?![.,]?\d|\s?[\^\\*_])(?:\s?[})])?"
    rf"|(?P<raised>[⁻⁺]?{_RAISED_DIGIT}{{1,9}}))"
)
# "to the 23rd power"; "ten to the 23rd" may be a range of days.
_RAISED = r"(?P<said>(?:minus\s|negative\s|[-−–])?\d{1,9})(?:st|nd|rd|th)?"
_TO_THE = rf"\sto\sthe\s(?:power\sof\s|power\s)?{_RAISED}(?:\spower)?(?!\w)"
_POWER = re.compile(_EXPONENT)
_SAID_POWER = re.compile(rf"(?=\sto\sthe\s(?:power\s|[\w−–-]+\s(?:\d+\w*\s)?power)){_TO_THE}")
_TIMES_TEN = re.compile(rf"\s{{0,7}}(?:[×xX*·⋅∙]|\\(?:times|cdot)|times)\s?10(?:{_EXPONENT}|{_TO_THE})")
_SCIENTIFIC = re.compile(r"[eE](?P<exponent>[-+−]?\d{1,9})(?![\w.]?\d|\w)")
_SIGN = rf"(?P<vulgar>[{_VULGAR}])|(?P<raised>{_RAISED_DIGIT}{{1,3}})[/⁄∕](?P<lowered>{_LOWERED_DIGIT}{{1,4}})"
_ALONE = re.compile(_SIGN)
# "2½", "2 ½", "2 1/2", "2-1/2", "2 ¹⁄₁₆".
_MIXED = re.compile(
    rf"[ {NARROW_SPACES}\u2064-]?(?:{_SIGN})"
    rf"|(?P<gap>[ {NARROW_SPACES}-])(?P<above>\d{{1,3}})[/⁄∕](?P<below>\d{{1,4}})(?![\d/]|[.,]\d)"
)
_LOWERED = {char: str(digit) for digit, char in enumerate("₀₁₂₃₄₅₆₇₈₉")}
# Digits with commas that are no list.
_ONE_NUMBER = re.compile(
    r"\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?|[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?|\d+[.٫]\d+|\d+٬\d{3}(?:٬\d{3})*(?:٫\d+)?"
)
_MINUS = "-−–﹣－"
# What a minus may be right after: not a digit or a letter, since "5-10" is a range and U-2 a name.
# In Chinese, Japanese and Thai there is no space before a minus.
_BOUND = re.compile(r"[^\W\u0e00-\u0eff\u3040-\u30ff\u4e00-\u9fff]|[)\]}%°]")


@dataclass(frozen=True, slots=True)
class Written:
    """A number in digits: `values` are its possible readings, most likely first.

    `parts` are the numbers of a list, a time or a ratio instead (5:30), or those of which a fraction is made.
    """

    values: tuple[float, ...]
    end: int
    n_digits: int
    parts: tuple[tuple[float, Span], ...] = ()


def read_digits(text: str, start: int, format_: NumberFormat | None, *, lists: bool = False) -> Written | None:
    """The number in digits, or the fraction sign, that starts here.

    With `lists`, a comma that is no group mark separates two numbers: "(3,4)".
    """
    if alone := _ALONE.match(text, start):
        return Written((_fraction(alone),), alone.end(), 1)
    found = _spaced(text, start, format_)
    if found is None:
        match = _PLAIN.match(text, start)
        if match is None or len(match.group()) > MAX_DIGITS:
            return None
        found = _plain(text, match, format_, lists)
    if found is None or not found.values:
        return found
    return _scaled(text, start, found)


def _spaced(text: str, start: int, format_: NumberFormat | None) -> Written | None:
    """Groups set apart by spaces or apostrophes: "299 792 458", "1’000’000"."""
    match = _SPACED.match(text, start)
    if match is None or len(match.group()) > MAX_DIGITS:
        return None
    mark, digits = match.group("mark"), re.sub(r"\D", "", match.group())
    fraction = match.group("fraction") or ""
    groups = re.split(r"\D", match.group()[: len(match.group()) - len(fraction)])
    if text[start] == "0" or re.compile(r"[ \u00a0\u2009\u202f]\d|[/:-]\d").match(text, match.end()):
        return None  # "0 100", rows of a table, a telephone number
    if mark == " " and not _joined(text, start, match.end(), groups, format_):
        return None
    value = float(_ascii("".join(groups)) + ("." + _ascii(fraction[1:]) if fraction else ""))
    parts: tuple[tuple[float, Span], ...] = ()
    if mark == " " and len(groups) == 2:
        # "5 100 watt bulbs": the other reading.
        second = start + len(groups[0]) + 1
        parts = ((float(groups[0]), (start, second - 1)), (float(groups[1]), (second, second + 3)))
    return Written((value,), match.end(), significant_digits(digits), parts)


def _joined(text: str, start: int, end: int, groups: list[str], format_: NumberFormat | None) -> bool:
    """Whether groups with plain spaces between them are one number: two in a row may be two numbers."""
    if len(groups) > 5 or re.compile(r"\d\s?$").search(text, max(0, start - 2), start):
        return False
    if (
        len(groups) > 2
        or groups[1] == "000"
        or text[start - 1 : start] in tuple("$€£¥")
        or (format_ and format_.group in NARROW_SPACES)
    ):
        return True
    return len(groups[0]) > 1 and re.compile(r"[-–]\w|,\d").match(text, end) is None


def _plain(text: str, match: re.Match[str], format_: NumberFormat | None, lists: bool) -> Written | None:
    written, start, end = _ascii(match.group()), match.start(), match.end()
    digits = significant_digits(re.sub(r"\D", "", written))
    if fraction := re.fullmatch(r"(\d+)[/⁄∕](\d+)", written):
        above, below = map(int, fraction.groups())
        places = ((start, start + fraction.end(1)), (start + fraction.start(2), end))
        parts = ((float(above), places[0]), (float(below), places[1]))
        # 24/7, 9/11 and 48/2 are no parts of a whole.
        is_part = 0 < above < below and (below <= 100 or above < 10) and text[max(0, start - 1) : start] != "-"
        if is_part and written != "9/11":
            return Written((above / below,), end, digits, parts)
        return Written((), end, digits, parts)
    if not re.search(r"[:/⁄∕]", written):
        if re.fullmatch(r"\d+", written):
            return Written((float(written),), end, digits)
        if written.count(".") > 1 and "," not in written and not re.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3})+", written):
            # A version or a section; in other languages than English often a date.
            return Written((), end, digits, () if lists else _parts(written.replace(".", "/"), start))
        if not lists or _ONE_NUMBER.fullmatch(written) or (written.count(",") == 1 and _is_decimal(written, format_)):
            return Written(readings(written, format_), end, digits)
    return Written((), end, digits, _parts(written, start))


def _is_decimal(written: str, format_: NumberFormat | None) -> bool:
    """Whether the comma of "12,50" is a decimal mark."""
    return format_ is not None and format_.decimal == "," and "." not in written


def _parts(written: str, start: int) -> tuple[tuple[float, Span], ...]:
    """The numbers of a list, a time or a ratio."""
    return tuple(
        (float(match.group()), (start + match.start(), start + match.end()))
        for match in re.finditer(r"\d+(?:\.\d+)?(?=[,:/⁄∕]|$)", written)
    )


def _scaled(text: str, start: int, found: Written) -> Written:
    """Apply what follows: an exponent or a fraction."""
    value, end = found.values[0], found.end
    if match := _SCIENTIFIC.match(text, end):
        return Written((_times_power(value, 10, _integer(match.group("exponent"))),), match.end(), found.n_digits)
    if match := _TIMES_TEN.match(text, end):
        return Written((_times_power(value, 10, _exponent(match)),), match.end(), found.n_digits)
    if match := _SAID_POWER.match(text, end):
        return Written((_times_power(1, value, _integer(match.group("said"))),), match.end(), found.n_digits)
    # A raised digit after a long number is a footnote.
    if (match := _POWER.match(text, end)) and (match.group("caret") or end - start <= 3):
        return Written((_times_power(1, value, _exponent(match)),), match.end(), found.n_digits)
    match = _MIXED.match(text, end) if value.is_integer() and not found.parts else None
    if match and (not match.group("gap") or int(match.group("above")) < int(match.group("below"))):
        return Written((value + _fraction(match),), match.end(), found.n_digits + 1)
    return found


def _fraction(match: re.Match[str]) -> float:
    if vulgar := match.group("vulgar"):
        return VULGAR[vulgar]
    if match.groupdict().get("below"):
        above, below = int(match.group("above")), int(match.group("below"))
    else:
        above = int("".join(_SUPERSCRIPTS[char] for char in match.group("raised")))
        below = int("".join(_LOWERED[char] for char in match.group("lowered")))
    return above / below if below else 0.0


def _exponent(match: re.Match[str]) -> int:
    groups = match.groupdict()
    if written := groups.get("caret") or groups.get("said"):
        return _integer(written)
    return int("".join(_SUPERSCRIPTS[char] for char in match.group("raised")) or 0)


def _integer(written: str) -> int:
    return int(re.sub(r"(?:minus|negative)\s|[−–]", "-", _ascii(written)))


def _times_power(value: float, base: float, exponent: int) -> float:
    """value · base^exponent; beyond the range of floats a number that still differs for each exponent."""
    if abs(exponent) <= _MAX_EXPONENT and (base == 10 or abs(exponent) * len(f"{base:.0f}") <= _MAX_EXPONENT):
        # Through its decimal notation, so that 6.02 × 10^23 is exactly 6.02e23.
        if base == 10:
            return float(f"{value!r}e{exponent}") if "e" not in repr(value) else value * 10.0**exponent
        return float(value * base**exponent) if base else 0.0
    return value * 1e290 * exponent if exponent > 0 else value / 1e290 / -exponent


def minus_before(text: str, start: int) -> int | None:
    """The position of the minus sign of a number that starts here (with its currency sign), if it has one."""
    if not start or text[start - 1] not in _MINUS:
        return None
    at = start - 1
    if at and (_BOUND.match(text[at - 1]) or text[at - 1] in _MINUS):  # "3--7" is a range in LaTeX
        return None
    before = text[max(0, at - 4) : at].rstrip(" \u00a0")
    if before and before != text[max(0, at - 4) : at] and (before[-1].isdigit() or before[-1] in ")]}%°"):
        return None  # "7 −5" subtracts
    return at


def _ascii(written: str) -> str:
    return "".join(str(unicodedata.digit(char)) if char.isdigit() else char for char in written)


def significant_digits(digits: str) -> int:
    """How many digits of a number are significant: not the zeros around them."""
    return max(1, len(digits.strip("0")))


def starts_of_digits(text: str) -> Iterator[int]:
    """Where numbers in digits may start."""
    return (
        match.start()
        for match in re.finditer(rf"(?<!\d)\d|[{_VULGAR}]|(?<!{_RAISED_DIGIT}){_RAISED_DIGIT}+[/⁄∕]", text)
    )


def digits_end(text: str, start: int) -> int:
    """The end of the digits and separators that start here, whether they are a number or not."""
    match = _PLAIN.match(text, start)
    return match.end() if match else start + 1
