"""Edits that keep the meaning of an English text: a check must not reject them.

Numbers and dates in other forms, contractions, safe synonyms, a time phrase moved to the end, sentences joined and
split, a person's first name omitted. They find places to edit by simple patterns and leave formulas, code and commands
alone. The counterpart of `planted`: the rejected share of these texts is the false reject rate.
"""

import random
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import sentencex

from fidelity.planting.edits import MONTHS, Edit, apply_edits, prose
from fidelity.planting.faithful_words import CONTRACTIONS, GIVEN_NAMES, OPENINGS, SYNONYMS
from fidelity.planting.planted_words import NUMBER_WORDS

_MONTH = "|".join(MONTHS)
_SMALL = {value: word for word, value in NUMBER_WORDS.items()}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_ORDINAL_CENTURIES = {
    15: "fifteenth",
    16: "sixteenth",
    17: "seventeenth",
    18: "eighteenth",
    19: "nineteenth",
    20: "twentieth",
}
# No such character right before or after: the number would be part of a larger number, a date or a formula.
_FREE = r"(?<![\w$€£.,/\\^_{{#:-])"
_END = r"(?![\w^_%]|[.,:/-]\d)"

_FRONTED = re.compile(
    r"(In|During|On|By|After|Before) ([^,.;:]{3,40}), "
    r"((?:the|a|an|he|she|it|they|[A-Z]\w+)\b[^,;:()\"“”]+)\.(\s*)"
)


def faithful_edit(text: str, rng: random.Random, *, share: float = 0.5) -> str:
    """The text with about this share of the possible edits applied."""
    for edits in _EDITS:
        text = apply_edits(text, [edit for edit in edits(text) if rng.random() < share])
    return text


def _numbers(text: str) -> Iterator[Edit]:
    plain = prose(text)
    for match in re.finditer(rf"{_FREE}(\d{{1,3}}(?:,\d{{3}})+){_END}", plain):
        value = int(match.group(1).replace(",", ""))
        for name, scale in reversed(_SCALES.items()):
            if scale >= 10**6 and value >= scale and value % (scale // 100) == 0:
                yield Edit(*match.span(), f"{value / scale:g} {name}")
                break
        else:
            yield Edit(*match.span(), str(value))
    for match in re.finditer(rf"{_FREE}(\d+(?:\.\d+)?) (million|billion){_END}", plain):
        exact = float(match.group(1)) * _SCALES[match.group(2)]
        if exact.is_integer():
            yield Edit(*match.span(), f"{int(exact):,}")
    whole = rf"(?![-\s]*(?:and a half|\w*teen|hundred|thousand|million|half|third|one|{'|'.join(NUMBER_WORDS)})\b)"
    for match in re.finditer(rf"\b({'|'.join(NUMBER_WORDS)})\b{whole}", plain):
        if plain[match.start() - 1 : match.start()] != "-" and plain[match.end() : match.end() + 1] != "-":
            yield Edit(*match.span(), str(NUMBER_WORDS[match.group(1)]))
    for match in re.finditer(rf"{_FREE}(\d{{1,2}}){_END}(?=\s[a-z])(?!\s(?:percent|(?:of\s)?(?:{_MONTH})))", plain):
        # Worked solutions keep their digits: "<<2*5=10>>10".
        after_month = re.search(rf"(?:{_MONTH})\s$", plain[: match.start()])
        if not after_month and "<<" not in text and (word := _SMALL.get(int(match.group(1)))):
            yield Edit(*match.span(1), word)
    for match in re.finditer(r"(?<=\d)( percent|%)(?!\w)", plain):
        yield Edit(*match.span(), "%" if match.group() == " percent" else " percent")
    for match in re.finditer(r"\b[Aa] dozen\b", plain):
        yield Edit(*match.span(), "12" if match.group()[0] == "a" else "Twelve")
    for match in re.finditer(r"(?<![\w])\$(\d+)(?![\w.,]*\d|\s(?:million|billion|trillion|thousand)|[-–])", plain):
        if text[match.end() : match.end() + 1] not in ("<", "$"):
            yield Edit(*match.span(), f"{match.group(1)} dollars")


def _dates(text: str) -> Iterator[Edit]:
    plain = prose(text)
    for match in re.finditer(rf"\b({_MONTH}) (\d{{1,2}}), (\d{{4}})\b,?", plain):
        month, day, year = match.groups()
        tail = "" if match.group().endswith(",") and (match.start() + match.end()) % 2 else ","
        tail = tail if match.group().endswith(",") else ""
        if (int(day) + int(year)) % 3 == 0:
            yield Edit(*match.span(), f"{year}-{MONTHS.index(month) + 1:02d}-{int(day):02d}{tail}")
        else:
            yield Edit(*match.span(), f"{day} {month} {year}{tail}")
    for match in re.finditer(rf"(?<![\w,])(\d{{1,2}}) ({_MONTH}) (\d{{4}})\b", plain):
        day, month, year = match.groups()
        yield Edit(*match.span(), f"{month} {day}, {year}")
    for match in re.finditer(r"\b(\d\d)th(?=[\s-]century)", plain):
        if word := _ORDINAL_CENTURIES.get(int(match.group(1))):
            yield Edit(*match.span(), word)
    for match in re.finditer(r"\b(\d{4})[-–](\d{4})\b", plain):
        yield Edit(*match.span(), f"{match.group(1)} to {match.group(2)}")


def _words(text: str) -> Iterator[Edit]:
    table = {**SYNONYMS, **CONTRACTIONS, **{short: long for long, short in CONTRACTIONS.items()}}
    pattern = re.compile(
        rf"(?<![\w'’-])(?:{'|'.join(sorted(map(re.escape, table), key=len, reverse=True))})(?![\w'’-])", re.I
    )
    plain = prose(text)
    for match in pattern.finditer(plain):
        new = table[match.group().lower()]
        if match.group()[0].islower():
            yield Edit(*match.span(), new)
        elif re.search(r"(?:^|[.!?]\s)\s*$", plain[max(0, match.start() - 4) : match.start()]):
            yield Edit(*match.span(), new[0].upper() + new[1:])


def _moved_phrases(text: str) -> Iterator[Edit]:
    """ "In 1990, the house burned." to "The house burned in 1990." in sentences without other commas."""
    plain = prose(text)
    for start, end in _sentences(plain):
        match = _FRONTED.fullmatch(plain[start:end])
        if match and not prose(text)[start:end].count("  "):
            preposition, phrase, rest, space = match.groups()
            yield Edit(start, end, f"{rest[0].upper()}{rest[1:]} {preposition.lower()} {phrase}.{space}")


def _joined_sentences(text: str) -> Iterator[Edit]:
    """Join two short sentences, "A. He b." to "A, and he b."; split at a semicolon, "A; b." to "A. B."."""
    plain = prose(text)
    spans = _sentences(plain)
    for (_, end), (start, stop) in pairwise(spans):
        first = re.match(rf"(?:{'|'.join(OPENINGS)})\b", plain[start:stop])
        gap = re.fullmatch(r"\.( ?)", text[len(plain[:end].rstrip()) - 1 : start])
        if first and gap and stop - start < 120:
            word = first.group()
            yield Edit(len(plain[:end].rstrip()) - 1, start + len(word), f", and {word.lower()}")
    for match in re.finditer(r"(?<=[a-z]); (?=[a-z])", plain):
        yield Edit(match.start(), match.end() + 1, f". {text[match.end()].upper()}")


def _shorter_names(text: str) -> Iterator[Edit]:
    """ "John Smith" to "Smith", after the full name and if there is no other Smith."""
    plain = prose(text)
    found = [
        match
        for match in re.finditer(r"\b([A-Z][a-z]+) ([A-Z][a-z]+)\b(?! [A-Z])(?!-)", plain)
        if match.group(1) in GIVEN_NAMES
    ]
    firsts: dict[str, set[str]] = {}
    for match in found:
        firsts.setdefault(match.group(2), set()).add(match.group(1))
    seen: set[str] = set()
    for match in found:
        if match.group() in seen and len(firsts[match.group(2)]) == 1:
            yield Edit(match.start(), match.start() + len(match.group(1)) + 1, "")
        seen.add(match.group())


def _sentences(plain: str) -> list[tuple[int, int]]:
    return [
        (b["start_index"], b["end_index"]) for b in sentencex.get_sentence_boundaries("en", plain) if b["text"].strip()
    ]


_EDITS: tuple[Callable[[str], Iterator[Edit]], ...] = (
    _dates,
    _numbers,
    _shorter_names,
    _moved_phrases,
    _joined_sentences,
    _words,
)
