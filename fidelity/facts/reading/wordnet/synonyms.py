"""Whether one English word can stand for another, by WordNet 3.0 (Princeton University; see LICENSE beside this file).

`synonyms.txt.gz` has a line for each set of synonyms: its words, a tab, and the numbers of the lines (from 0) that it
may be replaced by: its hypernyms, similar adjectives and derived forms. `compile_synonyms.py` makes it.
"""

import gzip
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from threading import Lock

import simplemma

SYNONYMS = Path(__file__).with_name("synonyms.txt.gz")
_lock = Lock()


@lru_cache(maxsize=100_000)
def can_mean(word: str, other: str) -> bool:
    """Whether `word` can say what `other` says: a synonym, a derived form, or a more general word.

    "sent" can stand for "dispatched" and "earned" for "grossed", but not the other way round: a more special word says
    more. Both words in lower case, in any form ("told"). Words that WordNet lacks can only stand for themselves.
    """
    return word == other or not _senses(word).isdisjoint(_replacements(other))


class Meanings:
    """What the words of a text, in lower case, can mean."""

    def __init__(self, words: Iterable[str]) -> None:
        known = set(words)
        self._senses = frozenset().union(*map(_senses, known))
        self._replacements = frozenset().union(*map(_replacements, known))

    def relates_to(self, word: str) -> bool:
        """Whether some word of the text can mean this one, or this one it."""
        return not (_senses(word).isdisjoint(self._replacements) and _replacements(word).isdisjoint(self._senses))


@lru_cache(maxsize=100_000)
def _senses(word: str) -> frozenset[int]:
    forms = {word, simplemma.lemmatize(word, "en").lower()}
    return frozenset().union(*(_wordnet()[0].get(form, ()) for form in forms))


@lru_cache(maxsize=100_000)
def _replacements(word: str) -> frozenset[int]:
    """Its senses and all that may stand for them."""
    senses = _senses(word)
    return senses.union(*(_wordnet()[1][sense] for sense in senses))


def _wordnet() -> tuple[dict[str, tuple[int, ...]], list[tuple[int, ...]]]:
    with _lock:  # of two threads that ask first, one reads it
        return _read()


@lru_cache(maxsize=1)
def _read() -> tuple[dict[str, tuple[int, ...]], list[tuple[int, ...]]]:
    """The senses of each word, and for each sense those that may replace it: a fifth of a second."""
    senses: dict[str, list[int]] = defaultdict(list)
    replacements: list[tuple[int, ...]] = []
    with gzip.open(SYNONYMS, "rt", encoding="ascii") as lines:
        for number, line in enumerate(lines):
            words, others = line.rstrip("\n").split("\t")
            for word in words.split():
                senses[word].append(number)
            replacements.append(tuple(map(int, others.split())))
    return {word: tuple(found) for word, found in senses.items()}, replacements
