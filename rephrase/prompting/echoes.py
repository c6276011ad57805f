"""Answers that tell of an example in the prompt instead of their passage."""

import re
from collections.abc import Iterable, Iterator

_WORD = re.compile(r"\w{5,}|\d+")
_GRAMMAR = re.compile(
    r"about|after|again|among|because|before|being|between|could|during|other|should|their|there|these|those|through|under"
    r"|until|where|which|while|whose|would"
)
# One word may be there by chance.
MIN_WORDS = 2


def find_example_echo(examples: Iterable[tuple[str, str]], passage: str, answer: str) -> str | None:
    """Words of the answer that name what an example is about and the passage does not mention, or None.

        example "… the flood had destroyed the bridge …"   answer "The flood spared the bridge."   ->  "flood, bridge"

    What an example is about is what both its passage and its rewrite name: how the rewrite says it may be imitated.
    """
    said = dict.fromkeys(_words(answer))
    known = set(_words(passage))
    for told, retold in examples:
        echoed = [word for word in said if word not in known and word in {*_words(told)} & {*_words(retold)}]
        if len(echoed) >= MIN_WORDS:
            return ", ".join(echoed)
    return None


def _words(text: str) -> Iterator[str]:
    return (word for word in _WORD.findall(text.casefold()) if not _GRAMMAR.fullmatch(word))
