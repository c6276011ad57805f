"""Times of the day: "3 pm", "7 in the morning", "half past six", noon. The half of the day is the unit of the hour."""

import re
from collections.abc import Iterator, Sequence

from fidelity.facts.reading.measures.measure import Measure, Unit
from fidelity.facts.reading.notation.number import Number
from fidelity.facts.reading.words import Word

MORNING, AFTERNOON = (Unit(name, (Measure(f"clock:{name}", 1.0),)) for name in ("am", "pm"))
_HALF = re.compile(
    r"(?:\s?o['’]clock)?\s?(?:(?P<am>a\.?m\b\.?|in\sthe\smorning|midnight)"
    r"|p\.?m\b\.?|in\sthe\s(?:afternoon|evening)|noon|midday)(?!\w)",
    re.IGNORECASE,
)
# "5.45 p.m."
POINTED = re.compile(r"(?P<hour>1?\d)\.(?P<minute>[0-5]\d)(?!\d)")
_MINUTES = {"half": 30, "quarter": 15}
_PAST, _TO = frozenset(("past", "after")), frozenset(("to", "before", "till"))
_HOURS = "one two three four five six seven eight nine ten eleven twelve".split()
NAMED = {"noon": ((12.0,), AFTERNOON), "midday": ((12.0,), AFTERNOON), "midnight": ((0.0, 12.0, 24.0), MORNING)}


def half_after(text: str, end: int) -> tuple[Unit, int] | None:
    """The half of the day that is said after an hour, and its end."""
    match = _HALF.match(text, end)
    return (MORNING if match.group("am") else AFTERNOON, match.end()) if match else None


def hours(hour: float, half: Unit) -> tuple[float, ...]:
    """The hour of this half of the day, as it is said and as 24-hour clocks show it."""
    if hour == 12:
        return NAMED["noon"][0] if half is AFTERNOON else NAMED["midnight"][0]
    return (hour, hour + 12) if half is AFTERNOON else (hour,)


def named_time(words: Sequence[Word], at: int) -> Number | None:
    """Noon or midnight; weak, since they may be said otherwise."""
    word = words[at]
    if word.text not in NAMED:
        return None
    values, half = NAMED[word.text]
    return Number(values, half, word.start, word.end, is_weak=True)


def past_the_hour(text: str, words: Sequence[Word], at: int) -> Iterator[Number]:
    """Hour and minutes of "half past six" and "a quarter to six"."""
    start = words[at].start
    if words[at].lower == "a" and at + 1 < len(words) and words[at + 1].lower == "quarter":
        at += 1
    minutes = _MINUTES.get(words[at].lower)
    if minutes is None or at + 2 >= len(words):
        return
    link, hour = words[at + 1].lower, words[at + 2]
    value = _HOURS.index(hour.lower) + 1 if hour.lower in _HOURS else int(hour.text) if hour.text.isdecimal() else 0
    if (link not in _PAST and (link not in _TO or minutes == 30)) or not 1 <= value <= 12:
        return
    if link in _TO:
        value, minutes = (value - 2) % 12 + 1, 60 - minutes
    half, end = half_after(text, hour.end) or (None, hour.end)
    yield Number(hours(value, half) if half else (float(value),), half, start, end)
    yield Number((float(minutes),), None, start, end)
