"""The names of units in other languages, from the Unicode CLDR by Babel."""

import re
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.units import format_unit

from fidelity.facts.reading.measures.measure import Unit
from fidelity.facts.reading.measures.reader import unit_after

_SYMBOLS = {
    "length": "millimeter:mm centimeter:cm meter:m kilometer:km inch:in. foot:ft yard:yd mile:mi light-year:ly",
    "mass": "milligram:mg gram:g kilogram:kg pound:lb ounce:oz tonne:t",
    "duration": "second:s minute:min hour:h day:d week:wk month:mo year:yr",
    "temperature": "celsius:°C fahrenheit:°F",
    "angle": "degree:°",
    "area": "square-centimeter:cm² square-meter:m² square-kilometer:km² square-foot:ft² square-mile:mi²",
    "area/": "hectare:ha acre:ac",
    "volume": "milliliter:ml liter:l gallon:gal cubic-meter:m³",
    "speed": "kilometer-per-hour:kph mile-per-hour:mph meter-per-second:m/s knot:kt",
    "power": "watt:W kilowatt:kW megawatt:MW gigawatt:GW horsepower:hp",
    "energy": "joule:J kilojoule:kJ kilowatt-hour:kWh kilocalorie:kcal",
    "digital": "byte:B kilobyte:kB megabyte:MB gigabyte:GB terabyte:TB",
    "frequency": "hertz:Hz kilohertz:kHz megahertz:MHz gigahertz:GHz",
    "concentr": "percent:%",
}
# One number of each plural that some language has.
_COUNTS = (0, 1, 2, 3, 5, 11, 100, 1.5)
# In these the unit is before the number: "masaa 45".
_UNIT_FIRST = frozenset({"sw", "yo", "ln", "zu", "xh", "rw", "sn"})
_UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my", "yue"})


def foreign_unit_after(text: str, end: int, language: str) -> tuple[Unit, int] | None:
    """The unit named in words of a language after a number, and its end."""
    table = _names(language)
    if table is None:
        return None
    pattern, units = table
    match = pattern.match(text, end)
    return (units[match.group("name").lower()], match.end()) if match else None


@lru_cache(maxsize=64)
def _names(language: str) -> tuple[re.Pattern[str], dict[str, Unit]] | None:
    try:
        locale = Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        return None
    if language in _UNIT_FIRST:
        return None
    units: dict[str, Unit] = {}
    for kind, entries in _SYMBOLS.items():
        for entry in entries.split():
            name, _, symbol = entry.partition(":")
            unit = _unit(symbol)
            for spelled in _spelled(f"{kind}-{name}", locale):
                if unit and len(spelled) > (language not in _UNSPACED):
                    units.setdefault(spelled, unit)
    if not units:
        return None
    names = "|".join(re.escape(name) for name in sorted(units, key=len, reverse=True))
    # 30年代 are the thirties.
    boundary = "(?!代)" if language in _UNSPACED else r"(?!\w)"
    return re.compile(rf"[\s\u00a0\u202f]{{0,2}}(?P<name>{names}){boundary}", re.IGNORECASE), units


def _spelled(name: str, locale: Locale) -> set[str]:
    """All forms of the name of a unit, long and short, in lower case."""
    found = set()
    for length in ("long", "short"):
        for count in _COUNTS:
            try:
                written = format_unit(count, name, length, locale=locale)
            except (ValueError, LookupError):
                break
            spelled = re.sub(r"[\d.,٫\u200e\u200f]+", " ", written)
            found.add(" ".join(spelled.lower().split()))
    # German "in" is a short inch, and a preposition.
    return found - {name, "", "in"}


def _unit(symbol: str) -> Unit | None:
    found = unit_after(f"1 {symbol}", 1, in_digits=True)
    return found[0] if found else None
