"""Is a rewrite in the expected language? Detected offline by py3langid, and by its script."""

from collections import Counter

from fidelity.checks.finding import Finding
from fidelity.checks.form import script
from fidelity.checks.untranslated import foreign_decimal, foreign_letters, untranslated_word
from rephrase.corpus.language import CERTAIN, POSSIBLE, are_near, language_and_probability
from rephrase.corpus.protected import without_protected

# With fewer letters, a text is a name or a formula.
MIN_LETTERS = 4
MAIN_SHARE = 0.7  # of the letters of a text that are in its script
# Characters of a text, enough to see its script.
_BEGINNING = 4000
# Written in two scripts each; a rewrite may choose the other.
_TWO_SCRIPTS = frozenset({"sr", "hr", "bs", "sh", "uz", "kk", "az", "tg", "mn", "tt"})
_JAPANESE_AND_CHINESE = frozenset({"CJK", "HIRAGANA", "KATAKANA"})


def other_language(source: str, rewrite: str) -> Finding | None:
    """The rewrite is in another language than its source."""
    counts = [_letters_by_script(text) for text in (source, rewrite)]
    if min(map(Counter.total, counts)) < MIN_LETTERS:
        return None
    expected, found = language_and_probability(source), language_and_probability(rewrite)
    scripts = [_main_script(count) for count in counts]
    if None not in scripts and scripts[0] != scripts[1] and not {expected[0], found[0]} <= _TWO_SCRIPTS:
        return "wrong_language", f"{str(scripts[1]).title()} instead of {str(scripts[0]).title()} script"
    if are_near(expected[0], found[0]):
        return None
    probabilities = expected[1], found[1]
    if max(probabilities) < CERTAIN or min(probabilities) < POSSIBLE:
        return None
    return "wrong_language", f"{found[0]} instead of {expected[0]}"


def not_english(source: str, rewrite: str) -> Finding | None:
    """A translation into English that is not English, or leaves a part of its source untranslated."""
    if letters := foreign_letters(rewrite):
        return "wrong_language", f"{letters[:40]!r} is not translated"
    found, probability = language_and_probability(rewrite)
    long_enough = _letters_by_script(rewrite).total() >= MIN_LETTERS
    if not are_near(found, "en") and probability >= CERTAIN and long_enough:
        return "wrong_language", f"{found} instead of en"
    if word := untranslated_word(source, rewrite):
        return "wrong_language", f"{word!r} is not translated"
    if number := foreign_decimal(source, rewrite):
        return "wrong_language", f"{number} is not how English writes a number"
    return None


def _letters_by_script(text: str) -> Counter[str]:
    """How many letters of the prose are in each script; Chinese and Japanese count as one."""
    scripts = (script(char) for char in without_protected(text[:_BEGINNING]) if char.isalpha())
    return Counter("CJK" if name in _JAPANESE_AND_CHINESE else name for name in scripts)


def _main_script(counts: Counter[str]) -> str | None:
    """The script of nearly all letters, or None if there is none."""
    (name, count), *_ = counts.most_common(1)
    return name if count >= MAIN_SHARE * counts.total() else None
