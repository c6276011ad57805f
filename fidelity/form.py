"""What is wrong with a rewrite can often be seen from its form alone, and that costs next to nothing.

Each check takes the source and the rewrite and returns what it found, or None. They run in the order of FORM_CHECKS and
the first finding ends the matter.
"""

import re
from collections import Counter
from collections.abc import Callable

Finding = tuple[str, str]

# Where words are not set apart by spaces, each character counts as one.
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
# A full stop of any script, or what may follow the last sentence: a formula, a bracket, a quotation mark, code.
_SENTENCE_END = re.compile(r"""[.!?…。！？।॥؟۔:;)\]}$|`*_"'”’»」』]\s*\Z""")
_LIST_ITEM = re.compile(r"^\s*(?:[-*#>|•]|\d+[.)]|\w+:)[^\n]*\Z")
# Thai and its neighbours write no full stop.
_NO_FULL_STOP = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")

# Shares of 8-word sequences: SmolLM2-135M copies about a third of the source, verbatim copies reach 1.
MAX_COPIED = 0.8
COPY_WORDS = 8
LOOP_WORDS = 6
MAX_LOOPED = 0.3


def empty(source: str, rewrite: str) -> Finding | None:
    return None if _WORD.search(rewrite) else ("empty", "no word in it")


def refusal(source: str, rewrite: str) -> Finding | None:
    """The model speaks of itself, in its first words, where the source does not."""
    match = _REFUSAL.search(rewrite[:100])
    return ("refusal", match.group()) if match and not _REFUSAL.search(source) else None


def preamble(source: str, rewrite: str) -> Finding | None:
    """The model speaks of the task before it begins."""
    match = _PREAMBLE.match(rewrite)
    return ("preamble", match.group().strip()) if match and not _PREAMBLE.match(source) else None


def prompt_echo(source: str, rewrite: str) -> Finding | None:
    """Pieces of the instruction stand in the text."""
    match = _ECHO.search(rewrite)
    return ("prompt_echo", match.group()) if match and not _ECHO.search(source) else None


def repetition(source: str, rewrite: str) -> Finding | None:
    """The model runs in a loop: the same words come again and again, and did not in the source."""
    share = looped_share(rewrite)
    if share <= MAX_LOOPED or share <= 2 * looped_share(source):
        return None
    return "repetition", f"{share:.0%} of the {LOOP_WORDS}-word sequences stand there before"


def near_copy(source: str, rewrite: str) -> Finding | None:
    """Nothing was rewritten."""
    share = copied_share(source, rewrite)
    return (
        ("near_copy", f"{share:.0%} of the {COPY_WORDS}-word sequences are the source's")
        if share > MAX_COPIED
        else None
    )


FORM_CHECKS: tuple[Callable[[str, str], Finding | None], ...] = (
    empty,
    refusal,
    preamble,
    prompt_echo,
    repetition,
)


def truncated(finish_reason: str, rewrite: str) -> Finding | None:
    """The model was stopped before it was done."""
    if finish_reason != "stop":
        return "truncated", f"the engine ended it for {finish_reason!r}"
    last_line = rewrite.rstrip().rsplit("\n", 1)[-1]
    if not (_SENTENCE_END.search(last_line) or _LIST_ITEM.match(last_line) or _NO_FULL_STOP.search(last_line[-20:])):
        return "truncated", f"it ends in {rewrite.rstrip()[-40:]!r}"
    return None


def copied_share(source: str, rewrite: str) -> float:
    """The share of the rewrite's 8-word sequences that stand in the source; of all its words when it has fewer."""
    words = min(COPY_WORDS, len(_WORD.findall(rewrite)))
    return share_of(sequences(rewrite, words), set(sequences(source, words)))


def looped_share(text: str) -> float:
    """The share of 6-word sequences that stand in the text before."""
    counts = Counter(sequences(text, LOOP_WORDS))
    total = counts.total()
    return 1 - len(counts) / total if total else 0.0


def sequences(text: str, n_words: int) -> list[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return [tuple(words[i : i + n_words]) for i in range(len(words) - n_words + 1)] if n_words else []


def share_of(items: list[tuple[str, ...]], known: set[tuple[str, ...]]) -> float:
    return sum(item in known for item in items) / len(items) if items else 0.0
