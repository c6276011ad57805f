"""A number of a text, whatever its notation, and the two kinds that are written as several numbers."""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fidelity.facts.reading.measures.measure import Unit, conversions
from fidelity.facts.reading.notation.digits import Written
from fidelity.facts.reading.words import Span

# Between the parts of "6 ft 2 in" and "1 hour and 30 minutes".
_JOIN = re.compile(r",?\s(?:(?!to\b|or\b)[^\W\d_]{1,3}\s)?|\s?")
# Between the ends of a range: "5 bis 10 Millionen".
_RANGES = frozenset({"-", "–", "—", "~", "bis", "a", "à", "до", "至", "到", "から", "tot", "til", "do", "ile"})


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
    # The numbers of which it is written, in a reading that is less likely: 3 and 250 of "3 250", 1 and 16 of "1/16".
    parts: tuple[tuple[float, Span], ...] = ()
    # Whether a temperature may be the difference of two.
    is_difference: bool = True

    @property
    def value(self) -> float:
        return self.values[0]

    def of_parts(self) -> Iterator["Number"]:
        """Its parts as weak numbers."""
        return (Number((value,), None, *place, is_weak=True) for value, place in self.parts)


def numbers_of(text: str, start: int, read: Written) -> Iterator[Number]:
    """The number in digits, or those of a list, a time or a ratio."""
    if read.values:
        weak = read.values[0] in (0, 1)
        yield Number(read.values, None, start, read.end, weak, n_digits=read.n_digits, parts=read.parts)
        return
    for value, place in read.parts:
        if text[slice(*place)] != "00":  # of 16:00
            yield Number((value,), None, *place, is_weak=value in (0, 1))


def mixed_units(text: str, found: list[Number]) -> list[Number]:
    """ "6 ft 2 in" and "1 hour and 30 minutes" as one number of the smaller unit."""
    result: list[Number] = []
    for number in found:
        before = result[-1] if result else None
        if before and before.unit and number.unit and before.unit.name != number.unit.name:
            converted = next(
                (value for value, exact in conversions(before.value, before.unit, number.unit) if exact), 0
            )
            one = converted / before.value if before.value else 0
            if one > number.value > 0 and before.value % 1 == 0 and _JOIN.fullmatch(text, before.end, number.start):
                parts = (*(before.parts or _part(before)), *_part(number))
                result[-1] = dataclasses.replace(
                    number,
                    values=(converted + number.value,),
                    start=before.start,
                    n_digits=before.n_digits + 2,
                    parts=parts,
                )
                continue
        result.append(number)
    return result


def _part(number: Number) -> tuple[tuple[float, Span], ...]:
    return ((number.value, (number.start, number.end)),)


def scale_range(text: str, result: list[Number], scale: float) -> None:
    """In "5 bis 10 Millionen" the scale is that of both numbers."""
    if len(result) < 2 or scale < 1000:
        return
    low, high = result[-2:]
    if text[low.end : high.start].strip(" \u00a0").lower() in _RANGES and low.value * scale <= high.value:
        result[-2] = dataclasses.replace(low, values=tuple(value * scale for value in low.values), is_weak=False)
