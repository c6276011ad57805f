"""The decimal mark and the group mark of a text, and what digits with such marks may mean.

Babel knows the marks of each language. A text may use another convention than its language does; a number that can
only be read in one way ("1.234.567", "12,50 €") then shows it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from babel import Locale, UnknownLocaleError

NARROW_SPACES = "\u00a0\u2009\u202f"
APOSTROPHES = "'’\u02bc"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """The decimal mark and the group mark of a text; `other` marks are group marks in some regions of the language."""

    decimal: str
    group: str
    other: str = ""


@lru_cache(maxsize=256)
def number_format(language: str) -> NumberFormat | None:
    """The number format of a language by its ISO 639-1 code; None if Babel does not know the language."""
    try:
        symbols = Locale.parse(language.replace("-", "_")).number_symbols["latn"]
    except (UnknownLocaleError, ValueError, KeyError, TypeError):
        return None
    # Spanish groups by points in Spain and by commas in Mexico.
    other = Locale.parse("es_419").number_symbols["latn"]["group"] if language == "es" else ""
    return NumberFormat(str(symbols["decimal"]), str(symbols["group"]), str(other))


_GROUPED_TWICE = re.compile(r"(?<![\w.,])[1-9]\d{0,2}([.,])\d{3}(?:\1\d{3})+(?![.,]?\d)")
_GROUPED_WITH_DECIMALS = re.compile(r"(?<![\w.,])[1-9]\d{0,2}([.,])\d{3}(?!\1)[.,]\d{1,2}(?![.,]?\d)")
_PRICE = re.compile(
    r"(?<![\w.,])\d{1,3}([.,])\d\d?(?=\s?(?:[€%]|[kcm]?m\b|k?g\b))|[€$£]\s?\d{1,3}([.,])\d\d(?![.,]?\d)"
)


@lru_cache(maxsize=512)
def format_of(text: str, language: str) -> NumberFormat | None:
    """The number format of a text: that of its language, unless its numbers show another one."""
    usual = number_format(language)
    groups = {match.group(1) for match in _GROUPED_TWICE.finditer(text)}
    groups |= {match.group(1) for match in _GROUPED_WITH_DECIMALS.finditer(text)}
    decimals = {match.group(1) or match.group(2) for match in _PRICE.finditer(text)}
    if len(groups) == 1 and not groups & decimals:
        (group,) = groups
        shown = NumberFormat("," if group == "." else ".", group)
    elif len(decimals) == 1 and not groups:
        (decimal,) = decimals
        shown = NumberFormat(decimal, "," if decimal == "." else ".")
    else:
        return usual
    return usual if usual and usual.decimal == shown.decimal else shown


def readings(written: str, format_: NumberFormat | None = None) -> tuple[float, ...]:
    """The values that digits with separators may have, most likely first.

    Without a format, "1.200" is 1200 or 1.2. With one it is what the language says, unless the mark is neither its
    decimal mark nor its group mark.
    """
    separators = re.findall(r"\D", written)
    if not separators:
        return (float(written),)
    groups = re.split(r"\D", written)
    whole = float("".join(groups))
    last = separators[-1]
    if len(set(separators)) > 1:
        return (float("".join(groups[:-1]) + "." + groups[-1]),)
    grouped = groups[0] != "0" and len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    grouped = grouped or (len(groups) > 2 and len(groups[-1]) == 3 and all(len(group) == 2 for group in groups[1:-1]))
    if len(separators) > 1:
        return (whole,) if grouped else (float(f"{groups[0]}.{groups[1]}"), *map(float, groups))
    decimal = float(f"{groups[0]}.{groups[1]}")
    if last in f" ٬{NARROW_SPACES}{APOSTROPHES}":
        return (whole,)
    if last == "٫" or not grouped:
        return (decimal,)
    if format_ and last == format_.decimal:
        # No language but English writes 2,000 for exactly two; a translator may keep the commas of an English source.
        is_copied = groups[-1] == "000" and format_.decimal == ","
        return (decimal, whole) if last == format_.other or is_copied else (decimal,)
    return (whole,) if format_ and last == format_.group else (whole, decimal)
