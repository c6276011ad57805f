"""Roman numerals: of rulers and wars ("Louis XIV", "World War II"), and of what is numbered ("Chapter XLII").

Most words of the letters I, V, X, L, C, D and M are something else: Washington DC, a CD, an MD, size XL.
"""

import re
from collections.abc import Sequence

from fidelity.facts.reading.words import STOP_WORDS, Word

_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_NUMBERED = frozenset(
    "war chapter part volume vol act book section phase type title article appendix psalm canto bowl olympiad scene"
    " stage grade factor class figure table plate lecture lesson unit level verse legion".split()
)
# After a name, only these letters: names have small numbers, and DC, MD and CD are abbreviations.
_OF_NAMES = frozenset("IVX")
# After what is numbered, "Part CD" and "Section DC" are still more often labels.
_ABBREVIATIONS = frozenset("CD DC MD MC DM CV DI MI MM CC CM ML DL DIM MIX CIVIC DVD MDX LCD".split())


def roman_numeral(words: Sequence[Word], at: int) -> int | None:
    """The value of a Roman numeral after a name or after "Chapter"; a lone I, V, X, … only after the latter."""
    word = words[at]
    if len(word.text) > 3 and word.text.startswith(("MCM", "MDC", "MM")):  # a year
        return roman_value(word.text)
    if at == 0 or not _ROMAN.fullmatch(word.text) or word.text in _ABBREVIATIONS:
        return None
    before = words[at - 1]
    if before.lower not in _NUMBERED:
        is_name = (
            before.is_capitalized
            and len(before.text) > 1
            and not before.text.isupper()
            and before.lower not in STOP_WORDS
        )
        if not is_name or word.text == "I" or not _OF_NAMES.issuperset(word.text):
            return None
    return roman_value(word.text)


def roman_value(written: str) -> int | None:
    """The value of a Roman numeral, or None if it is none."""
    if not _ROMAN.fullmatch(written):
        return None
    digits = [_DIGITS[char] for char in written]
    return sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0], strict=True))
