"""The words of a text, and which of them a faithful rewrite keeps: names, numbers and quotations."""

import bisect
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

# In scripts without spaces between words, each character counts as a word.
_WORD = re.compile(r"[぀-ヿ㐀-鿿]|[^\W぀-ヿ㐀-鿿]+(?:['’][^\W\d_]+)?")
_QUOTED = re.compile(
    r"[“\"«][^“”\"«»\n]{1,200}[”\"»]|„[^„“”\"\n]{1,200}[“”\"]|「[^「」\n]{1,200}」|『[^『』\n]{1,200}』"
    # Single quotation marks are apostrophes, too, which stand within a word.
    r"|(?<!\w)‘(?:[^‘’\n]|’(?=\w)){1,200}’(?!\w)|(?<!\w)'(?:[^'\n]|'(?=\w)){1,200}'(?!\w)"
)
# In a line of which so many words are in capitals, a capital says nothing.
MANY_CAPITALS, MIN_WORDS = 0.7, 6


@dataclass(frozen=True, slots=True)
class Word:
    """`text` stands at `start`; `kept` if it is a name, has a digit or is quoted."""

    text: str
    start: int
    kept: bool


def words_of(text: str) -> list[Word]:
    """All words, in order. The first word of a sentence is no name."""
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    found: list[Word] = []
    at_start, last_end = True, 0
    i = 0
    matches = list(_WORD.finditer(text))
    for match, in_capitals in zip(matches, _in_capitals(text, matches), strict=True):
        at_start = at_start or any(char in ".!?:\n" for char in text[last_end : match.start()])
        while i < len(quoted) and quoted[i][1] <= match.start():
            i += 1
        in_quotes = i < len(quoted) and quoted[i][0] <= match.start()
        word = match.group()
        is_name = word[0].isupper() and not at_start and not in_capitals
        found.append(Word(word, match.start(), in_quotes or is_name or any(char.isdigit() for char in word)))
        at_start, last_end = False, match.end()
    return found


def _in_capitals(text: str, words: Sequence[re.Match[str]]) -> list[bool]:
    """For each word, whether its line is written in capitals."""
    breaks = [match.start() for match in re.finditer(r"\n", text)]
    found: list[bool] = []
    for _, line in itertools.groupby(words, lambda word: bisect.bisect(breaks, word.start())):
        shapes = [word.group().isupper() for word in line]
        found += [len(shapes) >= MIN_WORDS and sum(shapes) >= MANY_CAPITALS * len(shapes)] * len(shapes)
    return found
