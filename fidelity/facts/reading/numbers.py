"""Numbers of an English text, in digits or words, with scale and unit, and whether two of them are the same.

"1.2 million" is 1,200,000; "a dozen" is 12; "5 km" is 5,000 m; "half" is 50 %. A number often used in passing ("one",
"first", "twice") is weak: it may support a number of the other text but needs no support itself.
"""

import dataclasses
import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fidelity.facts.reading.units import PERCENT, SHORT, UNITS, Unit
from fidelity.facts.reading.words import Span, Word

# Relative difference up to which two quantities in different units are equal: conversions are rounded by hand.
CONVERSION_TOLERANCE = 0.03
# "about 1.2 million" for 1,234,567.
APPROXIMATION_TOLERANCE = 0.05
# Longer strings of digits are not numbers of the text.
MAX_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a text. `values` has several entries if its notation is ambiguous (1.200)."""

    values: tuple[float, ...]
    unit: Unit | None
    start: int
    end: int
    is_weak: bool = False
    is_approximate: bool = False
    n_digits: int = 1  # significant ones, as written
    is_ordinal: bool = False

    @property
    def value(self) -> float:
        return self.values[0]


_SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
_SCALES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
    "quadrillion": 1e15,
    "lakh": 1e5,
    "crore": 1e7,
}
_ATTACHED_SCALES = {"k": 1e3, "bn": 1e9, "mn": 1e6, "tn": 1e12, "b": 1e9, "mm": 1e6, "m": 1e6}
_ORDINALS = {
    word: value
    for value, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
        " fifteenth sixteenth seventeenth eighteenth nineteenth twentieth".split(),
        start=1,
    )
} | {
    word: 10 * value
    for value, word in enumerate(
        "thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth hundredth".split(), start=3
    )
}
_FRACTIONS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4, "hundredths": 100} | {
    f"{word}s": value for word, value in _ORDINALS.items() if value > 2
}
_FRACTION_OF_ONE = {"half": 2, "quarter": 4} | {word: value for word, value in _ORDINALS.items() if value > 2}
_SIGNS = {"½": 0.5, "⅓": 1 / 3, "⅔": 2 / 3, "¼": 0.25, "¾": 0.75, "⅛": 0.125}
# Words that imply a number; always weak.
_IMPLIED = {
    "both": 2,
    "couple": 2,
    "double": 2,
    "doubled": 2,
    "doubles": 2,
    "doubling": 2,
    "pair": 2,
    "twin": 2,
    "twice": 2,
    "once": 1,
    "single": 1,
    "thrice": 3,
    "triple": 3,
    "tripled": 3,
    "trio": 3,
    "quadruple": 4,
    "quadrupled": 4,
}
_APPROXIMATORS = frozenset(
    "about around approximately roughly nearly almost over under circa ca some more than least most up estimated"
    " estimates close to c approaching exceeding".split()
)
_STARTS = frozenset(_SMALL) | frozenset(_TENS) | frozenset(_ORDINALS) | frozenset(_FRACTIONS) | frozenset(_IMPLIED)
_CURRENCY = re.compile(r"(?:US|A|C|HK|NZ)?([$€£¥₹₽¢])\s?$")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?")
_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_NUMBERED = frozenset("war chapter part volume act book section phase type title article appendix".split())
_UNIT_SIGN = re.compile(r" ?(%|° ?[CF]\b|°|¢|€|£|₽)")
_GAP = re.compile(r"[\s\-\u2010-\u2015\u00a0]*")
_RANGE = re.compile(r"\s*(?:-|–|—|to|and|or)\s*[$€£¥]?\s*")


def english_numbers(text: str, words: Sequence[Word], claimed: Sequence[Span] = ()) -> list[Number]:
    """The numbers of an English text, in order.

    `claimed` are the sorted spans of dates and formulas; digits inside them are not numbers of their own.
    """
    starts = [start for start, _ in claimed]
    found: list[Number] = []
    at = 0
    while at < len(words):
        word = words[at]
        before = bisect_left(starts, word.end) - 1
        if before >= 0 and claimed[before][1] > word.start:
            at += 1
            continue
        stop = _reader(text, words, at, found)
        at = max(stop, at + 1)
    return _ranges(text, found)


def _reader(text: str, words: Sequence[Word], at: int, found: list[Number]) -> int:
    """Read the number that starts with this word, if any; return the index of the word after it."""
    word = words[at]
    if word.text[0].isdigit():
        return _digits(text, words, at, found)
    if word.lower in _STARTS or word.lower in ("a", "an", "dozen"):
        return _spelled(text, words, at, found)
    if word.text.isupper() and (value := _roman(words, at)):
        found.append(Number((float(value),), None, word.start, word.end, is_weak=value == 1))
    return at + 1


def _digits(text: str, words: Sequence[Word], at: int, found: list[Number]) -> int:
    word = words[at]
    before = text[word.start - 1] if word.start else " "
    # x_2, H2O, 10^5, \alpha1: not numbers of the text.
    if before.isalpha() or before in "_^\\{#":
        return at + 1
    first, end, stop = word.start, word.end, at + 1
    # ".75" has no zero before its point.
    is_share = before == "." and not text[max(0, word.start - 2) : word.start - 1].strip(" $€£¥(~\n\t")
    if is_share and word.text.isdecimal() and len(word.text) <= MAX_DIGITS:
        values, first = [float(f"0.{word.text}")], word.start - 1
    else:
        values = _values(word.text)
    if not values:
        return at + 1
    currency = _CURRENCY.search(text, max(0, first - 5), first)
    unit = UNITS[currency.group(1)] if currency else None
    if currency:
        first = currency.start()
    suffix = words[stop] if stop < len(words) and words[stop].start == end else None
    is_ordinal = False
    if suffix and suffix.lower in ("st", "nd", "rd", "th"):
        is_ordinal, end, stop = True, suffix.end, stop + 1
    elif suffix and suffix.lower in _ATTACHED_SCALES and (currency or suffix.text in ("M", "K", "k", "bn", "B")):
        values, end, stop = [values[-1] * _ATTACHED_SCALES[suffix.lower]], suffix.end, stop + 1
    elif end < len(text) and text[end] in _SIGNS:
        values, end = [values[-1] + _SIGNS[text[end]]], end + 1
    afternoon = suffix is None and stop < len(words) and words[stop].lower in ("pm", "p.m", "p.m.")
    afternoon = afternoon and values[0] < 12 and words[stop].start - end <= 1
    if len(values) > 1:
        for value, place in zip(values, _places(word), strict=True):
            if text[slice(*place)] != "00":  # of 1:00
                hours = (value, value + 12) if afternoon and value == values[0] else (value,)
                found.append(Number(hours, None, *place))
        return stop
    if afternoon:
        found.append(Number((values[0], values[0] + 12), None, first, end))
        return stop
    value = values[0]
    # "3.5 million", "2 hundred thousand", "two million (or: 2) dozen", "2 1/2", "2 and a half".
    while stop < len(words) and _close(text, end, words[stop].start):
        scale = _SCALES.get(words[stop].lower, 12 if words[stop].lower == "dozen" else None)
        if scale is None:
            break
        value, end, stop = value * scale, words[stop].end, stop + 1
    value, end, stop = _and_a_half(text, words, value, end, stop)
    if not unit:
        unit, end, stop = _unit(text, words, end, stop, in_digits=True)
    digits = word.text.replace(",", "").replace(".", "").strip("0")
    weak = (value in (0, 1) and unit is None) or (is_ordinal and value == 1)
    found.append(Number((value,), unit, first, end, weak, _approximate(words, at), max(1, len(digits)), is_ordinal))
    return stop


def _values(written: str) -> list[float]:
    """The value of digits, or several values if they are a list, a time or a division."""
    if len(written) > MAX_DIGITS:  # a key, a repeating decimal written out, noise
        return []
    if _THOUSANDS.fullmatch(written) or re.fullmatch(r"\d+(?:\.\d+)?", written):
        return [float(written.replace(",", ""))]
    if fraction := re.fullmatch(r"(\d+)/(\d+)", written):
        above, below = map(int, fraction.groups())
        if above < below <= 10:
            return [above / below]
        return [float(above), float(below)]
    if re.fullmatch(r"\d+(?:\.\d+){2,}", written):  # a version, a section
        return []
    parts = re.split(r"[,:/]", written)
    return [float(part) for part in parts if re.fullmatch(r"\d+(?:\.\d+)?", part)]


def _places(word: Word) -> list[Span]:
    return [
        (word.start + match.start(), word.start + match.end())
        for match in re.finditer(r"\d+(?:\.\d+)?(?=[,:/]|$)", word.text)
    ]


def _spelled(text: str, words: Sequence[Word], at: int, found: list[Number]) -> int:
    """A number in words, from "two" to "three hundred and five thousand", "half a million" and "two thirds"."""
    word = words[at]
    following = words[at + 1] if at + 1 < len(words) and _close(text, word.end, words[at + 1].start) else None
    if word.lower in ("a", "an"):
        if following is None or not (
            following.lower in _SCALES or following.lower == "dozen" or following.lower in ("quarter", "third", "fifth")
        ):
            return at + 1
        if following.lower in _FRACTION_OF_ONE:
            after = words[at + 2].lower if at + 2 < len(words) else ""
            if following.lower != "quarter" and after != "of":
                return at + 1
            found.append(Number((1 / _FRACTION_OF_ONE[following.lower],), None, word.start, following.end, True))
            return at + 2
    if word.lower in _IMPLIED:
        found.append(Number((float(_IMPLIED[word.lower]),), None, word.start, word.end, True))
        return at + 1
    if word.lower in ("half", "halves"):
        value, end, stop = 0.5, word.end, at + 1
        if (
            stop + 1 < len(words)
            and words[stop].lower in ("a", "an")
            and (words[stop + 1].lower in _SCALES or words[stop + 1].lower in ("dozen", "century", "decade"))
        ):
            scale = _SCALES.get(words[stop + 1].lower)
            if words[stop + 1].lower == "dozen":
                scale = 12
            if scale:
                found.append(Number((value * scale,), None, word.start, words[stop + 1].end, False))
                return stop + 2
        found.append(Number((value,), None, word.start, end, True))
        return stop
    value, end, stop, is_ordinal = _composed(text, words, at)
    if stop == at:
        return at + 1
    if not is_ordinal and stop < len(words) and _close(text, end, words[stop].start):
        part = words[stop].lower
        below = _FRACTIONS.get(part) if value > 1 else _FRACTION_OF_ONE.get(part)
        # "two quarters" are usually coins or periods of a match: only a following "of" makes them a fraction.
        if below and not (part == "quarters" and not _followed_by(words, stop, "of")):
            found.append(Number((value / below,), None, word.start, words[stop].end, is_weak=value == 1))
            return stop + 1
    if not is_ordinal:
        value, end, stop = _and_a_half(text, words, value, end, stop)
    # "the second" and "a third" are figures of speech more often than facts.
    weak = (is_ordinal and value <= 3) or (value in (0, 1) and stop == at + 1)
    unit, end, stop = (None, end, stop) if is_ordinal else _unit(text, words, end, stop, in_digits=False)
    weak = weak and unit is None
    found.append(Number((value,), unit, word.start, end, weak, _approximate(words, at), is_ordinal=is_ordinal))
    return stop


def _composed(text: str, words: Sequence[Word], at: int) -> tuple[float, int, int, bool]:
    """Value, end, index of the word after, and whether it is an ordinal."""
    total, current, end, stop = 0.0, 0.0, words[at].start, at
    last = math.inf  # "twenty one" continues, "one twenty" does not
    reached = end
    for index in range(at, len(words)):
        word = words[index]
        # "one thousand, one hundred": a comma may follow a thousand.
        gap = text[reached : word.start]
        if index > at and not _close(text, reached, word.start) and not (gap == ", " and last >= 1000):
            break
        reached, lower = word.end, word.lower
        if lower in ("a", "an") and index == at:
            current, last = 1.0, 1
        elif lower in _SMALL and last > 20 - (_SMALL[lower] < 10):
            current, last = current + _SMALL[lower], _SMALL[lower]
        elif lower in _TENS and last >= 100:
            current, last = current + _TENS[lower], _TENS[lower]
        elif lower in _ORDINALS and last >= 20 and (index == at or _ORDINALS[lower] < last):
            current += _ORDINALS[lower]
            return total + current, word.end, index + 1, True
        elif (lower in _SCALES or lower == "dozen") and index > at:
            scale = _SCALES.get(lower, 12.0)
            if scale == 100 or lower == "dozen":
                current, last = (current or 1) * scale, 100
            else:
                total, current, last = total + (current or 1) * scale, 0.0, scale
        elif lower == "dozen":
            current, last = 12.0, 1
        elif lower == "and" and last >= 100 and index > at and index + 1 < len(words):
            following = words[index + 1].lower
            if following not in _SMALL and following not in _TENS:
                break
            continue
        else:
            break
        end, stop = word.end, index + 1
    return total + current, end, stop, False


def _and_a_half(text: str, words: Sequence[Word], value: float, end: int, stop: int) -> tuple[float, int, int]:
    """ "two and a half", "two and a half million"."""
    if [word.lower for word in words[stop : stop + 3]] in (["and", "a", "half"], ["and", "a", "quarter"]):
        share = 0.5 if words[stop + 2].lower == "half" else 0.25
        value, end, stop = value + share, words[stop + 2].end, stop + 3
        if stop < len(words) and words[stop].lower in _SCALES and _close(text, end, words[stop].start):
            value, end, stop = value * _SCALES[words[stop].lower], words[stop].end, stop + 1
    return value, end, stop


def _unit(text: str, words: Sequence[Word], end: int, stop: int, *, in_digits: bool) -> tuple[Unit | None, int, int]:
    """The unit right after a number: "%", "km", "-year", "per cent", "square miles"."""
    if sign := _UNIT_SIGN.match(text, end):
        name = sign.group(1).replace(" ", "").lower()
        return UNITS[name], sign.end(), stop + (name in ("°c", "°f"))
    if stop >= len(words) or not _close(text, end, words[stop].start):
        return None, end, stop
    word = words[stop]
    following = words[stop + 1] if stop + 1 < len(words) else None
    if word.lower == "per" and following and following.lower == "cent":
        return PERCENT, following.end, stop + 2
    if word.lower in ("square", "cubic") and following and (inner := UNITS.get(following.lower)):
        power, dimension = (2, "area") if word.lower == "square" else (3, "volume")
        size = inner.size**power * (1000 if power == 3 else 1)
        return Unit(f"{word.lower} {inner.name}", dimension, size), following.end, stop + 2
    if word.lower in ("degree", "degrees") and following and (inner := UNITS.get(following.lower)):
        return inner, following.end, stop + 2
    unit = UNITS.get(word.lower)
    if unit is None or (word.lower in SHORT and (not in_digits or (word.is_capitalized and len(word.text) == 1))):
        return None, end, stop
    return unit, word.end, stop + 1


def _ranges(text: str, found: list[Number]) -> list[Number]:
    """In "5 to 10 million" and "5-10 %", apply the scale and the unit to both numbers."""
    for i in range(len(found) - 1):
        low, high = found[i], found[i + 1]
        if low.unit == high.unit and high.value < 1e6:
            continue
        if not _RANGE.fullmatch(text, low.end, high.start) or low.value >= high.value:
            continue
        values = low.values
        if high.value >= 1e6 and low.value < 1000:
            scale = 1000 ** (int(math.log10(high.value)) // 3)
            values = (low.value * scale,)
        found[i] = dataclasses.replace(low, values=values, unit=low.unit or high.unit)
        found[i + 1] = dataclasses.replace(high, unit=high.unit or low.unit)
    return found


def _roman(words: Sequence[Word], at: int) -> int | None:
    """The value of a Roman numeral after a name or after "Chapter"; a lone I, V, X, … only after the latter."""
    word = words[at]
    if at == 0 or not _ROMAN.fullmatch(word.text):
        return None
    before = words[at - 1]
    if before.lower not in _NUMBERED and (len(word.text) < 2 or not before.is_capitalized or before.text.isupper()):
        return None
    digits = [_ROMAN_DIGITS[char] for char in word.text]
    return sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0], strict=True))


def _close(text: str, end: int, start: int) -> bool:
    return start - end <= 2 and _GAP.fullmatch(text, end, start) is not None


def _followed_by(words: Sequence[Word], at: int, word: str) -> bool:
    return at + 1 < len(words) and words[at + 1].lower == word


def _approximate(words: Sequence[Word], at: int) -> bool:
    return any(word.lower in _APPROXIMATORS for word in words[max(0, at - 2) : at])


def same_units(a: Unit | None, b: Unit | None) -> bool:
    """Whether the units can be the same; an omitted unit matches any."""
    if a is None or b is None or a == b:
        return True
    # A pound may be a weight or money, a degree a temperature or an angle.
    ambiguous = ({"lb", "£"}, {"°c", "degree"}, {"°f", "degree"})
    return {a.name, b.name} in [set(pair) for pair in ambiguous]


def same_number(rewrite: Number, source: Number) -> bool:
    """Whether the two numbers are equal, converted between units, or the rewrite's is correctly rounded."""
    if any(_equal(a, b) for a in rewrite.values for b in source.values) and same_units(rewrite.unit, source.unit):
        return True
    if rewrite.unit and source.unit and rewrite.unit != source.unit:
        if rewrite.unit.dimension != source.unit.dimension:
            return False
        ours, theirs = rewrite.value * rewrite.unit.size, source.value * source.unit.size
        return math.isclose(ours, theirs, rel_tol=CONVERSION_TOLERANCE)
    if (rewrite.unit == PERCENT) != (source.unit == PERCENT):
        ours = rewrite.value * (0.01 if rewrite.unit == PERCENT else 1)
        theirs = source.value * (0.01 if source.unit == PERCENT else 1)
        return (rewrite.unit is None or source.unit is None) and math.isclose(ours, theirs, rel_tol=0.02)
    return _rounded(rewrite, source)


def same_value(rewrite: Number, source: Number) -> bool:
    """Equal except for the unit."""
    return any(_equal(a, b) for a in rewrite.values for b in source.values)


def _equal(a: float, b: float) -> bool:
    return a == b or math.isclose(a, b, rel_tol=1e-9)


def _rounded(rewrite: Number, source: Number) -> bool:
    """The rewrite gives the source's number with fewer digits: 1.2 million for 1,234,567, 3.14 for 3.1416."""
    ours, theirs = rewrite.value, source.value
    if ours == 0 or theirs == 0 or rewrite.n_digits > source.n_digits:
        return False
    if rewrite.is_approximate and theirs >= 10 and abs(ours - theirs) <= APPROXIMATION_TOLERANCE * theirs:
        return rewrite.n_digits < source.n_digits or source.n_digits >= 3
    if theirs < 1000 and float(theirs).is_integer():
        return False
    if rewrite.n_digits < 2 or rewrite.n_digits == source.n_digits:
        return False
    exponent = math.floor(math.log10(abs(theirs))) - rewrite.n_digits + 1
    return math.isclose(round(theirs / 10**exponent) * 10.0**exponent, ours, rel_tol=1e-9)


def supported(number: Number, others: Iterable[Number]) -> bool:
    return any(same_number(number, other) for other in others)
