"""What a capital letter means: a name, or only a noun of German, a word of a heading, a text in capitals."""

import re
from collections.abc import Sequence
from functools import lru_cache

from fidelity.facts.reading.punctuation import is_sentence_end
from fidelity.facts.reading.words import STOP_WORDS, Sentence, Word
from rephrase.corpus.language import detect_language

# The languages that write every noun with a capital: German, Luxembourgish, and their neighbours without a standard.
_CAPITALISED_NOUNS = frozenset("de lb nds gsw bar ksh pfl pdc".split())
_MAX_CHARACTERS = 2000  # enough to tell the language
# Below this share of capitals inside sentences, a text is in none of them.
_MIN_CAPITALS = 0.1
# An article or preposition that has lost its vowel to the name: "l'Amérique", "dell'Italia", "d'Artagnan".
_ELIDED = re.compile(
    r"(?:l|d|j|m|n|s|t|c|qu|un|dell|all|dall|nell|sull|coll|quest|sant)['’](?=[^\W\d_]{2})", re.IGNORECASE
)


def is_heading(text: str, sentence: Sentence) -> bool:
    """Every word is capitalized, or written in capitals."""
    written = [word for word in sentence.words if word.text[0].isalpha()]
    if len(written) <= 4:
        return False
    if sum(len(word.text) > 1 and word.text.isupper() for word in written) > 0.7 * len(written):
        return True
    share = sum(is_capitalized(word) for word in written) / len(written)
    if share <= 0.7:
        return share > 0.6 and _has_capital_small_words(written)
    end = text[sentence.words[-1].end : sentence.end].strip()[:1]
    return not end or not is_sentence_end(end) or end in ":;" or _has_capital_small_words(written)


def _has_capital_small_words(written: Sequence[Word]) -> bool:
    """As in "How Did the City Grow?": words that are no names have capitals inside the sentence too."""
    return sum(word.is_capitalized and word.lower in STOP_WORDS and len(word.lower) > 1 for word in written[1:]) > 1


def capitalises_nouns(text: str, sentences: Sequence[Sentence]) -> bool:
    """Whether a capital says no more than that a word is a noun."""
    inner = [word for sentence in sentences for word in sentence.words[1:] if word.text[0].isalpha()]
    if sum(word.is_capitalized for word in inner) <= _MIN_CAPITALS * len(inner):
        return False
    return _language(text[:_MAX_CHARACTERS]) in _CAPITALISED_NOUNS


# A source is compared with all its variants within a short time.
_language = lru_cache(maxsize=512)(detect_language)


def bare(written: str) -> str:
    """The word without an elided article before it."""
    elided = _ELIDED.match(written)
    return written[elided.end() :] if elided else written


def is_capitalized(word: Word) -> bool:
    return word.is_capitalized or bare(word.text)[0].isupper()
