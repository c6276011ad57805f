"""Words, stems and sentences of a text with their positions, the basis of all other fact extraction."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import Stemmer

from rephrase.corpus.sentences import sentence_spans

Span = tuple[int, int]

# Function words. Negators are not included: `polarity` handles them.
STOP_WORDS = frozenset(
    """a about above across after again against all also although am among an and another any anyone anything are
    around as at away back be became because become becomes been before being below between both but by came can come
    could did do does doing done down during each either else enough especially even ever every everyone everything few
    for from further furthermore gave get gets getting give given gives go goes going gone got had has have having he
    her here hers herself him himself his how however i if in indeed instead into is it its itself just kept know known
    last later least less let like made mainly make makes making many may maybe me meanwhile might mine more moreover
    most mostly much must my myself namely near now of off often on once one ones only onto or other others otherwise
    ought our ours ourselves out over own per perhaps put quite rather really said same say says see seem seemed seems
    several shall she should since so some someone something sometimes somewhat soon still such take taken takes than
    that the their theirs them themselves then there thereby therefore these they thing things this those though
    through throughout thus to together too took toward towards under unless until up upon us use used uses using very
    via was way we well went were what whatever when whenever where whereas wherever whether which while who whoever
    whole whom whose why will with within would yes yet you your yours yourself yourselves s t d ll re ve m etc e g i.e
    e.g mr mrs ms dr""".split()
)

# "U.S." is one word, "well-known" is two.
_WORD = re.compile(r"[^\W\d_](?:\.[^\W\d_](?![^\W\d_]))+\.?|[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,:/]\d+)*")
_POSSESSIVE = re.compile(r"['’]s?$")
_stemmer = Stemmer.Stemmer("english", 0)
_stemmer_lock = Lock()


@dataclass(frozen=True, slots=True)
class Word:
    """One word: as written, in lower case without a possessive, its stem, and its span in the text."""

    text: str
    lower: str
    stem: str
    start: int
    end: int

    @property
    def is_capitalized(self) -> bool:
        return self.text[0].isupper()

    @property
    def is_content(self) -> bool:
        """Neither a stop word nor a number."""
        return self.lower not in STOP_WORDS and self.text[0].isalpha()


@dataclass(frozen=True, slots=True)
class Sentence:
    """Characters `start` to `end` of the text, and the words in them.

    `stems` are the stems of its content words; `context` those of its uncapitalized content words, so without names and
    numbers: what the sentence says about its facts.
    """

    start: int
    end: int
    words: tuple[Word, ...]
    stems: frozenset[str]
    context: frozenset[str]


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The Porter2 stem of a lower-case English word, ignoring accents."""
    plain = fold(word)
    with _stemmer_lock:  # The stemmer is stateful, and the Checker calls it from a thread.
        return str(_stemmer.stemWord(plain))


@lru_cache(maxsize=200_000)
def fold(word: str) -> str:
    """The word without accents and with straight apostrophes."""
    if word.isascii():
        return word
    decomposed = unicodedata.normalize("NFKD", word.replace("’", "'"))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def words(text: str) -> list[Word]:
    """The words and the numbers of a text, in order."""
    found = []
    for match in _WORD.finditer(text):
        written = match.group()
        lower = _POSSESSIVE.sub("", written.lower())
        found.append(Word(written, lower, stem(lower), match.start(), match.end()))
    return found


def sentences(text: str, all_words: Sequence[Word]) -> list[Sentence]:
    """The sentences of a text that contain words."""
    found: list[Sentence] = []
    at = 0
    for start, end in sentence_spans(text):
        first = at
        while at < len(all_words) and all_words[at].start < end:
            at += 1
        inside = tuple(all_words[first:at])
        if inside:
            content = [word for word in inside if word.is_content]
            stems = frozenset(word.stem for word in content)
            context = frozenset(word.stem for word in content if not word.is_capitalized)
            found.append(Sentence(start, end, inside, stems, context))
    return found
