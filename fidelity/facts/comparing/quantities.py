"""Whether two numbers are the same: equal, converted between units, or correctly rounded."""

import math

from fidelity.facts.reading.measures.measure import conversions, convertible, same_units
from fidelity.facts.reading.numbers import Number

# Relative difference up to which a converted quantity is equal: conversions are rounded by hand. A number of more than
# two digits claims to be more exact.
CONVERSION_TOLERANCE = 0.03
# A converted quantity that is rounded to one digit, 3 miles for 5 km, may differ by this much.
MAX_ROUNDING = 0.1
# "about 1.2 million" for 1,234,567.
APPROXIMATION_TOLERANCE = 0.05
# Half a degree more than the rounding: 3 % of a few degrees is less than a thermometer shows.
DEGREES = 0.6


def same_number(rewrite: Number, source: Number) -> bool:
    """Whether the two numbers are equal, converted between units, or the rewrite's is correctly rounded."""
    if same_value(rewrite, source) and same_units(rewrite.unit, source.unit):
        return True
    if rewrite.unit and source.unit and not same_units(rewrite.unit, source.unit):
        return convertible(source.unit, rewrite.unit) and _converted(rewrite, source)
    is_share = bool(rewrite.unit and rewrite.unit.is_share), bool(source.unit and source.unit.is_share)
    if is_share[0] != is_share[1]:
        ours = rewrite.value * (rewrite.unit.measures[0].size if rewrite.unit else 1)
        theirs = source.value * (source.unit.measures[0].size if source.unit else 1)
        return (rewrite.unit is None or source.unit is None) and math.isclose(ours, theirs, rel_tol=0.02)
    return _rounded(rewrite, source, source.value)


def same_value(rewrite: Number, source: Number) -> bool:
    """Equal except for the unit."""
    return any(_equal(a, b) for a in rewrite.values for b in source.values)


def _converted(rewrite: Number, source: Number) -> bool:
    """The rewrite's quantity is the source's in another unit."""
    assert rewrite.unit
    assert source.unit
    for theirs in source.values:
        difference = source.is_difference and rewrite.is_difference
        for value, is_exact in conversions(theirs, source.unit, rewrite.unit, difference=difference):
            for ours in rewrite.values:
                if _equal(ours, value) or _rounded(rewrite, source, value):
                    return True
                if is_exact:
                    # 100 minutes are 1.67 hours; 1,520 m are not 1.5 km unless the digits say so.
                    if _rounds_to(value, ours, max(2, rewrite.n_digits)) and rewrite.n_digits > source.n_digits:
                        return True
                    continue
                exactness = 10.0 ** (1 - min(rewrite.n_digits, source.n_digits))
                tolerance = min(CONVERSION_TOLERANCE, exactness)
                if rewrite.is_approximate or source.is_approximate:
                    tolerance = max(tolerance, APPROXIMATION_TOLERANCE)
                if abs(ours - value) <= tolerance * abs(value) or _of_degrees(rewrite, ours, value):
                    return True
                n_digits = max(rewrite.n_digits, 1 if abs(ours) < 10 else 2)
                if _rounds_to(value, ours, n_digits) and abs(ours - value) <= MAX_ROUNDING * abs(value):
                    return True
    return False


def _of_degrees(rewrite: Number, ours: float, value: float) -> bool:
    is_temperature = bool(rewrite.unit and any(m.dimension == "[temperature]^1" for m in rewrite.unit.measures))
    return is_temperature and abs(ours - value) <= DEGREES


def _equal(a: float, b: float) -> bool:
    return a == b or math.isclose(a, b, rel_tol=1e-9)


def _rounds_to(value: float, rounded: float, n_digits: int) -> bool:
    """Whether the value, rounded to this many significant digits, is the other one."""
    if value == 0 or not math.isfinite(value):
        return rounded == value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - n_digits + 1)
    return math.isclose(round(value / step) * step, rounded, rel_tol=1e-9)


def _rounded(rewrite: Number, source: Number, theirs: float) -> bool:
    """The rewrite gives the source's number with fewer digits: 1.2 million for 1,234,567, 3.14 for 3.1416."""
    ours = rewrite.value
    if ours == 0 or theirs == 0 or rewrite.n_digits > source.n_digits or (ours < 0) != (theirs < 0):
        return False
    if rewrite.is_approximate and abs(theirs) >= 10 and abs(ours - theirs) <= APPROXIMATION_TOLERANCE * abs(theirs):
        return rewrite.n_digits < source.n_digits
    if abs(theirs) < 1000 and float(theirs).is_integer():
        return False
    if rewrite.n_digits < 2 or rewrite.n_digits == source.n_digits:
        return False
    return _rounds_to(theirs, ours, rewrite.n_digits)
