"""Checks of a rewrite's form: they need no model and cost next to nothing.

Each check takes the source and the rewrite and returns a finding (reason and detail), or None. They run in the order of
FORM_CHECKS; the first finding decides.
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable

from fidelity.checks.finding import Finding
from fidelity.checks.remarks.about_text import about_the_text
from fidelity.checks.remarks.postscripts import postscript
from fidelity.checks.remarks.preambles import preamble
from fidelity.checks.remarks.prompt_echoes import prompt_echo
from fidelity.checks.remarks.refusals import refusal

# In scripts without spaces between words, each character counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
# Delimiters that must be balanced: opening and closing, or one that serves as both.
_MARKUP = (
    (r"```", None),
    (r"(?<!\\)\$\$", None),
    (r"\\begin\{", r"\\end\{"),
    (r"\\\[", r"\\\]"),
    (r"\\\(", r"\\\)"),
    (r"\\left\b", r"\\right\b"),
)
COPY_WORDS = 8
LOOP_WORDS = 6
MAX_LOOPED = 0.3
# A few words may be a name in its original script; beyond these limits the model has drifted.
MAX_FOREIGN = 0.02
MIN_FOREIGN_WORDS = 4
# English words and mathematics occur in texts of every script.
NEUTRAL_SCRIPTS = frozenset({"LATIN", "GREEK", "MICRO", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER"})
# Japanese is written in three scripts at once; loanwords alone are in Katakana, so a short source may have none.
_JAPANESE = frozenset({"CJK", "HIRAGANA", "KATAKANA"})
# The first words of names of letters that belong to one of several scripts.
_SAME_SCRIPT = {"KATAKANA-HIRAGANA": "KATAKANA", "IDEOGRAPHIC": "CJK", "VERTICAL": "CJK", "BOPOMOFO": "CJK"}
# A learning note on a short problem may be several times as long, a summary a tenth; beyond these it is no rewrite.
MAX_TIMES = 6
MIN_TIMES, MIN_SOURCE_WORDS = 0.08, 60


def empty(source: str, rewrite: str) -> Finding | None:
    return None if _WORD.search(rewrite) else ("empty", "the rewrite contains no words")


def repetition(source: str, rewrite: str) -> Finding | None:
    """The model loops: the same words repeat, and do not in the source."""
    share = looped_share(rewrite)
    if share <= MAX_LOOPED or share <= 2 * looped_share(source):
        return None
    return "repetition", f"{share:.0%} of the {LOOP_WORDS}-word sequences are repetitions"


def script_drift(source: str, rewrite: str) -> Finding | None:
    """Words in a script that the source does not use: the model slips into another language it was trained on.

    A text that is foreign as a whole is left to the language checks.
    """
    known = NEUTRAL_SCRIPTS | {script(char) for char in set(source) if char.isalpha()}
    if known & {"HIRAGANA", "KATAKANA"}:
        known |= _JAPANESE
    words = [word for word in _WORD.findall(rewrite) if word[0].isalpha()]
    foreign = [word for word in words if script(word[0]) not in known]
    if len(foreign) < MIN_FOREIGN_WORDS or not MAX_FOREIGN * len(words) < len(foreign) < len(words) / 2:
        return None
    return (
        "script_drift",
        f"{len(foreign)} words in {script(foreign[0][0]).title()} script, unlike the source",
    )


@functools.lru_cache(maxsize=4096)
def script(letter: str) -> str:
    """The first word of the letter's Unicode name, which is its script: LATIN, CYRILLIC, CJK, …

    Letters of another width or font count as the plain letter.
    """
    plain = unicodedata.normalize("NFKC", letter)[:1]
    name = unicodedata.name(plain if plain.isalpha() else letter, "UNKNOWN").split(" ", 1)[0]
    return _SAME_SCRIPT.get(name, name)


def markup_damage(source: str, rewrite: str) -> Finding | None:
    """Code fences, displayed formulas or LaTeX environments that are unbalanced, though the source's are balanced."""
    for opening, closing in _MARKUP:
        if not _balanced(rewrite, opening, closing) and _balanced(source, opening, closing):
            sign = next(iter(re.findall(opening, rewrite) or re.findall(closing or opening, rewrite)))
            return "markup_damage", f"unbalanced {sign!r}"
    return None


def _balanced(text: str, opening: str, closing: str | None) -> bool:
    n_opened = len(re.findall(opening, text))
    return n_opened % 2 == 0 if closing is None else n_opened == len(re.findall(closing, text))


def length_ratio(source: str, rewrite: str, max_more_words: int) -> Finding | None:
    """Far longer or shorter than any rewrite of such a source: over six times its words and `max_more_words`."""
    n_source, n_rewrite = len(_WORD.findall(source)), len(_WORD.findall(rewrite))
    if n_rewrite > MAX_TIMES * n_source + max_more_words:
        return "too_long", f"{n_rewrite} words for {n_source} in the source"
    if n_source >= MIN_SOURCE_WORDS and n_rewrite < MIN_TIMES * n_source:
        return "too_short", f"{n_rewrite} words for {n_source} in the source"
    return None


FORM_CHECKS: tuple[Callable[[str, str], Finding | None], ...] = (
    empty,
    refusal,
    preamble,
    postscript,
    prompt_echo,
    about_the_text,
    repetition,
    script_drift,
    markup_damage,
)


def copied_share(source: str, rewrite: str) -> float:
    """The share of the rewrite's 8-word sequences that the source contains; of shorter ones if it has fewer words."""
    words = min(COPY_WORDS, len(_WORD.findall(rewrite)))
    return share_of(word_ngrams(rewrite, words), set(word_ngrams(source, words)))


def looped_share(text: str) -> float:
    """The share of 6-word sequences that occurred earlier in the text."""
    counts = Counter(word_ngrams(text, LOOP_WORDS))
    total = counts.total()
    return 1 - len(counts) / total if total else 0.0


def word_ngrams(text: str, n_words: int) -> list[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return [tuple(words[i : i + n_words]) for i in range(len(words) - n_words + 1)] if n_words else []


def share_of(items: list[tuple[str, ...]], known: set[tuple[str, ...]]) -> float:
    return sum(item in known for item in items) / len(items) if items else 0.0
