"""Negation, opposites, direction, quantifiers and modality: small words that can reverse the meaning of a sentence.

These functions compare a sentence with its aligned sentences; counted over a whole document, such words mean nothing.
"""

import tomllib
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fidelity.facts.reading.wordnet import can_mean
from fidelity.facts.reading.words import Word, stem

_NEGATORS = frozenset(
    "not no never none nobody nothing neither nor without cannot can't nowhere hardly scarcely barely non".split()
)
# After "not", these make no negation: "not only", "not just".
_NOT_NEGATED = frozenset("only just merely simply alone least long".split())
# Words that imply a negation.
_NEGATIVE_VERBS = frozenset(
    stem(word)
    for word in "fail fails failed failing refuse refused lack lacks lacked lacking deny denied prevent prevented"
    " absence absent unable impossible unlikely rejected reject".split()
)
_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "anti")
# Before "to", these negate the verb after it.
_NEGATES_VERB = frozenset("fail fails failed failing unable".split())
# Quantities that a negator right before them makes small: "not many" is few.
_NEGATED_QUANTITIES = frozenset("many much often all every everyone always".split())
_SCOPE = 3  # number of content words after a negator that it negates
_WIDE_SCOPE = 6  # and that it may negate
# "Not as rigorous as" is less rigorous.
_DEGREES = frozenset("as so".split())
_LESS = frozenset("less fewer lower least".split())
# Before "defeated", these make it the loser who was.
_AUXILIARIES = frozenset("is are was were be been being got gets get".split())
_CONTEXT = 4  # words on each side that make up the context of a word
_MIN_CONTEXT = 0.1  # one of eight neighbours


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Opposites by stem, and the class of each quantifier and modal word; `forms` are the opposites as listed."""

    forms: frozenset[str]
    direction: dict[str, frozenset[str]]
    antonyms: dict[str, frozenset[str]]
    quantifiers: dict[str, str]
    modality: dict[str, str]


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The opposites and quantifiers of `polarity.toml`."""
    raw = tomllib.loads((Path(__file__).parent / "polarity.toml").read_text(encoding="utf-8"))
    return Lexicon(
        forms=frozenset(word for entry in (*raw["direction"], *raw["antonyms"]) for word in entry.split()),
        direction=_opposites(raw["direction"]),
        antonyms=_opposites(raw["antonyms"]),
        quantifiers={word: name for name, words in raw["quantifiers"].items() for word in words},
        modality={word: name for name, words in raw["modality"].items() for word in words},
    )


def _opposites(entries: Iterable[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for entry in entries:
        sides = [{stem(word) for word in side.split()} for side in entry.split("|")]
        for side, other in (sides, sides[::-1]):
            for word in side:
                found.setdefault(word, set()).update(other - side)
    return {word: frozenset(others) for word, others in found.items()}


def opposites_of(stem_: str) -> frozenset[str]:
    """The stems of the opposites that are listed for a stem."""
    tables = lexicon().antonyms, lexicon().direction
    return frozenset().union(*(table.get(stem_, frozenset()) for table in tables))


def are_listed_opposites(word: Word, other: Word) -> bool:
    """Whether both are listed as opposites in these very forms: "king" and "queen", not "remaining" and "left"."""
    return {word.lower, other.lower} <= lexicon().forms and other.stem in opposites_of(word.stem)


def is_negator(word: Word) -> bool:
    return word.lower in _NEGATORS or word.lower.endswith(("n't", "n’t"))


def negations(words: Sequence[Word]) -> list[Word]:
    """The negators; "not only" is not one."""
    following = [*(word.lower for word in words[1:]), ""]
    return [
        word
        for word, after in zip(words, following, strict=False)
        if (is_negator(word) and after not in _NOT_NEGATED) or (word.lower in _NEGATES_VERB and after == "to")
    ]


def negative_count(words: Sequence[Word]) -> int:
    """The number of negators and of words that imply a negation: "failed to", "unable"."""
    negators = negations(words)
    counted = set(map(id, negators))
    return len(negators) + sum(
        word.stem in _NEGATIVE_VERBS or (word.lower.startswith("un") and len(word.lower) > 6)
        for word in words
        if id(word) not in counted
    )


def negated_stems(words: Sequence[Word], *, scope: int = _SCOPE) -> dict[str, Word]:
    """The stems of negated content words, each with its negator; `scope` is how many of them a negator negates."""
    found: dict[str, Word] = {}
    at = {id(word): i for i, word in enumerate(words)}
    for negator in negations(words):
        left = scope
        quantity = words[at[id(negator)] + 1] if at[id(negator)] + 1 < len(words) else None
        if quantity and quantity.lower in _NEGATED_QUANTITIES:
            found.setdefault(quantity.stem, negator)
        for word in words[at[id(negator)] + 1 : at[id(negator)] + scope + 5]:
            if is_negator(word) or word.lower in ("but", "because", "although", "though", "while"):
                break
            if word.is_content:
                found.setdefault(word.stem, negator)
                left -= 1
                if not left:
                    break
    return found


def negated_differently(
    rewrite: Sequence[Word],
    source: Sequence[Word],
    *,
    rewrite_around: Sequence[Sequence[Word]] = (),
    source_around: Sequence[Sequence[Word]] = (),
) -> list[tuple[Word, Word]]:
    """Content words in both texts that only one negates, as (word of the rewrite, word of the source).

    `…_around` are the sentences of each text that say the same as the other's: what some negator there may negate does
    not count. Neither does a negation with an opposite: "did not differ" and "was similar", "not as rigorous" and "less
    stringent".
    """
    ours, theirs = negated_stems(rewrite), negated_stems(source)
    if not ours and not theirs:
        return []
    ours_all = {word.stem: word for word in rewrite if word.is_content}
    theirs_all = {word.stem: word for word in source if word.is_content}
    ours_around, theirs_around = _possibly_negated(rewrite_around), _possibly_negated(source_around)
    our_heads, their_heads = _heads(ours), _heads(theirs)
    turned = [*_turned(rewrite, ours, source, theirs), *_turned(source, theirs, rewrite, ours)]

    def is_excused(key: str) -> bool:
        """Negated in the other text too, if not by a negator that negates the same word in both."""
        mine, heads, around = (ours, our_heads, theirs_around) if key in ours else (theirs, their_heads, ours_around)
        return any(head == heads[id(mine[key])] or head not in heads.values() for head in around.get(key, ()))

    found = [
        (ours.get(key) or ours_all[key], theirs.get(key) or theirs_all[key])
        for key in ours_all.keys() & theirs_all.keys()
        if (key in ours) != (key in theirs)
        and not is_excused(key)
        and not any((ours.get(key) or theirs.get(key)) is negator for negator in turned)
    ]
    return sorted(found, key=lambda pair: pair[0].start)


def _heads(negated: dict[str, Word]) -> dict[int, str]:
    """The first content word that each negator negates, by the negator's identity."""
    found: dict[int, str] = {}
    for key, negator in negated.items():
        found.setdefault(id(negator), key)
    return found


def _possibly_negated(sentences: Iterable[Sequence[Word]]) -> dict[str, set[str]]:
    """The content words that some negator may negate, each with the first word after that negator."""
    found: dict[str, set[str]] = {}
    for words in sentences:
        negated = negated_stems(words, scope=_WIDE_SCOPE)
        heads = _heads(negated)
        for key, negator in negated.items():
            found.setdefault(key, set()).add(heads[id(negator)])
    return found


def _turned(
    words: Sequence[Word], negated: dict[str, Word], others: Sequence[Word], others_negated: dict[str, Word]
) -> list[Word]:
    """The negators of `words` for which the other text has an opposite, of its own, of what they negate first."""
    theirs = {word.stem for word in others}
    new = theirs - {word.stem for word in words} - others_negated.keys()
    heads = _heads(negated)
    found = [
        negator
        for key, negator in negated.items()
        if heads[id(negator)] == key and key not in theirs and new & opposites_of(key)
    ]
    if any(word.lower in _LESS and word.stem in new for word in others):
        found += [word for i, word in enumerate(words) if is_negator(word) and _compares(words[i + 1 : i + 6])]
    return found


def _compares(words: Sequence[Word]) -> bool:
    """Begins "as rigorous as" or "so long as"."""
    return bool(words) and words[0].lower in _DEGREES and any(word.lower == "as" for word in words[2:])


def opposites(
    rewrite: Sequence[Word], source: Sequence[Word], table: dict[str, frozenset[str]]
) -> list[tuple[Word, Word, float]]:
    """Words of the rewrite whose opposite the source has, as (word, opposite, similarity of their contexts).

    A word that both texts have does not count, and neither does "not rare" for "common", or a word that can mean its
    opposite ("left" and "remaining") or something else that the source says and the rewrite does not ("attacked" and
    "defend", where the source says "besieged").
    """
    ours, theirs = {word.stem: i for i, word in enumerate(rewrite)}, {word.stem: i for i, word in enumerate(source)}
    found = []
    our_negated, their_negated = negated_stems(rewrite), negated_stems(source)
    for key, i in ours.items():
        if key in theirs:
            continue
        for opposite in table.get(key, ()):
            j = theirs.get(opposite)
            if j is None or opposite in ours or (key in our_negated) != (opposite in their_negated):
                continue
            similarity = context_similarity(rewrite, i, source, j)
            if _beats(rewrite, i) != _beats(source, j) or _says(rewrite, i, source, ours, similarity):
                continue
            found.append((rewrite[i], source[j], similarity))
    return found


def _says(rewrite: Sequence[Word], i: int, source: Sequence[Word], ours: Container[str], similarity: float) -> bool:
    """Whether a word that the rewrite has replaced can mean this one and stands where it does, or nearer."""
    return any(
        other.is_content
        and other.stem not in ours
        and not are_listed_opposites(rewrite[i], other)
        and can_mean(rewrite[i].lower, other.lower)
        and context_similarity(rewrite, i, source, k) >= max(similarity, _MIN_CONTEXT)
        for k, other in enumerate(source)
    )


def _beats(words: Sequence[Word], at: int) -> bool:
    """Whether the word is "defeated", said of the winner: then it means no loss."""
    before, after = words[max(0, at - 5) : at], words[at + 1 : at + 2]
    is_passive = any(word.lower in _AUXILIARIES for word in before) or any(word.lower == "by" for word in after)
    return words[at].lower == "defeated" and not is_passive


def prefixed_opposites(rewrite: Sequence[Word], source: Sequence[Word]) -> list[tuple[Word, Word, float]]:
    """Like `opposites`, for pairs formed by a prefix or by -less and -ful: impossible, useless."""
    found = []
    ours, theirs = {word.lower: i for i, word in enumerate(rewrite)}, {word.lower: i for i, word in enumerate(source)}
    our_stems, their_stems = {word.stem for word in rewrite}, {word.stem for word in source}
    our_negated, their_negated = negated_stems(rewrite), negated_stems(source)
    for mine, others, other_stems, my_stems, ours_first in (
        (ours, theirs, their_stems, our_stems, True),
        (theirs, ours, our_stems, their_stems, False),
    ):
        for word, i in mine.items():
            plain = _without_prefix(word)
            if plain is None or stem(word) in other_stems:
                continue
            j = others.get(plain)
            if j is None or stem(plain) in my_stems:
                continue
            a, b = (i, j) if ours_first else (j, i)
            mean_the_same = can_mean(word, plain) or can_mean(plain, word)  # an immigrant is a migrant
            if not mean_the_same and (rewrite[a].stem in our_negated) == (source[b].stem in their_negated):
                found.append((rewrite[a], source[b], context_similarity(rewrite, a, source, b)))
    return found


def _without_prefix(word: str) -> str | None:
    if word.endswith("less"):
        return f"{word[:-4]}ful"
    for prefix in _PREFIXES:
        if word.startswith(prefix) and len(word) >= len(prefix) + 4:
            return word[len(prefix) :]
    return None


def sides_changed(rewrite: Sequence[Word], source: Sequence[Word]) -> bool:
    """Whether what is compared has changed sides: "A is longer than B" and "B is shorter than A"."""
    places = [[i for i, word in enumerate(words) if word.lower == "than"] for words in (rewrite, source)]
    if len(places[0]) != 1 or len(places[1]) != 1:
        return False
    sides = [
        ({word.stem for word in words[:at] if word.is_content}, next((w.stem for w in words[at:] if w.is_content), ""))
        for words, (at,) in zip((rewrite, source), places, strict=True)
    ]
    (ours, our_last), (theirs, their_last) = sides
    return our_last != their_last and our_last in theirs and their_last in ours


def context_similarity(rewrite: Sequence[Word], i: int, source: Sequence[Word], j: int) -> float:
    """The similarity of the contexts of two words: 1 if every neighbour of the one is near the other."""
    ours = {word.stem for word in (*rewrite[max(0, i - _CONTEXT) : i], *rewrite[i + 1 : i + 1 + _CONTEXT])}
    wide = 2 * _CONTEXT
    theirs = {word.stem for word in (*source[max(0, j - wide) : j], *source[j + 1 : j + 1 + wide])}
    return len(ours & theirs) / len(ours) if ours else 1.0


def classes(words: Sequence[Word], table: dict[str, str]) -> dict[str, Word]:
    """The classes of quantifiers or modal words in a sentence, each with its first word."""
    found: dict[str, Word] = {}
    for i, word in enumerate(words):
        pair = f"{words[i - 1].lower} {word.lower}" if i else ""
        name = table.get(pair) or table.get(word.lower)
        if name:
            found.setdefault(name, word)
    return found
