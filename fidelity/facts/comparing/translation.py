"""Compares the numbers of a translation into English with those of its source.

Each number matches one number of the other side, so that "3, 3, 4" is not "3, 4, 4".
"""

import dataclasses
from collections.abc import Sequence

from fidelity.facts.comparing.pairing import Exchanged, Pairing
from fidelity.facts.comparing.quantities import same_number
from fidelity.facts.comparing.typed import Findings, discrepancies, shares
from fidelity.facts.reading.number_words import foreign_numbers
from fidelity.facts.reading.numbers import Number
from fidelity.facts.reading.parsed import Parsed


def compare_translated_numbers(pairing: Pairing, language: str) -> Findings:
    """Scores and discrepancies of the numbers, including years, of an English rewrite and a source in `language`."""
    ours, theirs = _english(pairing.rewrite), foreign_numbers(pairing.source.prose, language)
    left_ours, left_theirs = _unmatched(ours, theirs)
    unsupported = [number for number in left_ours if not _counted_elsewhere(number, theirs)]
    missing = [number for number in left_theirs if not _counted_elsewhere(number, ours)]
    surplus = [number for number in left_ours if not number.is_weak]
    deficit = [number for number in left_theirs if not number.is_weak]
    changed = [Exchanged(a, b, 1.0) for a, b in zip(surplus, deficit, strict=False) if a in unsupported or b in missing]
    n_ours = len({number.value for number in ours if not number.is_weak})
    n_theirs = len({number.value for number in theirs if not number.is_weak})
    scores = shares("number", unsupported, missing, n_ours, n_theirs, lambda number: number.value)
    scores["number_exchanged"] = float(min(len(surplus), len(deficit)))
    return scores, discrepancies("number", pairing, unsupported, missing, changed)


def _english(text: Parsed) -> list[Number]:
    """The numbers and years; ordinals and fractions in words are weak, since languages express them in many ways."""
    found = [
        dataclasses.replace(number, is_weak=True)
        if number.is_ordinal or (number.value < 1 and text.text[number.start].isalpha())
        else number
        for number in text.numbers
    ]
    for date in text.dates:
        if date.year is not None:
            found.append(Number((float(date.year),), None, date.start, date.end, is_weak=date.last - date.first > 371))
        if date.first == date.last:
            found.append(Number((float(date.first % 31 + 1),), None, date.start, date.end, is_weak=True))
    return sorted(found, key=lambda number: number.start)


def _unmatched(ours: Sequence[Number], theirs: Sequence[Number]) -> tuple[list[Number], list[Number]]:
    """The numbers left on each side after matching them one to one, strong ones first."""
    left_theirs = sorted(theirs, key=lambda number: number.is_weak)
    left_ours = []
    for number in sorted(ours, key=lambda number: number.is_weak):
        match = next((other for other in left_theirs if same_number(number, other)), None)
        if match is None:
            left_ours.append(number)
        else:
            left_theirs.remove(match)
    return left_ours, left_theirs


def _counted_elsewhere(number: Number, others: Sequence[Number]) -> bool:
    """The other side has the number too, only less often, or the number is weak."""
    return number.is_weak or any(same_number(number, other) or same_number(other, number) for other in others)
