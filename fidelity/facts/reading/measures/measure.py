"""What a unit measures: its dimension and size, and when two units are the same or can be converted."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """What one unit measures, and its size and zero in the dimension's base unit."""

    dimension: str
    size: float
    zero: float = 0.0


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as written; `measures` has several entries if the spelling is that of several units."""

    name: str
    measures: tuple[Measure, ...]
    above: tuple[Measure, ...] = ()  # of the unit before "per", if it has one

    @property
    def is_share(self) -> bool:
        """A percent sign, or ‰ or ppm."""
        return self.measures[0].dimension == "share"


def dimension(written: str) -> str:
    """A dimension in one order: "[length] / [time] ** 2" is "[length]^1 [time]^-2"."""
    above, _, below = written.partition(" / ")
    powers: Counter[str] = Counter()
    for side, sign in ((above, 1), (below.replace(" / ", " * "), -1)):
        for factor in side.split(" * "):
            name, _, power = factor.partition(" ** ")
            if name not in ("", "1", "dimensionless"):
                powers[name] += sign * round(float(power or 1))
    return _written(powers)


def _written(powers: Counter[str]) -> str:
    return " ".join(f"{name}^{power}" for name, power in sorted(powers.items()) if power)


def _powers(canonical: str) -> Counter[str]:
    powers: Counter[str] = Counter()
    for factor in canonical.split():
        name, _, power = factor.partition("^")
        powers[name] += int(power or 1)
    return powers


def divided(unit: Unit, by: Unit) -> Unit:
    """The unit per the other unit: km per h."""
    measures = []
    for a in unit.measures:
        for b in by.measures[:1]:
            powers = _powers(a.dimension)
            powers.subtract(_powers(b.dimension))
            measures.append(Measure(_written(powers), a.size / b.size))
    return Unit(f"{unit.name}/{by.name}", tuple(measures), above=unit.above or unit.measures)


def raised(unit: Unit, power: int) -> Unit:
    """The square or the cube of a unit."""
    measures = []
    for measure in unit.measures[:1]:
        powers = Counter({name: power * n for name, n in _powers(measure.dimension).items()})
        measures.append(Measure(_written(powers), measure.size**power))
    return Unit(f"{unit.name}{'²' if power == 2 else '³'}", tuple(measures))


def same_units(a: Unit | None, b: Unit | None) -> bool:
    """Whether the units can be the same; an omitted unit, or the omitted "per hour" of one, matches any."""
    if a is None or b is None or a == b:
        return True
    return (
        _share_measure(a.measures, b.measures)
        or _share_measure(a.above, b.measures)
        or _share_measure(a.measures, b.above)
    )


def _share_measure(ours: tuple[Measure, ...], theirs: tuple[Measure, ...]) -> bool:
    return any(
        math.isclose(x.size, y.size, rel_tol=1e-9) and x.zero == y.zero for x, y in _of_one_dimension(ours, theirs)
    )


def conversions(value: float, unit: Unit, to: Unit, *, difference: bool = True) -> Iterator[tuple[float, bool]]:
    """The values in another unit, and whether each is exact: 90 minutes are exactly 1.5 hours.

    `difference` says whether a temperature may be one of two: 18 °F are −8 °C, but a fall by 18 °F is one by 10 °C.
    """
    for theirs, ours in _of_one_dimension(unit.measures, to.measures):
        ratio = theirs.size / ours.size
        if theirs.zero or ours.zero:
            yield (value * theirs.size + theirs.zero - ours.zero) / ours.size, False
            if not difference:
                continue
        whole = round(max(ratio, 1 / ratio))
        # A difference of temperatures has no zero.
        if math.isclose(max(ratio, 1 / ratio), whole, rel_tol=1e-9) and not (theirs.zero or ours.zero):
            yield value * whole if ratio >= 1 else value / whole, True
        else:
            yield value * ratio, False


def convertible(a: Unit, b: Unit) -> bool:
    return any(True for _ in _of_one_dimension(a.measures, b.measures))


def _of_one_dimension(ours: tuple[Measure, ...], theirs: tuple[Measure, ...]) -> Iterator[tuple[Measure, Measure]]:
    return ((x, y) for x in ours for y in theirs if x.dimension == y.dimension)
