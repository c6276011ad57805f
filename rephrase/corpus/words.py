"""The words of a text, and which of them a faithful rewrite keeps: names, numbers and quotations."""

import re
from dataclasses import dataclass

# In scripts without spaces between words, each character counts as a word.
_WORD = re.compile(r"[぀-ヿ㐀-鿿]|[^\W぀-ヿ㐀-鿿]+(?:['’][^\W\d_]+)?")
_QUOTED = re.compile(r"[“\"«][^“”\"«»\n]{1,200}[”\"»]")


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
    for match in _WORD.finditer(text):
        at_start = at_start or any(char in ".!?:\n" for char in text[last_end : match.start()])
        while i < len(quoted) and quoted[i][1] <= match.start():
            i += 1
        in_quotes = i < len(quoted) and quoted[i][0] <= match.start()
        word = match.group()
        is_name = word[0].isupper() and not at_start
        found.append(Word(word, match.start(), in_quotes or is_name or any(char.isdigit() for char in word)))
        at_start, last_end = False, match.end()
    return found
