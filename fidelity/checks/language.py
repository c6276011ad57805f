"""Is a rewrite in the expected language? Detected offline by py3langid."""

from fidelity.checks.finding import Finding
from fidelity.checks.form import NEUTRAL_SCRIPTS, script
from rephrase.corpus.language import detect_language

# Detection is unreliable on texts shorter than this.
MIN_CHARACTERS = 120


def other_language(source: str, rewrite: str) -> Finding | None:
    """The rewrite is in another language than its source."""
    if min(len(source), len(rewrite)) < MIN_CHARACTERS:
        return None
    expected, found = detect_language(source), detect_language(rewrite)
    return ("wrong_language", f"{found} instead of {expected}") if found != expected else None


def not_english(source: str, rewrite: str) -> Finding | None:
    """A translation into English that is not English, or leaves much of its source untranslated."""
    foreign = sum(char.isalpha() and script(char) not in NEUTRAL_SCRIPTS for char in rewrite)
    letters = sum(char.isalpha() for char in rewrite)
    if letters and foreign > 0.05 * letters:  # Greek letters are mathematics
        return "wrong_language", f"{foreign / letters:.0%} of its letters are not Latin"
    if len(rewrite) < MIN_CHARACTERS or (found := detect_language(rewrite)) == "en":
        return None
    return "wrong_language", f"{found} instead of en"
