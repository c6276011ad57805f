"""Checks of a rewrite's form: they need no model and cost next to nothing.

Each check takes the source and the rewrite and returns a finding (reason and detail), or None. They run in the order of
FORM_CHECKS; the first finding decides.
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable

Finding = tuple[str, str]

# In scripts without spaces between words, each character counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
_REFUSAL = re.compile(
    r"""\b(?: I['’]m\ sorry | I\ am\ sorry | I\ apologi[sz]e
        | I\ (?:can['’]t|cannot|can\ not) | I(?:['’]m|\ am)\ (?:not\ able|unable)
        | I\ do(?:n['’]t|\ not)\ have\ (?:access|the\ ability)
        | as\ an\ (?:AI|artificial\ intelligence) | as\ a\ language\ model )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_PREAMBLE = re.compile(
    r"""^\W*(?: (?:sure|certainly|of\ course|absolutely|okay|ok|great)[!:.,]
        | (?:here['’]?s|here\ (?:is|are)|below\ is|the\ following\ is|this\ is)\b[^\n.]{0,120}\b
          (?:rewrit\w*|rephras\w*|paraphras\w*|version|passage|revised|summary|translation)\b
        | (?:rewritten|rephrased|paraphrased|revised)\b[^\n]{0,40}:
        | (?:the\ )?(?:rewritten\ |rephrased\ )?(?:passage|text|version)\s*: )""",
    re.IGNORECASE | re.VERBOSE,
)
_ECHO = re.compile(
    r"""rewrite\ (?:the|this)\ (?:input\ |following\ )?(?:passage|text)\b
        | in\ your\ own\ words | preserving\ its\ core\ meaning | <\|im_(?:start|end)\|> | <text\ id=
        | ^(?:topic|section|text\ before|note\ before|translation\ before|last\ number\ used|already\ introduced):
        | ^the\ (?:passage|text)\ is\ (?:part\ of|from)\b | \b(?:input|original)\ text\b""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_POSTSCRIPT = re.compile(
    r"""^\W*(?: I\ hope\ (?:this|that|it)\b | let\ me\ know\b | (?:please\ )?feel\ free\ to\b
        | (?:would|do)\ you\ (?:like|want|need)\ (?:me|any|a|another|further)\b | is\ there\ anything\ else\b
        | (?:please\ )?note(?:\ that|:)[^\n]{0,80}\b(?:rewrit\w*|rephras\w*|paraphras\w*|translat\w*|original|version)\b
        | (?:this|the)\ (?:rewritten|rephrased|paraphrased|revised)\b
        | (?:in\ this|this)\ (?:version|rewrite|rephrasing|translation)\b
        | word\ count\s*: | end\ of\ (?:the\ )?(?:passage|text|rewrite|translation)\b )""",
    re.IGNORECASE | re.VERBOSE,
)
# Delimiters that must be balanced: opening and closing, or one that serves as both.
_MARKUP = (
    (r"```", None),
    (r"(?<!\\)\$\$", None),
    (r"\\begin\{", r"\\end\{"),
    (r"\\\[", r"\\\]"),
    (r"\\\(", r"\\\)"),
    (r"\\left\b", r"\\right\b"),
)
# A full stop in any script, or what may follow the last sentence: a formula, a bracket, a quotation mark, code.
_SENTENCE_END = re.compile(r"""[.!?…。！？।॥؟۔:;)\]}$|`*_"'”’»」』]\s*\Z""")
_LIST_ITEM = re.compile(r"^\s*(?:[-*#>|•]|\d+[.)]|\w+:)[^\n]*\Z")
# Thai, Lao, Burmese and Khmer are written without full stops.
_NO_FULL_STOP = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")

# A share of 8-word sequences: SmolLM2-135M copies about a third of the source, a verbatim copy reaches 1.
MAX_COPIED = 0.8
COPY_WORDS = 8
LOOP_WORDS = 6
MAX_LOOPED = 0.3
# A few words may be a name in its original script; beyond these limits the model has drifted.
MAX_FOREIGN = 0.02
MIN_FOREIGN_WORDS = 4
# English words and mathematics occur in texts of every script.
_NEUTRAL_SCRIPTS = {
    "LATIN",
    "GREEK",
    "MICRO",
    "MATHEMATICAL",
    "DOUBLE-STRUCK",
    "SCRIPT",
    "BLACK-LETTER",
    "FEMININE",
    "MASCULINE",
}
# A learning note on a short problem may be several times as long, a summary a tenth; beyond these it is no rewrite.
MAX_TIMES, MAX_MORE_WORDS = 6, 100
MIN_TIMES, MIN_SOURCE_WORDS = 0.08, 60


def empty(source: str, rewrite: str) -> Finding | None:
    return None if _WORD.search(rewrite) else ("empty", "the rewrite contains no words")


def refusal(source: str, rewrite: str) -> Finding | None:
    """The rewrite starts with the model talking about itself, which the source does not."""
    match = _REFUSAL.search(rewrite[:100])
    return ("refusal", match.group()) if match and not _REFUSAL.search(source) else None


def preamble(source: str, rewrite: str) -> Finding | None:
    """The rewrite starts with a remark about the task."""
    match = _PREAMBLE.match(rewrite)
    return ("preamble", match.group().strip()) if match and not _PREAMBLE.match(source) else None


def postscript(source: str, rewrite: str) -> Finding | None:
    """The rewrite ends with a remark to the reader or about the task."""
    end = rewrite.rstrip().rsplit("\n", 1)
    match = _POSTSCRIPT.match(end[-1]) if len(end) > 1 else None
    if not match or any(_POSTSCRIPT.match(line) for line in source.splitlines()):
        return None
    return "postscript", match.group().strip()


def prompt_echo(source: str, rewrite: str) -> Finding | None:
    """The rewrite contains pieces of the prompt."""
    match = _ECHO.search(rewrite)
    return ("prompt_echo", match.group()) if match and not _ECHO.search(source) else None


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
    known = _NEUTRAL_SCRIPTS | {script(char) for char in set(source) if char.isalpha()}
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
    """The first word of the letter's Unicode name, which is its script: LATIN, CYRILLIC, CJK, …"""
    return unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0]


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


def length_ratio(source: str, rewrite: str) -> Finding | None:
    """Far longer or shorter than any rewrite of such a source."""
    n_source, n_rewrite = len(_WORD.findall(source)), len(_WORD.findall(rewrite))
    if n_rewrite > MAX_TIMES * n_source + MAX_MORE_WORDS:
        return "too_long", f"{n_rewrite} words for {n_source} in the source"
    if n_source >= MIN_SOURCE_WORDS and n_rewrite < MIN_TIMES * n_source:
        return "too_short", f"{n_rewrite} words for {n_source} in the source"
    return None


def near_copy(source: str, rewrite: str) -> Finding | None:
    """Most of the rewrite is copied from the source."""
    share = copied_share(source, rewrite)
    return (
        ("near_copy", f"{share:.0%} of the {COPY_WORDS}-word sequences are copied from the source")
        if share > MAX_COPIED
        else None
    )


FORM_CHECKS: tuple[Callable[[str, str], Finding | None], ...] = (
    empty,
    refusal,
    preamble,
    postscript,
    prompt_echo,
    repetition,
    script_drift,
    markup_damage,
)


def truncated(finish_reason: str, rewrite: str) -> Finding | None:
    """The model was stopped before it was finished."""
    if finish_reason != "stop":
        return "truncated", f"the engine reports finish reason {finish_reason!r}"
    last_line = rewrite.rstrip().rsplit("\n", 1)[-1]
    if not (_SENTENCE_END.search(last_line) or _LIST_ITEM.match(last_line) or _NO_FULL_STOP.search(last_line[-20:])):
        return "truncated", f"it ends with {rewrite.rstrip()[-40:]!r}"
    return None


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
