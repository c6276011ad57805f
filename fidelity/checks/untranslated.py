"""What a translation into English has left as it is in its source: letters, words, the way numbers are written."""

import re
from collections.abc import Iterator

from fidelity.checks.form import NEUTRAL_SCRIPTS, script
from rephrase.corpus.language import detect_language
from rephrase.corpus.protected import without_protected

# In brackets or quotation marks, a text may show a name or a word in its own script: "Li Bai (李白)".
_SHOWN = re.compile(r"[(（][^()（）\n]{1,30}[)）]|[“\"'‘「『《«][^\n]{1,30}?[”\"'’」』》»]")
_WORD = re.compile(r"[^\W\d_]{4,}")
# German writes all nouns with a capital letter; a name seldom follows one of these.
_BEFORE_NOUN = re.compile(
    r"(?:\b(?:der|die|das|des|dem|den|(?:k?ein|sein|ihr|mein|unser)\w{0,2}|jede[rsn]?|alle|viele|zum|zur|im|am|vom|beim|pro)"
    r"|\d)\s+(?:[a-zäöüß]+\s+)?\Z"
)
_BEFORE_CHARACTERS = 60
# Frequencies as log10 of occurrences among a billion words (the Zipf scale of wordfreq).
FOREIGN, ENGLISH = 1.5, 2.0
# As 12,50 in German, Spanish or French; "1,250" and the pair "(3,4)" are English.
_DECIMAL = re.compile(r"(?<![\d,.(\[])\d{1,9},\d{1,2}(?![\d,.)\]]*\d|[)\]])")


def foreign_letters(rewrite: str) -> str | None:
    """The first letters that are not Latin or mathematical, outside code, formulas, brackets and quotation marks."""
    prose = _SHOWN.sub(" ", without_protected(rewrite))
    found = "".join(char if char.isalpha() and script(char) not in NEUTRAL_SCRIPTS else " " for char in prose).split()
    return found[0] if found else None


def untranslated_word(source: str, rewrite: str) -> str | None:
    """The first word of the source that the rewrite copies, that is common in its language and unknown in English.

    Words with a capital letter are names, but in German after an article or a number.
    """
    copied = set(_WORD.findall(without_protected(rewrite)))
    if not copied:
        return None
    language = detect_language(source)
    if language == "en":
        return None
    from wordfreq import available_languages, zipf_frequency  # a second, and only translations need it

    if language not in available_languages():
        return None
    for word in _common_words(without_protected(source), copied, language == "de"):
        if zipf_frequency(word, language) >= FOREIGN and zipf_frequency(word, "en") < ENGLISH:
            return word
    return None


def _common_words(source: str, copied: set[str], is_german: bool) -> Iterator[str]:
    """The copied words that are no names, in their order."""
    for word in _WORD.finditer(source):
        if word.group() in copied:
            before = source[max(0, word.start() - _BEFORE_CHARACTERS) : word.start()]
            if word.group()[0].islower() or (is_german and _BEFORE_NOUN.search(before)):
                yield word.group()


def foreign_decimal(source: str, rewrite: str) -> str | None:
    """The first number with a decimal comma that stands in both texts."""
    prose = without_protected(rewrite)
    there = set(_DECIMAL.findall(without_protected(source)))
    return next((number for number in _DECIMAL.findall(prose) if number in there), None)
