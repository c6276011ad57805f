"""English numbers in words, from "two" to "three hundred and five thousand", "half a million" and "two thirds"."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fidelity.facts.reading.measures.reader import unit_after
from fidelity.facts.reading.words import Span, Word

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
_LARGE = "million billion trillion quadrillion quintillion sextillion septillion octillion nonillion decillion"
_SCALES = {"hundred": 1e2, "thousand": 1e3, "lakh": 1e5, "lac": 1e5, "crore": 1e7, "milliard": 1e9}
_SCALES |= {word: 10.0 ** (3 * power) for power, word in enumerate(_LARGE.split(), start=2)}
# "20 crores", "three millions"; "hundreds of people" has no number before it.
_PLURAL_SCALES = {f"{word}s": value for word, value in _SCALES.items()}
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
_SCALE_PARTS = {"hundredth": 100, "thousandth": 10**3, "millionth": 10**6, "billionth": 10**9, "trillionth": 10**12}
_FRACTION_OF_ONE = (
    {"half": 2, "quarter": 4} | {word: value for word, value in _ORDINALS.items() if value > 2} | _SCALE_PARTS
)
_FRACTIONS = {"half": 2, "halves": 2} | {f"{word}s": value for word, value in _FRACTION_OF_ONE.items()}
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
STARTS = frozenset(_SMALL) | frozenset(_TENS) | frozenset(_ORDINALS) | frozenset(_FRACTIONS) | frozenset(_IMPLIED)
STARTS |= {"a", "an", "dozen"}
_GAP = re.compile(r"[\s\-\u2010-\u2015\u00a0]*")
# What may follow "a fifth" that is no ordinal.
_AFTER_PART = frozenset("of in on at to by from during for and or since over than more less as was were is are".split())
# After an article they are a length of time.
_PERIODS = frozenset("minute hour day week fortnight month year decade century millennium".split())
# Fractions of one with such a denominator are too exact to be a figure of speech.
_EXACT_DENOMINATOR = 10


@dataclass(frozen=True, slots=True)
class Spelled:
    """A number in words. It ends before the word at index `stop`; `parts` are another reading of it."""

    value: float
    end: int
    stop: int
    is_weak: bool = False
    is_ordinal: bool = False
    is_complete: bool = False  # no unit follows
    parts: tuple[tuple[float, Span], ...] = ()


def read_spelled(text: str, words: Sequence[Word], at: int) -> Spelled | None:
    """The number that starts with this word, if any."""
    word = words[at]
    following = _following(text, words, at + 1, word.end)
    if word.lower in ("a", "an"):
        if following in _FRACTION_OF_ONE and following not in ("half", "second"):
            after = _following(text, words, at + 2, words[at + 1].end)
            if following != "quarter" and after and after not in _AFTER_PART:
                return None  # "a fifth man"
            below = _FRACTION_OF_ONE[following]
            if scaled_part := _of_scale(text, words, 1 / below, words[at + 1].end, at + 2):
                return scaled_part
            weak = below <= _EXACT_DENOMINATOR
            return Spelled(1 / below, words[at + 1].end, at + 2, weak, is_complete=True)
        if following in _PERIODS:
            return Spelled(1.0, word.end, at + 1, is_weak=True)  # "a year", "an hour and a half"
        lower = [each.lower for each in words[at + 2 : at + 5]]
        if lower in (["and", "a", "half"], ["and", "a", "quarter"]):
            if scale := _SCALES.get(following):  # "a million and a half"
                value = scale * (1 + 1 / _FRACTION_OF_ONE[lower[2]])
                return Spelled(value, words[at + 4].end, at + 5)
            return Spelled(1.0, word.end, at + 1, is_weak=True)  # "a cup and a half"
        if following not in _SCALES and following != "dozen":
            return None
    if word.lower in _IMPLIED:
        return Spelled(float(_IMPLIED[word.lower]), word.end, at + 1, is_weak=True, is_complete=True)
    if word.lower in ("half", "halves"):
        return _half(text, words, at)
    value, end, stop, is_ordinal = _composed(text, words, at)
    if stop == at:
        return None
    if is_ordinal:
        # "the second" and "a third" are figures of speech more often than facts.
        return Spelled(value, end, stop, is_weak=value <= 3, is_ordinal=True, is_complete=True)
    if fraction := _fraction(text, words, value, end, stop):
        return fraction
    value, end, stop = with_half(text, words, *_decimals(text, words, value, end, stop))
    if stop == at + 1 and value < 10 and (pair := _pair(text, words, at, value, end)):
        return pair
    return Spelled(value, end, stop, is_weak=value in (0, 1) and stop == at + 1)


def scaled(text: str, words: Sequence[Word], value: float, end: int, stop: int) -> tuple[float, int, int]:
    """The number times the scales after it: "3.5 million", "2 hundred thousand", "20 crores", "2 dozen"."""
    while scale := scale_at(text, words, end, stop):
        value, end, stop = value * scale, words[stop].end, stop + 1
    return value, end, stop


def scale_at(text: str, words: Sequence[Word], end: int, stop: int) -> float | None:
    """The scale that the next word is, if it is one."""
    lower = _following(text, words, stop, end)
    if lower in ("dozen", "dozens"):
        return 12.0
    return _SCALES.get(lower) or _PLURAL_SCALES.get(lower)


def with_half(text: str, words: Sequence[Word], value: float, end: int, stop: int) -> tuple[float, int, int]:
    """ "two and a half", "two and three quarters", "two and a half million"."""
    lower = [word.lower for word in words[stop : stop + 3]]
    if len(lower) < 3 or lower[0] != "and":
        return value, end, stop
    above = 1 if lower[1] in ("a", "one") else _SMALL.get(lower[1], 0)
    below = (_FRACTION_OF_ONE if above == 1 else _FRACTIONS).get(lower[2], 0)
    if not 0 < above < below or lower[2] == "second" or not _close(text, words[stop + 1].end, words[stop + 2].start):
        return value, end, stop
    # "one and a third man" is 1⅓ only if the third is of something; "a half" is a fraction always.
    if below not in (2, 4) and above == 1 and not _is_of(words, stop + 3):
        return value, end, stop
    return scaled(text, words, value + above / below, words[stop + 2].end, stop + 3)


def _half(text: str, words: Sequence[Word], at: int) -> Spelled:
    """ "half", "half a million", "half a dozen", "half an hour"."""
    if at + 2 < len(words) and words[at + 1].lower in ("a", "an"):
        scale = 12.0 if words[at + 2].lower == "dozen" else _SCALES.get(words[at + 2].lower)
        if scale:
            return Spelled(0.5 * scale, words[at + 2].end, at + 3, is_complete=True)
        if words[at + 1].end + 1 == words[at + 2].start and unit_after(text, words[at + 1].end, in_digits=False):
            return Spelled(0.5, words[at + 1].end, at + 2, is_weak=True)
    return Spelled(0.5, words[at].end, at + 1, is_weak=True, is_complete=True)


def _fraction(text: str, words: Sequence[Word], value: float, end: int, stop: int) -> Spelled | None:
    """ "two thirds", "three sixty-fourths", "one sixteenth"."""
    part = _following(text, words, stop, end)
    below = (_FRACTIONS if value > 1 else _FRACTION_OF_ONE).get(part, 0)
    if part in _TENS and value < _TENS[part]:
        unit = _following(text, words, stop + 1, words[stop].end)
        ones = _ORDINALS.get(unit.removesuffix("s"), 10)
        if ones < 10 and (unit.endswith("s") or value == 1):
            below, stop = _TENS[part] + ones, stop + 1
    # "two quarters" are usually coins or periods of a match: only a following "of" makes them a fraction.
    if not below or (part == "quarters" and value != 3 and not _is_of(words, stop + 1)):
        return None
    if scaled_part := _of_scale(text, words, value / below, words[stop].end, stop + 1):
        return scaled_part
    weak = value == 1 and below <= _EXACT_DENOMINATOR and not _is_of(words, stop + 1)
    return Spelled(value / below, words[stop].end, stop + 1, is_weak=weak)


def _of_scale(text: str, words: Sequence[Word], value: float, end: int, stop: int) -> Spelled | None:
    """ "a quarter of a million", "three quarters of a billion", "a quarter million"."""
    after = [word.lower for word in words[stop : stop + 3]]
    at = stop + 2 if after[:2] in (["of", "a"], ["of", "one"]) else stop
    scale = _SCALES.get(words[at].lower, 0.0) if at < len(words) else 0.0
    if scale < 1000 or len(text[end : words[at].start].split()) > 2:
        return None
    return Spelled(value * scale, words[at].end, at + 1)


def _decimals(text: str, words: Sequence[Word], value: float, end: int, stop: int) -> tuple[float, int, int]:
    """ "three point one four", "two point five million"."""
    if _following(text, words, stop, end) != "point":
        return value, end, stop
    digits, at = "", stop + 1
    while at < len(words) and (digit := _SMALL.get("zero" if words[at].lower == "oh" else words[at].lower, 10)) < 10:
        if not _close(text, words[at - 1].end, words[at].start):
            break
        digits, at = digits + str(digit), at + 1
    if not digits:
        return value, end, stop
    return scaled(text, words, float(f"{value:.0f}.{digits}"), words[at - 1].end, at)


_CLOCK_BEFORE = frozenset("at by until till past from before after around to".split())


def _pair(text: str, words: Sequence[Word], at: int, hundreds: float, end: int) -> Spelled | None:
    """ "seven forty-seven" is 747, but not "at six thirty" or "two twenty-foot boats"."""
    second = words[at + 1] if at + 1 < len(words) else None
    if second is None or hundreds == 0 or (at and words[at - 1].lower in _CLOCK_BEFORE):
        return None
    is_teen = second.lower in _SMALL and _SMALL[second.lower] >= 10
    if (second.lower not in _TENS and not is_teen) or text[end : second.start] not in (" ", "-"):
        return None
    low, low_end, stop, is_ordinal = _composed(text, words, at + 1)
    if is_ordinal or low >= 100 or text[low_end : low_end + 1] == "-" or low == hundreds * 10:
        return None  # "five fifty-cent coins"
    after = _following(text, words, stop, low_end)
    if after in STARTS or (after in _SCALES) or after.endswith("s") or after in ("a.m", "p.m", "am", "pm", "o'clock"):
        return None
    parts = ((hundreds, (words[at].start, end)), (low, (second.start, low_end)))
    return Spelled(100 * hundreds + low, low_end, stop, parts=parts)


def _composed(text: str, words: Sequence[Word], at: int) -> tuple[float, int, int, bool]:
    """Value, end, index of the word after, and whether it is an ordinal."""
    total, current, end, stop = 0.0, 0.0, words[at].start, at
    last = math.inf  # "twenty one" continues, "one twenty" does not
    reached = end
    is_scaled = False  # whether the last word was a scale: "two lakh crore" multiplies
    for index in range(at, len(words)):
        word = words[index]
        # "one thousand, one hundred": a comma may follow a thousand.
        gap = text[reached : word.start]
        if index > at and not _close(text, reached, word.start) and not (gap == ", " and last >= 1000):
            break
        reached, lower = word.end, word.lower
        scale = (_SCALES.get(lower) or _PLURAL_SCALES.get(lower, 0.0)) if index > at else 0.0
        if lower in ("a", "an") and index == at:
            current, last = 1.0, 1
        elif lower in _SMALL and last > 20 - (_SMALL[lower] < 10):
            current, last = current + _SMALL[lower], _SMALL[lower]
        elif lower in _TENS and last >= 100:
            current, last = current + _TENS[lower], _TENS[lower]
        elif lower in _ORDINALS and last >= 20 and (index == at or _ORDINALS[lower] < last):
            current += _ORDINALS[lower]
            return total + current, word.end, index + 1, True
        elif lower == "score" and index > at and 0 < current < 10 and _counts_scores(words, index + 1):
            current, last = current * 20, 100
        elif scale == 100 or (lower in ("dozen", "dozens") and index > at):
            current, last = (current or 1) * (scale or 12), 100
        elif scale:
            if is_scaled and not current:
                total *= scale
            else:
                total, current = total + (current or 1) * scale, 0.0
            last, is_scaled = scale, True
            end, stop = word.end, index + 1
            continue
        elif lower == "dozen":
            current, last = 12.0, 1
        elif lower == "and" and last >= 100 and index > at and index + 1 < len(words):
            following = words[index + 1].lower
            if following not in _SMALL and following not in _TENS:
                break
            # "two hundred and a half" and "two hundred and three quarters" end before the fraction.
            if index + 2 < len(words) and words[index + 2].lower in _FRACTIONS and following in _SMALL:
                break
            is_scaled = False
            continue
        else:
            break
        end, stop, is_scaled = word.end, index + 1, False
    return total + current, end, stop, False


def _counts_scores(words: Sequence[Word], at: int) -> bool:
    """Whether what follows "two score" is what is counted: two score years, four score and seven."""
    return at < len(words) and (words[at].lower == "and" or words[at].lower.endswith("s"))


def _following(text: str, words: Sequence[Word], at: int, end: int) -> str:
    """The word at this index in lower case, if it follows directly, else an empty string."""
    return words[at].lower if at < len(words) and _close(text, end, words[at].start) else ""


def _is_of(words: Sequence[Word], at: int) -> bool:
    return at < len(words) and words[at].lower == "of"


def _close(text: str, end: int, start: int) -> bool:
    return start - end <= 2 and _GAP.fullmatch(text, end, start) is not None


def written_scale(text: str) -> float:
    """The product of the scale words in the text of a number: 1,000,000 for "2.5 million"."""
    scale = 1.0
    for word in re.findall(r"[a-z]+", text.lower()):
        scale *= _SCALES.get(word) or _PLURAL_SCALES.get(word) or 1.0
    return scale
