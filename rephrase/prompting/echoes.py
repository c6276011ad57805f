"""Answers that tell of an example in the prompt instead of their passage."""

import re
from collections.abc import Iterable

import Stemmer

_WORD = re.compile(r"\w{5,}|\d+")
_GRAMMAR = re.compile(
    r"about|after|again|among|because|before|being|between|could|during|other|should|their|there|these|those|through|under"
    r"|until|where|which|while|whose|would"
)
_STEMMER = Stemmer.Stemmer("english")
# One word may be there by chance.
MIN_WORDS = 2


def find_example_echo(examples: Iterable[tuple[str, str]], passage: str, answer: str) -> str | None:
    """Words of the answer that name what an example is about and the passage does not mention, or None.

        example "… the flood had destroyed the bridge …"   answer "The flood spared the bridge."   ->  "flood, bridge"

    What an example is about is what both its passage and its rewrite name: how the rewrite says it may be imitated.
    """
    said, known = _words(answer), _words(passage)
    for told, retold in examples:
        about = _words(told).keys() & _words(retold).keys()
        echoed = [word for stem, word in said.items() if stem in about and stem not in known]
        if len(echoed) >= MIN_WORDS:
            return ", ".join(echoed)
    return None


def _words(text: str) -> dict[str, str]:
    """The words of a text by their stems."""
    words = [word for word in _WORD.findall(text.casefold()) if not _GRAMMAR.fullmatch(word)]
    return dict(zip(_STEMMER.stemWords(words), words, strict=True))
