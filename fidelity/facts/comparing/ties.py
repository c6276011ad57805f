"""Dates and numbers that a rewrite gives to another name than its source does.

A clause with one name and one date ties them. If the source ties the Edict of Nantes to 1598 and another edict to 1685,
"The Edict of Nantes was issued in 1685" contradicts it, though all names and dates are those of the source. Whatever is
less plain is no tie, so that a rewording is never taken for a contradiction.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from fidelity.facts.comparing.pairing import Exchanged, F
from fidelity.facts.reading.dates import Date
from fidelity.facts.reading.names import Name
from fidelity.facts.reading.parsed import Parsed

_MAX_TIES = 200
_CLAUSE_END = re.compile(r"[,;:()]|\s(?:[-–—]{1,3}|and|but|while|whereas|or|who|which|when|where|as|after|before)\s")


@dataclass(frozen=True, slots=True)
class Tie:
    """A date and the name that its clause is about, and the stems of the other words of its sentence."""

    name: Name
    date: Date
    context: frozenset[str]


def moved_dates(rewrite: tuple[Parsed, Sequence[Name]], source: tuple[Parsed, Sequence[Name]]) -> list[Exchanged[Date]]:
    """Dates of the rewrite that the source ties to another name, each with the date that it ties to this name."""
    found: list[Exchanged[Date]] = []
    ours, theirs = (list(islice(_ties(*side), _MAX_TIES)) for side in (rewrite, source))
    for tie in ours:
        own = [other for other in theirs if _same_name(tie.name, other.name)]
        claimed = [other for other in theirs if _key(other.date) == _key(tie.date)]
        if (
            len(own) == len(claimed) == 1
            and own[0] is not claimed[0]
            and not _same_name(tie.name, claimed[0].name)
            and _says_the_same(tie, own[0])
            and not any(_same_name(each.name, tie.name) and _key(each.date) == _key(own[0].date) for each in ours)
        ):
            found.append(Exchanged(tie.date, own[0].date, 1.0))
    return found


def _ties(text: Parsed, names: Sequence[Name]) -> Iterator[Tie]:
    for sentence in text.sentences:
        ends = [match.start() for match in _CLAUSE_END.finditer(text.prose, sentence.start, sentence.end)]
        start = sentence.start
        # A comma within a date ends no clause.
        before = [bisect_left(text.dates, at, key=lambda date: date.start) - 1 for at in ends]
        ends = [at for at, i in zip(ends, before, strict=True) if i < 0 or text.dates[i].end <= at]
        for end in (*ends, sentence.end):
            dates, named = _within(text.dates, start, end), _within(names, start, end)
            if len(dates) == len(named) == 1 and dates[0].year is not None:
                yield Tie(named[0], dates[0], sentence.context)
            start = end


def _within(facts: Sequence[F], start: int, end: int) -> list[F]:
    first = bisect_left(facts, start, key=lambda fact: fact.start)
    return list(facts[first : bisect_left(facts, end, key=lambda fact: fact.start)])


def _key(date: Date) -> tuple[int, int]:
    return date.first, date.last


def _same_name(a: Name, b: Name) -> bool:
    return set(a.parts) <= set(b.parts) or set(b.parts) <= set(a.parts)


def _says_the_same(ours: Tie, theirs: Tie) -> bool:
    """The sentences share a word of what they say."""
    return bool(ours.context & theirs.context)
