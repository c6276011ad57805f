"""Plants one error in a text, which a check must reject; `faithful` has the edits that a check must accept.

Both take real text as it is (prose, Markdown, LaTeX or worked solutions) and depend only on the text and the random
generator. They find places to edit by simple patterns of their own, not by the extractors of `fidelity.facts`, so that
a check is not tested only on what it already detects.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import sentencex

from fidelity.planting.edits import MONTHS, Edit, prose
from fidelity.planting.faithful import faithful_edit
from fidelity.planting.planted_words import (
    ANTONYMS,
    COMPARATIVES,
    FORMULA_SIGNS,
    NAMES,
    NUMBER_WORDS,
    UNITS,
)
from rephrase.corpus.protected import formula_spans

Span = tuple[int, int]

__all__ = ["Planted", "PlantedKind", "faithful_edit", "plant"]


class PlantedKind(StrEnum):
    """What is wrong with a text after `plant`."""

    NUMBER = "number"
    UNIT = "unit"
    DATE = "date"
    NAME = "name"
    SWAPPED_NAMES = "swapped_names"
    NEGATION = "negation"
    ANTONYM = "antonym"
    COMPARATIVE = "comparative"
    DROPPED_SENTENCE = "dropped_sentence"
    ADDED_SENTENCE = "added_sentence"
    FORMULA = "formula"
    CUT_END = "cut_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A text with one error. It differs from the original only in `span`, which replaces `original_span`.

    A span may be empty: `span` if a sentence was dropped, `original_span` if one was added.
    """

    text: str
    kind: PlantedKind
    span: Span
    original_span: Span
    detail: str


_MONTH = "|".join(MONTHS)
_YEAR = r"(?:1[0-9]\d\d|20\d\d)"
_DATE_PLACES = re.compile(
    rf"(?P<day>\b\d{{1,2}}\b)(?=\s+(?:{_MONTH})\b)|(?<=\b)(?P<month>{_MONTH})(?=\s+\d{{1,4}}\b)"
    rf"|(?<![\w$€£.,/-])(?P<year>{_YEAR})(?![\w%]|[.,]\d|\s+(?:people|men|soldiers|troops|votes|miles|dollars|acres))"
    r"|\b(?P<century>1?\d)th(?=[\s-]century)|(?<![\w])(?P<decade>1[5-9]\d|20[0-2])(?=0s\b)"
)
_NUMBER_PLACES = re.compile(
    rf"(?<![\w$€£.,/\\^_{{#-])(?:(?P<money>[$€£])\s?)?(?P<digits>\d+(?:,\d{{3}})*(?:\.\d+)?)(?![\w^_]|[.,:/]\d)"
    rf"|\b(?P<word>{'|'.join(NUMBER_WORDS)})\b(?!-)"
)
# Numbers without meaning: of list items and references.
_MARKER = re.compile(r"^\s*\(?\d+[.)]\s|\[\d+\]|\]\([^)]*\)", re.MULTILINE)
_NAME = re.compile(r"[A-Z][a-zà-ÿ]+(?:\s(?:of\s(?:the\s)?)?[A-Z][a-zà-ÿ]+)*(?:\s[A-Z][a-zà-ÿ]+)*")
_AUXILIARY = re.compile(
    r"\b(?:is|was|were|are|has been|have been|had been|can|could|will|would|should|must|did|does)\b"
    r"(?=\s+[a-z]+)(?!\s+(?:not|never|no|n't)\b)"
)
_NOT = re.compile(r"\s+(?:not|never)\b(?!\s+only)")
_CONTRACTED = re.compile(r"\b(?:is|was|were|are|did|does|do|has|have|had|could|would|should)n['’]t\b")
_ARITHMETIC = re.compile(
    r"(?<=\d)\s*(?P<sign>[-+*/×])\s*(?=[$€£]?\(?\d[\d.,]*(?:\s[a-z]+)?[)\s]*(?:[-+*/×][^=\n]{1,40})?=)"
)


def plant(kind: PlantedKind, text: str, rng: random.Random, *, neighbour: str | None = None) -> Planted | None:
    """The text with one error of this kind at a random place, or None if it has no suitable place.

    `neighbour` is another text from which ADDED_SENTENCE takes its sentence; without it nothing can be added.
    """
    edit = _PLANTERS[kind](text, rng, neighbour)
    if edit is None or text[edit.start : edit.end] == edit.new:
        return None
    return Planted(
        text=text[: edit.start] + edit.new + text[edit.end :],
        kind=kind,
        span=(edit.start, edit.start + len(edit.new)),
        original_span=(edit.start, edit.end),
        detail=edit.detail or f"{text[edit.start : edit.end]!r} became {edit.new!r}",
    )


def _number(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    found = _MARKER.sub(lambda marker: " " * len(marker.group()), prose(text))
    places = [
        match
        for match in _NUMBER_PLACES.finditer(found)
        if match.group("word") or match.group("money") or not re.fullmatch(_YEAR, match.group("digits"))
    ]
    if not places:
        return None
    match = rng.choice(places)
    if word := match.group("word"):
        new = rng.choice([other for other in NUMBER_WORDS if other != word.lower()])
        return Edit(*match.span("word"), new)
    return Edit(*match.span("digits"), _other_number(match.group("digits"), rng))


def _other_number(written: str, rng: random.Random) -> str:
    """One digit changed, two adjacent digits swapped, or a zero appended: never the same value."""
    places = [i for i, char in enumerate(written) if char.isdigit()]
    swappable = [i for i in places if i + 1 < len(written) and written[i + 1 : i + 2].isdigit() and written[i] != "0"]
    swappable = [i for i in swappable if written[i] != written[i + 1] and written[i + 1] != "0"]
    way = rng.random()
    if way < 0.2 and swappable:
        i = rng.choice(swappable)
        return written[:i] + written[i + 1] + written[i] + written[i + 2 :]
    if way < 0.35 and "," not in written and "." not in written and written != "0":
        return written + "0"
    i = rng.choice(places)
    digits = [digit for digit in "123456789" if digit != written[i]]
    return written[:i] + rng.choice(digits) + written[i + 1 :]


def _unit(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    pattern = re.compile(rf"(?<=\d)[\s-]?\b({'|'.join(sorted(UNITS, key=len, reverse=True))})\b|(?<=\d)\s?(%)")
    words = rf"\b(?:{'|'.join(NUMBER_WORDS)}|hundred|thousand|million|billion)[\s-]"
    spelled = re.compile(words + rf"({'|'.join(sorted(UNITS, key=len, reverse=True))})\b")
    places = []
    for match in (*pattern.finditer(prose(text)), *spelled.finditer(prose(text))):
        group = 1 if match.group(1) else 2
        places.append((match.span(group), match.group(group)))
    if not places:
        return None
    (start, end), unit = rng.choice(places)
    if unit == "%":
        return Edit(start, end, " dollars" if text[start - 1].isdigit() else "dollars")
    return Edit(start, end, rng.choice(UNITS[unit]))


def _date(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    places = list(_DATE_PLACES.finditer(prose(text)))
    if not places:
        return None
    match = rng.choice(places)
    kind = match.lastgroup or ""
    old = match.group(kind)
    if kind == "month":
        new = rng.choice([month for month in MONTHS if month != old])
    elif kind == "day":
        new = str(rng.choice([day for day in range(1, 29) if day != int(old)]))
    elif kind == "year":
        new = str(int(old) + rng.choice([-1, 1]) * rng.choice([1, 2, 3, 5, 10, 20, 100]))
    elif kind == "century":
        new = str(rng.choice([century for century in range(4, 20) if century != int(old)]))
    else:
        new = str(int(old) + rng.choice([-3, -2, -1, 1, 2]))
    return Edit(*match.span(kind), new)


def _names(text: str) -> list[Span]:
    """Capitalized runs inside sentences, outside headings."""
    plain = prose(text)
    found = []
    for start, end in _sentences(plain):
        sentence = plain[start:end]
        words = re.findall(r"[^\W\d_]+", sentence)
        if not words or sum(word[0].isupper() for word in words) > 0.5 * len(words):
            continue
        opening = re.match(r"\W*\w+", sentence)
        for match in _NAME.finditer(sentence):
            before = sentence[: match.start()].rstrip(" ")
            if opening and match.start() < opening.end():
                continue
            if before[-1:] in '"“”‘:.!?\n*#' or match.group() in MONTHS or re.match(r"(?:I|The|A|An)\b", match.group()):
                continue
            found.append((start + match.start(), start + match.end()))
    return found


def _name(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    places = _names(text)
    if not places:
        return None
    start, end = rng.choice(places)
    old = text[start:end]
    pool = [text[a:b] for a, b in places]
    if rng.random() < 0.6:
        pool = list(NAMES)
    others = [name for name in pool if not set(name.split()) & set(old.split())]
    return Edit(start, end, rng.choice(others)) if others else None


def _swapped_names(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    places = _names(text)
    pairs = [
        (a, b)
        for i, a in enumerate(places)
        for b in places[i + 1 : i + 4]
        if not set(text[slice(*a)].split()) & set(text[slice(*b)].split())
        and re.search(r"\w", text[a[1] : b[0]].replace("and", "").replace("or", ""))
    ]
    if not pairs:
        return None
    (a_start, a_end), (b_start, b_end) = rng.choice(pairs)
    new = text[b_start:b_end] + text[a_end:b_start] + text[a_start:a_end]
    return Edit(a_start, b_end, new, f"{text[a_start:a_end]!r} and {text[b_start:b_end]!r} were swapped")


def _negation(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    plain = prose(text)
    edits = [Edit(match.end(), match.end(), " not") for match in _AUXILIARY.finditer(plain)]
    removals = [Edit(*match.span(), "") for match in _NOT.finditer(plain)]
    removals += [Edit(match.end() - 3, match.end(), "") for match in _CONTRACTED.finditer(plain)]
    if removals and (not edits or rng.random() < 0.4):
        return rng.choice(removals)
    return rng.choice(edits) if edits else None


def _one_word(text: str, rng: random.Random, table: dict[str, str]) -> Edit | None:
    pattern = re.compile(rf"\b(?:{'|'.join(sorted(table, key=len, reverse=True))})\b", re.IGNORECASE)
    places = list(pattern.finditer(prose(text)))
    if not places:
        return None
    match = rng.choice(places)
    new = table[match.group().lower()]
    return Edit(*match.span(), new.capitalize() if match.group()[0].isupper() else new)


def _antonym(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    return _one_word(text, rng, ANTONYMS)


def _comparative(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    return _one_word(text, rng, COMPARATIVES)


def _sentences(text: str) -> list[Span]:
    """Spans of sentences with at least five words."""
    return [
        (boundary["start_index"], boundary["end_index"])
        for boundary in sentencex.get_sentence_boundaries("en", text)
        if len(re.findall(r"[^\W\d_]{2,}", boundary["text"])) >= 5
    ]


def _dropped_sentence(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    places = _sentences(prose(text))
    if len(places) < 2:
        return None
    start, end = rng.choice(places)
    return Edit(start, end, "", f"{text[start:end].strip()!r} was dropped")


def _added_sentence(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    offered = [neighbour[a:b].strip() for a, b in _sentences(prose(neighbour))] if neighbour else []
    offered = [sentence for sentence in offered if sentence not in text and "\n\n" not in sentence]
    places = _sentences(prose(text))
    if not offered or not places:
        return None
    _, end = rng.choice(places)
    at = len(text[:end].rstrip())
    sentence = rng.choice(offered)
    return Edit(at, at, f" {sentence}", f"{sentence!r} was added")


def _formula(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    edits = []
    for start, end in formula_spans(text):
        for match in FORMULA_SIGNS[0].finditer(text, start, end):
            others = FORMULA_SIGNS[1][match.group().strip()]
            edits.append(Edit(*match.span(), match.group().replace(match.group().strip(), rng.choice(others))))
    plain = prose(text)
    for match in _ARITHMETIC.finditer(plain):
        others = [sign for sign in "+-*/" if sign != match.group("sign").replace("×", "*")]
        edits.append(Edit(*match.span("sign"), rng.choice(others)))
    return rng.choice(edits) if edits else None


def _cut_end(text: str, rng: random.Random, neighbour: str | None) -> Edit | None:
    words = [match.end() for match in re.finditer(r"\w+", text)]
    # At least five words are lost, and the rest does not end with a complete sentence.
    cuts = [end for end in words[len(words) // 2 : -5] if text[end : end + 1] in (" ", ",")]
    if not cuts:
        return None
    at = rng.choice(cuts)
    return Edit(at, len(text), "", f"{len(text) - at} characters were cut off at the end")


_PLANTERS: dict[PlantedKind, Callable[[str, random.Random, str | None], Edit | None]] = {
    PlantedKind.NUMBER: _number,
    PlantedKind.UNIT: _unit,
    PlantedKind.DATE: _date,
    PlantedKind.NAME: _name,
    PlantedKind.SWAPPED_NAMES: _swapped_names,
    PlantedKind.NEGATION: _negation,
    PlantedKind.ANTONYM: _antonym,
    PlantedKind.COMPARATIVE: _comparative,
    PlantedKind.DROPPED_SENTENCE: _dropped_sentence,
    PlantedKind.ADDED_SENTENCE: _added_sentence,
    PlantedKind.FORMULA: _formula,
    PlantedKind.CUT_END: _cut_end,
}
