"""What a translation into English has left as it is in its source: letters, words, the way numbers are written."""

import re
from collections.abc import Iterator

from fidelity.checks.form import NEUTRAL_SCRIPTS, script
from rephrase.corpus.language import detect_language
from rephrase.corpus.protected import code_spans, formula_spans, without_spans

# In brackets or quotation marks, a text may show a name or a word in its own script: "Li Bai (李白)".
_SHOWN = re.compile(
    r"[(（][^()（）\n]{1,30}[)）]|[“\"「『《«][^\n]{1,30}?[”\"」』》»]|(?<!\w)['‘][^'‘’\n]{1,30}['’](?!\w)"
)
# The okina of Hawaiʻi and the like; the cardinal numbers ℵ₀ and ℶ₁.
_NEUTRAL_SCRIPTS = NEUTRAL_SCRIPTS | {"MODIFIER"}
_NEUTRAL_LETTERS = frozenset("ℵℶℷℸ")
_WORD = re.compile(r"[^\W\d_]{4,}")
_ADDRESS = re.compile(r"(?<!\S)\S{0,200}?(?:://|@|www\.)\S*")
# German writes all nouns with a capital letter; a name seldom follows a number or one of these.
_BEFORE_NOUN = re.compile(r"(?:\b(?:k?ein\w{0,2}|jede[rsn]?|viele|pro)|\d)\s+\Z")
_AFTER_NUMBER = re.compile(r"\d\s+\Z")
_BEFORE_CHARACTERS = 20
# Languages whose words wordfreq cuts with a library of its own: in their texts, Latin letters are names and notation.
_NOT_LATIN = frozenset({"zh", "ja", "ko"})
# Frequencies as log10 of occurrences among a billion words (the Zipf scale of wordfreq).
FOREIGN, ENGLISH = 1.5, 2.0
# "1,250", the pair "(3,4)" and the list "n = 1,2" are English.
_DECIMAL = re.compile(r"(?<![\d,.(\[{])(?<!=)(?<!=\s)\d{1,9},\d{1,2}(?![\d,.)\]}]*\d|[)\]}])")
_DECIMAL_COMMA = re.compile(
    r"bg|ca|cs|da|de|el|es|et|fi|fr|hr|hu|id|it|lt|lv|nb|nl|no|pl|pt|ro|ru|sk|sl|sr|sv|tr|uk|vi"
)


def foreign_letters(rewrite: str) -> str | None:
    """The first letters that are not Latin or mathematical, outside code, formulas, brackets and quotation marks."""
    prose = _SHOWN.sub(" ", _without_code(rewrite))
    found = "".join(char if _is_foreign(char) else " " for char in prose).split()
    return found[0] if found else None


def _is_foreign(char: str) -> bool:
    return char.isalpha() and char not in _NEUTRAL_LETTERS and script(char) not in _NEUTRAL_SCRIPTS


def untranslated_word(source: str, rewrite: str) -> str | None:
    """The first word of the source that the rewrite copies, that is common in its language and unknown in English.

    What stands in quotation marks or brackets may be a title. Words with a capital letter are names, but in German
    after a number or an indefinite article. A word that only follows numbers may be a currency or a unit.
    """
    copied = set(_WORD.findall(_SHOWN.sub(" ", _ADDRESS.sub(" ", _without_code(rewrite)))))
    language = detect_language(source)
    if not copied or language == "en" or language in _NOT_LATIN:
        return None
    from wordfreq import available_languages, zipf_frequency  # a second, and only translations need it

    if language not in available_languages():
        return None
    for word in _common_words(_without_code(source), copied, language == "de"):
        if zipf_frequency(word, language) >= FOREIGN and zipf_frequency(word, "en") < ENGLISH:
            return word
    return None


def _common_words(source: str, copied: set[str], is_german: bool) -> Iterator[str]:
    """The copied words that are no names, in their order."""
    for word in _WORD.finditer(source):
        if word.group() in copied:
            before = source[max(0, word.start() - _BEFORE_CHARACTERS) : word.start()]
            is_noun = word.group()[0].isupper() and is_german and _BEFORE_NOUN.search(before)
            if is_noun or (word.group()[0].islower() and not _AFTER_NUMBER.search(before)):
                yield word.group()


def foreign_decimal(source: str, rewrite: str) -> str | None:
    """The first number with a decimal comma that stands in both texts."""
    found = _DECIMAL.findall(_without_code(rewrite))
    if not found or not _DECIMAL_COMMA.fullmatch(detect_language(source)):
        return None
    there = set(_DECIMAL.findall(_without_code(source)))
    return next((number for number in found if number in there), None)


def _without_code(text: str) -> str:
    """The text without formulas, code and drawings; tables are text."""
    return without_spans(text, [*formula_spans(text), *code_spans(text)])
