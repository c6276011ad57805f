"""Compares word by word the sentences that copy their source, and looks at the words that differ.

A model that copies a sentence and changes one word of it has rarely found a better one: "the best way" becomes "the
only way", "Iberia" becomes "Italy". As a whole such a sentence is nearly its source, so that nothing else notices it.
Sentences in words of their own are not compared here: most of their words differ, and that says nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from fidelity.facts.comparing.pairing import Fact, Pairing, exchanged
from fidelity.facts.reading.literals import Literal
from fidelity.facts.reading.parsed import Parsed
from fidelity.facts.reading.words import Word

# A sentence copies if runs of at least MIN_RUN words of the source make up this share of it.
MIN_COPIED, MIN_RUN = 0.8, 2
MIN_WORDS = 5
# Words that agree in this share of their letters are the same word, misspelt or in another form.
SAME_WORD = 0.85
# These say how two statements hang together, and none of their own; the latter only where a sentence begins with them.
_CONNECTIVES, _OPENINGS = (
    tuple(tuple(phrase.split()) for phrase in phrases.split("|"))
    for phrases in (
        "in addition|as a result|as well as|for example|for instance|according to|due to|in order to",
        "in fact|in turn|in particular|in contrast|in general|in short|in other words|because of this|at the same time"
        "|on the other hand|finally|hence|similarly|nevertheless|nonetheless|consequently|accordingly",
    )
)
# A word repeated within so many words was written twice by mistake.
SLIP_WORDS = 3


@dataclass(frozen=True, slots=True)
class Change:
    """Content words of a copied sentence that the copied sentence of the source lacks, and what it has there instead.

    `is_name` is whether a name is among the new ones or was replaced: nothing has the same meaning as a name.
    """

    new: tuple[Word, ...]
    gone: tuple[Word, ...]
    is_name: bool


def changed_words(pairing: Pairing) -> tuple[Change, ...]:
    """The changes in all sentences that copy, without those of numbers and spelling; then exchanged names of code."""
    words = [
        change
        for ours, theirs in _copied_sentences(pairing)
        for change in _changes(ours, theirs, pairing.rewrite, pairing.source)
    ]
    code = exchanged(
        pairing, pairing.rewrite.literals, pairing.source.literals, _same_code, lambda literal: literal.kind == "code"
    )
    return (*words, *(Change((_word(found.rewrite),), (_word(found.source),), True) for found in code))


def _copied_sentences(pairing: Pairing) -> Iterator[tuple[Sequence[Word], Sequence[Word]]]:
    """The words of sentences long enough to compare, and those of the sentences of the source that they say."""
    for index, (sentence, aligned) in enumerate(zip(pairing.rewrite.sentences, pairing.support, strict=True)):
        # A source sentence that other sentences of the rewrite say has only lent some words to this one.
        said = [i for i in aligned.cover if i == aligned.cover[0] or index in pairing.coverage[i].cover]
        if said and len(sentence.words) >= MIN_WORDS:
            yield sentence.words, pairing.source_words(said)


def _changes(ours: Sequence[Word], theirs: Sequence[Word], rewrite: Parsed, source: Parsed) -> Iterator[Change]:
    matcher = SequenceMatcher(None, [w.stem for w in theirs], [w.stem for w in ours], autojunk=False)
    blocks = matcher.get_matching_blocks()
    if sum(block.size for block in blocks if block.size >= MIN_RUN) < MIN_COPIED * len(ours):
        return
    # A word that only moved is taken from those that the copied runs leave over.
    left = Counter(word.stem for word in theirs)
    left.subtract(word.stem for block in blocks for word in ours[block.b : block.b + block.size])
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag not in ("insert", "replace") or _is_label(ours[c:d], ours, rewrite):
            continue
        new = [
            word
            for i, word in enumerate(ours[c:d], c)
            if _counts(word, theirs[a:b], rewrite)
            and not _take(left, word.stem)
            and not _is_slip(i, ours)
            and not _connects(i, ours)
        ]
        if new and not _abbreviates(ours[c:d], theirs[a:b]) and not _abbreviates(theirs[a:b], ours[c:d]):
            gone = [word for word in theirs[a:b] if word.is_content] or theirs[a:b]
            is_name = any(_is_name(word, ours, rewrite) for word in new)
            replaces_name = len(new) == len(gone) == 1 and _is_name(gone[0], theirs, source)
            yield Change(tuple(new), tuple(gone), is_name or replaces_name)


def _take(left: Counter[str], stem: str) -> bool:
    left[stem] -= 1
    return left[stem] >= 0


def _counts(word: Word, gone: Sequence[Word], rewrite: Parsed) -> bool:
    """A content word that is no number, no contraction and no other form of a word in whose place it stands."""
    compared_by_value: tuple[Fact, ...] = (*rewrite.numbers, *rewrite.dates)
    return (
        word.is_content
        and "'" not in word.lower
        and "’" not in word.lower
        and not any(fact.start <= word.start < fact.end for fact in compared_by_value)
        and not any(_same(word, other) for other in gone)
    )


def _is_label(words: Sequence[Word], sentence: Sequence[Word], rewrite: Parsed) -> bool:
    """The speaker of a line, or what a note is about."""
    return words[0] is sentence[0] and rewrite.prose[words[-1].end :].lstrip().startswith(":")


def _connects(index: int, sentence: Sequence[Word]) -> bool:
    """A word of "in addition", or of "hence" at the beginning, and the like."""
    words = [word.lower for word in sentence]
    return any(
        start >= 0 and tuple(words[start : start + len(phrase)]) == phrase
        for phrase in _CONNECTIVES
        for start in range(index - len(phrase) + 1, index + 1)
    ) or any(index < len(phrase) and tuple(words[: len(phrase)]) == phrase for phrase in _OPENINGS)


def _is_slip(index: int, sentence: Sequence[Word]) -> bool:
    """A word written twice: "a type of type of problem"."""
    near = (*sentence[max(0, index - SLIP_WORDS) : index], *sentence[index + 1 : index + 1 + SLIP_WORDS])
    return any(word.stem == sentence[index].stem for word in near)


def _is_name(word: Word, sentence: Sequence[Word], text: Parsed) -> bool:
    return word.is_capitalized and word is not sentence[0] and word.lower not in text.lower_words


def _same_code(literal: Literal, other: Literal) -> bool:
    """As `Bunch` and `sklearn.base.Bunch` are."""
    return literal.key in other.key or other.key in literal.key


def _word(literal: Literal) -> Word:
    return Word(literal.key, literal.key, literal.key, literal.start, literal.end)


def _same(word: Word, other: Word) -> bool:
    return SequenceMatcher(None, word.lower, other.lower, autojunk=False).ratio() >= SAME_WORD


def _abbreviates(short: Sequence[Word], long: Sequence[Word]) -> bool:
    """As EU does European Union."""
    initials = "".join(word.text[0] for word in long if word.is_capitalized)
    return any(len(word.text) > 1 and word.text.replace(".", "") == initials for word in short)
