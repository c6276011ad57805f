"""Proper names of a text, and whether another text has them, in part or as initials, acronym or demonym.

A name is a run of capitalized words ("Bank of America"). A capital at the start of a sentence says little: such a word
is a name only with further evidence. Otherwise it is weak: it may replace a name but needs no support itself. Where all
nouns have a capital, as in German, or all letters are capitals, a capital says nothing.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fidelity.facts.reading.capitals import bare, capitalises_nouns, is_capitalized, is_heading
from fidelity.facts.reading.notation.roman import roman_numeral, roman_value
from fidelity.facts.reading.same_names import american_spelling, groups_of, is_state, same_people
from fidelity.facts.reading.words import STOP_WORDS, Sentence, Span, Word, fold

_CONNECTORS = frozenset("of de la du del der van von da dos di bin ibn al el le the and &".split())
_TITLES = frozenset(
    "mr mrs ms dr sir lord lady king queen prince princess president senator governor general colonel captain major"
    " pope saint st professor prof judge justice emperor duke count minister secretary mayor rev reverend jr sr".split()
)
# Capitalized by convention but not names; months are handled by `dates`.
_NOT_NAMES = frozenset(
    "i i'm i've i'll i'd ok tv dvd cd january february march april may june july august september october november"
    " december bc ad bce ce am pm lrb rrb lsb rsb".split()
)
# A word with such an ending at the start of a sentence is hardly ever a name.
_COMMON_ENDING = re.compile(
    r"(?:ing|ed|ly|tion|tions|ment|ments|ness|ity|ities|ists?|ers|ors|ors|isms?|ance|ence|ies)$"
)
# Capitalized at the start of a sentence, such a word before a name is no part of it, and alone no name.
_OPENERS = frozenset(
    """adults afterwards ago almost always another anyone ask before besides children compare consider critics despite
    during early eventually everyone experts farmers few finally first following former formerly fourth he historians
    imagine initially inside later latest let like long look many meet men most much native nearby never new next no
    nobody none nor not note nothing notice now observers officials once only opponents others outside past people
    perhaps picture please politics pupils rather readers remember research researchers say scholars scientists second
    see since some sometimes soon still students supporters take there these think third this today tomorrow two unlike
    until upon usually visitors voters watch what when where which while who why with without women workers yesterday
    yes yet young""".split()
)
_DEMONYM_ENDING = re.compile(r"(?:ians?|ans?|eans?|ese|ish|is?|ics?|ers?|ites?)$")
# The Second World War is shortened together with its number.
_WORLD_WAR = re.compile(r"ww(?:i{1,3})?")
_INITIALS = 4
_BEGINNING = 6
_POSSESSIVE = re.compile(r"['’]s?$")


@dataclass(frozen=True, slots=True)
class Name:
    """A run of capitalized words. `parts` are its words in lower case, without connectors, accents and titles."""

    parts: tuple[str, ...]
    start: int
    end: int
    is_weak: bool = False
    # Which of its parts are next to each other, without "of" or a possessive between them.
    pairs: tuple[tuple[str, str], ...] = ()


def english_names(
    text: str, sentences: Sequence[Sentence], lower_words: frozenset[str] | set[str], claimed: Sequence[Span] = ()
) -> list[Name]:
    """The names of a text, in order.

    `lower_words` are the words that occur uncapitalized in either text, `claimed` the sorted spans of numbers (with
    their units) and dates: the Celsius of 20 degrees Celsius is no name.
    """
    if capitalises_nouns(text, sentences):
        return _acronym_names(sentences, claimed)
    inner = _inner_names(text, sentences)
    found: list[Name] = []
    claimed_words = _claimed_by(claimed)
    for sentence in sentences:
        if is_heading(text, sentence):
            continue
        words = sentence.words
        is_claimed = claimed_words(words)
        at = 0
        while at < len(words):
            stop = _run(text, words, at, is_claimed)
            if stop > at:
                found.extend(_name(text, words, at, stop, inner, lower_words))
            at = max(stop, at + 1)
    return found


def _claimed_by(claimed: Sequence[Span]) -> Callable[[Sequence[Word]], list[bool]]:
    """A function that says of each word whether it is a part of one of the spans."""
    starts = [start for start, _ in claimed]

    def is_claimed(word: Word) -> bool:
        before = bisect_left(starts, word.end) - 1
        return before >= 0 and claimed[before][1] > word.start

    return lambda words: [is_claimed(word) for word in words]


def _acronym_names(sentences: Sequence[Sentence], claimed: Sequence[Span]) -> list[Name]:
    """Words that no noun is written like: NATO, EU, McDonald, iPhone."""
    claimed_words = _claimed_by(claimed)
    return [
        Name((fold(word.lower),), word.start, word.end)
        for sentence in sentences
        if sum(word.text.isupper() for word in sentence.words) <= 0.7 * len(sentence.words)
        for word, is_claimed in zip(sentence.words, claimed_words(sentence.words), strict=True)
        if not is_claimed
        and sum(char.isupper() for char in bare(word.text)) > 1
        and roman_value(word.text.rstrip("e")) is None
    ]


def _inner_names(text: str, sentences: Sequence[Sentence]) -> set[str]:
    """Words that occur capitalized inside a sentence."""
    return {
        word.lower
        for sentence in sentences
        for word in sentence.words[1:]
        if is_capitalized(word) and not _opens(text, word)
    }


def _opens(text: str, word: Word) -> bool:
    """The position explains the capital: after a quotation mark, a colon, a bullet or a line break."""
    before = text[max(0, word.start - 3) : word.start]
    return not before.strip(" \t([{'’-–—") or before.rstrip(" ")[-1:] in '"“”‘:;.!?•*#|\n>}'


def _is_name_word(words: Sequence[Word], at: int) -> bool:
    word = words[at]
    return is_capitalized(word) and word.lower not in _NOT_NAMES and not _is_numeral(words, at)


def _is_numeral(words: Sequence[Word], at: int) -> bool:
    """A Roman numeral, by its place or because hardly an abbreviation looks so: XIV, MMXX, but not DC or MD."""
    written = words[at].text
    if len(written) < 2 or roman_value(written) is None:
        return False
    return roman_numeral(words, at) is not None or len(written) > 3 or set(written) <= set("IVX")


def _run(text: str, words: Sequence[Word], at: int, is_claimed: Sequence[bool]) -> int:
    """The index after the run of capitalized words that starts here; `at` itself if none does."""
    if is_claimed[at] or not _is_name_word(words, at):
        return at
    stop, index = at + 1, at + 1
    while index < len(words):
        gap = text[words[index - 1].end : words[index].start]
        if len(gap) > 2 + ("&" in gap) or gap.strip(" -.&’'\n"):
            break
        if is_claimed[index]:
            break
        if _is_name_word(words, index):
            if gap.startswith(".") and len(words[index - 1].text) > 3:  # an undetected sentence end
                break
            stop = index + 1
        elif not _connects(words, index) or index - stop >= 2:
            break
        index += 1
    return stop


def _connects(words: Sequence[Word], index: int) -> bool:
    """ "of", "de", "&"; "the" only after "of": "Bank of the West", but "Yesterday the Bank"."""
    word = words[index].lower
    if word == "the":
        return words[index - 1].lower == "of"
    return word in _CONNECTORS and word != "and"


def _name(
    text: str, words: Sequence[Word], at: int, stop: int, inner: set[str], lower_words: frozenset[str] | set[str]
) -> Iterable[Name]:
    first = words[at]
    opens = at == 0 or _opens(text, first)
    is_weak = False
    if opens and text[words[stop - 1].end :][:1] == ":":
        return  # a speaker, or what a note is about
    if opens and _is_small(first) and first.lower not in inner:
        at += 1
        while at < stop and words[at].lower in _CONNECTORS:
            at += 1
        if at == stop:
            return
    elif opens and first.lower not in inner:
        common = first.lower in lower_words or first.lower in _OPENERS or bool(_COMMON_ENDING.search(first.lower))
        if stop == at + 1:
            if common:
                return
            is_weak = True
        elif common:
            at += 1
    kept = [
        i
        for i in range(at, stop)
        if words[i].lower not in _CONNECTORS and words[i].lower not in _TITLES and not _is_small(words[i])
    ]
    parts = tuple(fold(bare(words[i].lower)) for i in kept)
    if parts:
        pairs = tuple(
            (a, b)
            for (i, a), (j, b) in pairwise(zip(kept, parts, strict=True))
            if j == i + 1 and not _POSSESSIVE.search(words[i].text)
        )
        yield Name(parts, words[at].start, words[stop - 1].end, is_weak, pairs)


def _is_small(word: Word) -> bool:
    """A function word, unless it is written like an acronym: who, but not WHO."""
    return word.lower in STOP_WORDS and (not word.text.isupper() or word.lower in ("a", "i"))


@dataclass(frozen=True, slots=True)
class NameIndex:
    """Everything in a text that can support a name."""

    words: frozenset[str]  # every word, in lower case and without accents
    stems: frozenset[str]
    spellings: frozenset[str]  # of the words of names, by `american_spelling`
    capitals: frozenset[str]
    acronyms: frozenset[str]
    groups: frozenset[int]
    pairs: frozenset[tuple[str, str]]  # of words that are neighbours, or nearly, by their beginnings
    alone: frozenset[str]  # names of one word

    @classmethod
    def of(cls, all_words: Sequence[Word], names: Sequence[Name]) -> "NameIndex":
        capitals = frozenset(part for name in names for part in name.parts)
        lower = [fold(bare(word.lower)) for word in all_words]
        # "Bank of the United States" has "bank united", "John F. Kennedy" has "john kennedy".
        plain = [word for word in lower if word not in _CONNECTORS and word not in _TITLES and word not in STOP_WORDS]
        acronyms = _acronyms(all_words) | {"ww" for word in lower if _WORLD_WAR.fullmatch(word)}
        return cls(
            words=frozenset(lower) | {word.replace(".", "") for word in lower if "." in word},
            stems=frozenset(word.stem for word in all_words),
            spellings=frozenset(map(american_spelling, capitals)),
            capitals=capitals
            | {"ww" for word in lower if _WORLD_WAR.fullmatch(word)}
            | {"".join(name.parts) for name in names if max(map(len, name.parts)) == 1},  # P&G
            acronyms=frozenset(acronyms),
            groups=groups_of(set(lower), pairwise(lower)),
            pairs=frozenset(
                map(_beginnings, (*pairwise(plain), *zip(plain, plain[2:], strict=False), *_of_pairs(lower)))
            ),
            alone=frozenset(name.parts[0] for name in names if len(name.parts) == 1),
        )

    def has(self, part: str, stem: str) -> bool:
        """Whether a word of a name occurs in the text in some form."""
        if part in self.words or stem in self.stems or american_spelling(part) in self.spellings:
            return True
        plain = part.replace(".", "")
        if len(plain) == 1:  # "J." for John, or in "JRR"
            return any(word[0] == plain or (len(word) <= _INITIALS and plain in word) for word in self.capitals)
        if plain in self.acronyms or plain in self.words:
            return True
        if not self.groups.isdisjoint(groups_of((part,), ())):
            return True
        return any(same_people(part, word) or is_state(part, word) for word in self.capitals)


def _of_pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The United States Constitution is the Constitution of the United States."""
    for at, word in enumerate(words):
        if word == "of" and at:
            yield from ((after, words[at - 1]) for after in words[at + 1 : at + 4])


def _acronyms(words: Sequence[Word]) -> set[str]:
    """The initials of every run of two to eight words whose first and last are capitalized."""
    found: set[str] = set()
    for at, word in enumerate(words):
        if not word.is_capitalized:
            continue
        letters = strict = word.lower[0]
        for index in range(at + 1, min(at + 8, len(words))):
            following = words[index]
            if not following.is_capitalized and following.lower not in _CONNECTORS | {"for", "on", "in"}:
                break
            letters += following.lower[0]
            strict += following.lower[0] if following.is_capitalized else ""
            if following.is_capitalized:
                found.update((letters, strict))
    return found


def unsupported_parts(name: Name, index: NameIndex, stems: dict[str, str]) -> list[str]:
    """The words of a name that the other text lacks in any form."""
    if len(name.parts) > 1 and "".join(part[0] for part in name.parts) in {
        word.replace(".", "") for word in index.capitals if len(word) <= 8
    }:
        return []
    known = {part for pair in pairwise(name.parts) if index.groups & groups_of((), (pair,)) for part in pair}
    return [part for part in name.parts if part not in known and not index.has(part, stems.get(part, part))]


def recombined(name: Name, index: NameIndex) -> bool:
    """Both words of a name occur in the other text but never together: "John Brown" from John Smith and James Brown."""
    for a, b in name.pairs:
        known = a in index.capitals and b in index.capitals
        # "The American John Brown" is what "John Brown, an American" was.
        is_apposition = a in index.alone and (b in index.alone or _DEMONYM_ENDING.search(a) is not None)
        if known and len(a) > 1 and len(b) > 1 and not is_apposition and _beginnings((a, b)) not in index.pairs:
            return True
    return False


def _beginnings(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0][:_BEGINNING], pair[1][:_BEGINNING]
