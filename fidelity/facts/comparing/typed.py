"""Compares numbers, dates and names of a rewrite with those of its source."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from fidelity.facts.comparing.pairing import Exchanged, F, Pairing, exchanged
from fidelity.facts.comparing.quantities import same_number, same_value
from fidelity.facts.comparing.ties import moved_dates
from fidelity.facts.reading.dates import Date, inside
from fidelity.facts.reading.names import Name, NameIndex, english_names, recombined, unsupported_parts
from fidelity.facts.reading.numbers import Number
from fidelity.facts.reading.parsed import Parsed
from fidelity.facts.reading.same_names import groups_of
from fidelity.facts.reading.words import stem
from rephrase.records import Discrepancy

Findings = tuple[dict[str, float], list[Discrepancy]]
# "The two friends": a rewrite may count in words what its source lists, up to this many.
_MAX_COUNTED = 5
_LISTS = re.compile(r"[,;&/]|\b(?:and|or|nor|but|while|as well as|with)\b", re.IGNORECASE)
# Years between which a rewrite may count.
_MAX_YEARS = 40
_COUNTED = re.compile(r"\s+(later|earlier)\b", re.IGNORECASE)
# Of a year, as `dates` counts them: twelve months of 31.
_DAYS = 372
# Whole numbers in this range may be years that `dates` did not recognise.
_FIRST_YEAR, _LAST_YEAR = 1000, 2099


def compare_numbers(pairing: Pairing, derived: Sequence[float] = ()) -> Findings:
    """Scores and discrepancies of numbers; `derived` are results of steps that need no support."""
    ours, theirs = list(pairing.rewrite.numbers), list(pairing.source.numbers)
    ours_all, theirs_all = [*ours, *_implied(pairing.rewrite)], [*theirs, *_implied(pairing.source)]

    def worked_out(number: Number) -> bool:
        """A result that the rewrite works out, unless it is a number of the source with another unit."""
        return number.value in derived and not any(same_value(number, other) and other.unit for other in theirs)

    unsupported = [
        number
        for number in ours
        if not number.is_weak and not worked_out(number) and not _supported(number, theirs_all, same_number)
    ]
    our_spans = set(_years_between(pairing.rewrite))
    missing = [
        number
        for number in theirs
        if not number.is_weak
        and not _supported(number, ours_all, lambda a, b: same_number(b, a))
        and not (_COUNTED.match(pairing.source.prose, number.end) and _lasts(number, our_spans))
    ]
    changed = exchanged(pairing, ours_all, theirs_all, same_number, _is_stated)
    changed = [
        pair
        for pair in changed
        if not worked_out(pair.rewrite)
        and pair.rewrite.is_weak == pair.source.is_weak
        and (pair.rewrite.parts or pair.source.parts) == ()
    ]
    n_listed, spans = _n_listed(pairing.source), set(_years_between(pairing.source))
    lost = {number.start for number in missing}
    counted = {
        number.start
        for number in unsupported
        if _counts(pairing.rewrite.text, number, n_listed) or _lasts(number, spans)
    }
    changed = [pair for pair in changed if pair.rewrite.start not in counted or pair.source.start in lost]
    unsupported = [number for number in unsupported if number.start not in counted]
    wrong_units = {
        (number.start, number.end)
        for number in unsupported
        if number.unit and any(other.unit and same_value(number, other) for other in theirs)
    } | {
        (pair.rewrite.start, pair.rewrite.end)
        for pair in changed
        if pair.rewrite.unit and pair.source.unit and same_value(pair.rewrite, pair.source)
    }
    n_ours = len({number.value for number in ours if not number.is_weak})
    n_theirs = len({number.value for number in theirs if not number.is_weak})
    scores = shares("number", unsupported, missing, n_ours, n_theirs, lambda number: number.value)
    scores["number_exchanged"] = sum(pair.confidence for pair in changed)
    scores["unit_mismatch"] = float(len(wrong_units))
    return scores, discrepancies("number", pairing, unsupported, missing, changed)


def compare_dates(pairing: Pairing) -> Findings:
    """Scores and discrepancies of dates, those given to another name among them."""
    counted = _counted_years(pairing.source)
    ours, theirs = list(pairing.rewrite.dates), list(pairing.source.dates)
    ours_all, theirs_all = [*ours, *_of_numbers(pairing.rewrite)], [*theirs, *_of_numbers(pairing.source)]
    unsupported = [
        date for date in ours if _key(date) not in counted and not any(inside(date, other) for other in theirs_all)
    ]
    missing = [date for date in theirs if not any(inside(other, date) or inside(date, other) for other in ours_all)]
    changed = exchanged(pairing, ours, theirs, lambda a, b: inside(a, b) or inside(b, a), lambda date: True)
    changed = [pair for pair in changed if _key(pair.rewrite) not in counted]
    moved = moved_dates(*((text, _all_names(pairing, text)) for text in (pairing.rewrite, pairing.source)))
    known = {pair.rewrite.start for pair in changed}
    changed += [pair for pair in moved if pair.rewrite.start not in known]
    scores = shares(
        "date", unsupported, missing, len({_key(date) for date in ours}), len({_key(date) for date in theirs}), _key
    )
    scores["date_exchanged"] = sum(pair.confidence for pair in changed)
    return scores, discrepancies("date", pairing, unsupported, missing, changed)


def compare_names(pairing: Pairing) -> Findings:
    """Scores and discrepancies of names. A name of the source counts as kept if any of its words occurs."""
    ours, theirs = _all_names(pairing, pairing.rewrite), _all_names(pairing, pairing.source)
    our_index, their_index = NameIndex.of(pairing.rewrite.words, ours), NameIndex.of(pairing.source.words, theirs)
    # A word that is a name inside a sentence of one text is also a name at the start of a sentence of the other.
    sure = {part for name in (*ours, *theirs) if not name.is_weak for part in name.parts}
    ours, theirs = _sure(ours, sure), _sure(theirs, sure)
    stems = {part: stem(part) for name in (*ours, *theirs) for part in name.parts}
    unsupported = [name for name in ours if not name.is_weak and unsupported_parts(name, their_index, stems)]
    missing = [
        name
        for name in theirs
        if not name.is_weak and len(unsupported_parts(name, our_index, stems)) == len(name.parts)
    ]

    def same(a: Name, b: Name) -> bool:
        """Equal, or one is a part, an acronym or a demonym of the other."""
        mine, others = set(a.parts), set(b.parts)
        return (
            mine <= others
            or others <= mine
            or not unsupported_parts(a, _index_of(b), stems)
            or not unsupported_parts(b, _index_of(a), stems)
        )

    # A capital at the start of a sentence stands for a lost name only if no other sentence has that name.
    lost = {name.parts for name in theirs if len(unsupported_parts(name, our_index, stems)) == len(name.parts)}
    changed = exchanged(pairing, ours, theirs, same, lambda name: True)
    changed = [
        pair for pair in changed if not pair.rewrite.is_weak or (not pair.source.is_weak and pair.source.parts in lost)
    ]
    scores = shares(
        "name",
        unsupported,
        missing,
        len({name.parts for name in ours if not name.is_weak}),
        len({name.parts for name in theirs if not name.is_weak}),
        lambda name: name.parts,
    )
    # "John Smith" for the source's Smith adds a first name; "John Brown" is another man.
    extended = {name.parts for name in unsupported if name.parts[-1] not in unsupported_parts(name, their_index, stems)}
    scores["name_unsupported"] -= len(extended) / 2
    scores["name_exchanged"] = sum(pair.confidence for pair in changed)
    mixed = [name for name in ours if recombined(name, their_index)]
    scores["name_recombined"] = float(len({name.parts for name in mixed}))
    return scores, discrepancies("name", pairing, [*unsupported, *mixed], missing, changed)


def _all_names(pairing: Pairing, text: Parsed) -> list[Name]:
    """Its names, without words that only it writes with capitals: "the 'Celebrity' episodes"."""
    other = pairing.rewrite if text is pairing.source else pairing.source
    names = english_names(text.prose, text.sentences, text.lower_words | other.lower_words, text.claimed())
    uncapitalized = other.lower_words - text.lower_words - {w.lower for w in other.words if w.is_capitalized}
    return [name for name in names if not uncapitalized.issuperset(name.parts)]


def _index_of(name: Name) -> NameIndex:
    parts = frozenset(name.parts)
    letters = "".join(part[0] for part in name.parts)
    return dataclasses.replace(
        NameIndex.of((), (name,)),
        words=parts,
        stems=frozenset(map(stem, parts)),
        acronyms=frozenset(letters[:n] for n in range(2, len(letters) + 1)),
        groups=groups_of(parts, pairwise(name.parts)),
    )


def _sure(names: Sequence[Name], sure: set[str]) -> list[Name]:
    return [
        dataclasses.replace(name, is_weak=False) if name.is_weak and sure.issuperset(name.parts) else name
        for name in names
    ]


def _supported(number: Number, others: Sequence[Number], same: Callable[[Number, Number], bool]) -> bool:
    """The other text has the number, or all the numbers of which it is written: 3:45 for 3 minutes 45 seconds."""
    if any(same(number, other) for other in others):
        return True
    parts = list(number.of_parts()) if number.unit else []
    return bool(parts) and all(any(same(part, other) for other in others) for part in parts)


def _is_stated(number: Number) -> bool:
    """Whether another number in its place is a change: of the weak ones fractions, ordinals and hours."""
    return (
        not number.is_weak
        or 0 < number.value < 1
        or (number.is_ordinal and number.value > 1)
        or bool(number.unit and number.unit.measures[0].dimension.startswith("clock"))
    )


def _n_listed(text: Parsed) -> int:
    """How many things one sentence of the text may list."""
    return 1 + max((len(_LISTS.findall(text.prose, each.start, each.end)) for each in text.sentences), default=0)


def _counts(text: str, number: Number, n_listed: int) -> bool:
    """A small number in words that the source does not state but shows."""
    is_word = text[number.start].isalpha() and not number.is_ordinal and number.unit is None
    return is_word and 2 <= number.value <= min(_MAX_COUNTED, n_listed)


def _years_between(text: Parsed) -> Iterator[int]:
    """The differences of the years of a text: "seven years later"."""
    years = sorted({date.year for date in text.dates if date.year is not None})[:_MAX_YEARS]
    return (later - earlier for i, earlier in enumerate(years) for later in years[i + 1 :])


def _counted_years(text: Parsed) -> set[tuple[int, int]]:
    """The years to which a text counts from the last one before: 1943, if it says 1941 and then "two years later"."""
    found = set()
    years = [(date.start, date.year) for date in text.dates if date.year is not None]
    for number in text.numbers:
        word = _COUNTED.match(text.prose, number.end)
        before = [year for start, year in years if start < number.start]
        if word and before and number.unit and number.unit.name == "yr" and number.value.is_integer():
            year = before[-1] + int(number.value) * (1 if word.group(1).lower() == "later" else -1)
            found.add((_DAYS * year, _DAYS * (year + 1) - 1))
    return found


def _lasts(number: Number, spans: set[int]) -> bool:
    return bool(number.unit and number.unit.name == "yr") and number.value in spans


def _implied(text: Parsed) -> list[Number]:
    """Numbers that support those of the other text and need no support: of dates, of fractions and ratios."""
    return [*_of_dates(text), *(part for number in text.numbers for part in number.of_parts())]


def _of_dates(text: Parsed) -> list[Number]:
    """Years and days of dates as numbers: the other text's "1776" may have been read as a plain number."""
    found = []
    for date in text.dates:
        if date.year is not None:
            found.append(Number((float(date.year),), None, date.start, date.end, is_weak=True))
            if date.last - date.first > _DAYS:  # "the 20th century", "the 1960s"
                found.append(Number((float(date.first // 37200 + 1),), None, date.start, date.end, is_weak=True))
        if date.first == date.last:
            days = (date.first, date.first if date.swapped is None else date.swapped)
            found.append(Number(tuple(float(day % 31 + 1) for day in days), None, date.start, date.end, is_weak=True))
    return found


def _of_numbers(text: Parsed) -> list[Date]:
    return [
        Date(int(number.value) * _DAYS, int(number.value) * _DAYS + _DAYS - 1, number.start, number.end)
        for number in text.numbers
        if _FIRST_YEAR <= number.value <= _LAST_YEAR and number.value.is_integer() and number.unit is None
    ]


def _key(date: Date) -> tuple[int, int]:
    return date.first, date.last


def shares(
    kind: str,
    unsupported: Sequence[F],
    missing: Sequence[F],
    n_rewrite: int,
    n_source: int,
    key: Callable[[F], object],
) -> dict[str, float]:
    """Support, coverage and counts of distinct facts; the shares are 1 where there are none."""
    n_unsupported, n_missing = len({key(fact) for fact in unsupported}), len({key(fact) for fact in missing})
    return {
        f"{kind}_support": 1 - n_unsupported / n_rewrite if n_rewrite else 1.0,
        f"{kind}_coverage": 1 - n_missing / n_source if n_source else 1.0,
        f"{kind}_unsupported": float(n_unsupported),
        f"{kind}_missing": float(n_missing),
    }


def discrepancies(
    kind: str,
    pairing: Pairing,
    unsupported: Sequence[F],
    missing: Sequence[F],
    changed: Sequence[Exchanged[F]],
) -> list[Discrepancy]:
    found, reported_ours, reported_theirs = [], set(), set()
    for pair in changed:
        reported_ours.add((pair.rewrite.start, pair.rewrite.end))
        reported_theirs.add((pair.source.start, pair.source.end))
        ours = pairing.rewrite.text[pair.rewrite.start : pair.rewrite.end]
        theirs = pairing.source.text[pair.source.start : pair.source.end]
        found.append(
            Discrepancy(
                kind=kind,
                problem="changed",
                source=(pair.source.start, pair.source.end),
                rewrite=(pair.rewrite.start, pair.rewrite.end),
                detail=f"{ours}; the source has {theirs}",
            )
        )
    for fact in unsupported:
        place = (fact.start, fact.end)
        if place not in reported_ours:
            reported_ours.add(place)
            ours = pairing.rewrite.text[fact.start : fact.end]
            detail = f"{ours} is not in the source"
            found.append(Discrepancy(kind=kind, problem="unsupported", source=None, rewrite=place, detail=detail))
    for fact in missing:
        place = (fact.start, fact.end)
        if place not in reported_theirs:
            reported_theirs.add(place)
            theirs = pairing.source.text[fact.start : fact.end]
            detail = f"{theirs} from the source is missing"
            found.append(Discrepancy(kind=kind, problem="missing", source=place, rewrite=None, detail=detail))
    return found
