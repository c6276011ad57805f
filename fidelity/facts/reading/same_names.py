"""Names that are written differently and mean the same: countries and their people, abbreviations, spellings."""

import re
from collections.abc import Iterable

# Demonyms that do not start like their country, and other forms of the same name.
_ALIASES = [
    "us u.s. usa u.s.a. america american americans united_states",
    "uk u.k. britain british briton britons united_kingdom great_britain",
    "england english englishman englishmen",
    "france french frenchman frenchmen",
    "germany german germans",
    "spain spanish spaniard spaniards",
    "netherlands dutch holland",
    "greece greek greeks",
    "switzerland swiss",
    "wales welsh",
    "ireland irish",
    "scotland scottish scots scot",
    "denmark danish dane danes",
    "sweden swedish swede swedes",
    "norway norwegian norwegians",
    "finland finnish finn finns",
    "poland polish pole poles",
    "turkey turkish turk turks",
    "portugal portuguese",
    "ussr soviet soviets u.s.s.r. soviet_union",
    "philippines filipino filipinos philippine",
    "peru peruvian peruvians",
    "cyprus cypriot cypriots",
    "iceland icelandic",
    "thailand thai",
    "rome roman romans",
    "eu e.u. european europe european_union",
    "un u.n. united_nations",
    "nyc n.y.c. york",
    "la l.a. angeles",
    "dc d.c. washington",
    "north northern northerner northerners",
    "south southern southerner southerners",
    "east eastern easterner easterners",
    "west western westerner westerners",
    "congress congressional congressman congressmen congresswoman",
    "parliament parliamentary",
    "mount mt mt.",
    "fort ft ft.",
]
_GROUPS: dict[str, frozenset[int]] = {
    word: frozenset(index for index, line in enumerate(_ALIASES) if word in line.split())
    for word in " ".join(_ALIASES).split()
    if "_" not in word
}
_PAIRS = {
    (pair[0], pair[1]): index
    for index, line in enumerate(_ALIASES)
    for word in line.split()
    if len(pair := word.split("_")) == 2
}
# Postal abbreviations; those of two words are acronyms.
_STATES = dict(
    entry.split(":")
    for entry in (
        "al:alabama ak:alaska az:arizona ar:arkansas ca:california co:colorado ct:connecticut de:delaware fl:florida"
        " ga:georgia hi:hawaii id:idaho il:illinois in:indiana ia:iowa ks:kansas ky:kentucky la:louisiana me:maine"
        " md:maryland ma:massachusetts mi:michigan mn:minnesota ms:mississippi mo:missouri mt:montana ne:nebraska"
        " nv:nevada oh:ohio ok:oklahoma or:oregon pa:pennsylvania tn:tennessee tx:texas ut:utah vt:vermont va:virginia"
        " wa:washington wi:wisconsin wy:wyoming"
    ).split()
)
# What is left of a place and of its people after what they share: Ital|y and Ital|ian, German|y and German|.
_PLACE_ENDINGS = frozenset(("", "a", "e", "o", "y", "s", "ia", "ea", "land", "istan"))
_PEOPLE_ENDINGS = frozenset(
    form
    for ending in (
        "n",
        "an",
        "ian",
        "ean",
        "ese",
        "ish",
        "i",
        "er",
        "ite",
        "ic",
        "ist",
        "ism",
        "t",
        "m",
        "ern",
        "ional",
    )
    for form in (ending, f"{ending}s")
)
_BARE_PEOPLE = frozenset(("y", "istan"))
_SHORT_PREFIX = 4
# American and British spelling.
_SPELLINGS = [
    (re.compile(r"is(?=ation|ed|ing|e$|es$|er)"), "iz"),
    (re.compile(r"our(?=$|s$|ite|able)"), "or"),
    (re.compile(r"(?<=[bt])re(?=s?$)"), "er"),
    (re.compile(r"ence(?=s?$)"), "ense"),
]


def groups_of(words: Iterable[str], neighbours: Iterable[tuple[str, str]]) -> frozenset[int]:
    """The groups of aliases that words in lower case, or pairs of neighbouring ones, belong to."""
    found = {group for word in words for group in _GROUPS.get(word, ())}
    return frozenset(found | {_PAIRS[pair] for pair in neighbours if pair in _PAIRS})


def is_state(short: str, word: str) -> bool:
    """Whether one is the postal abbreviation of the other."""
    return _STATES.get(short) == word or _STATES.get(word) == short


def same_people(a: str, b: str) -> bool:
    """Russian and Russia, Italians and Italian, Communism and Communists: alike but for the ending of a people."""
    n_shared = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    # Where they go on alike, "a" is a part of "an": Cuba|n.
    if n_shared < _SHORT_PREFIX:
        return False
    rests = a[n_shared:], b[n_shared:]
    for place, people in (rests, rests[::-1]):
        if people in _PEOPLE_ENDINGS and (place in _PLACE_ENDINGS or place in _PEOPLE_ENDINGS):
            return True
        if not people and place in _BARE_PEOPLE:
            return True
    return False


def american_spelling(word: str) -> str:
    """The word as it would be spelled in the United States; other words change as well, but always in the same way."""
    for pattern, replacement in _SPELLINGS:
        word = pattern.sub(replacement, word)
    return word
