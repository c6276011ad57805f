"""Plants one fault of language in a sentence, as small language models make them: no careful person would write it."""

import random
import re
from collections.abc import Callable, Sequence

from fidelity.planting.edits import Edit, applied, prose

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_FUNCTION = frozenset(
    "a an the of to in on at by for with from as is are was were be been and or but that which who it its his her their"
    " has have had not than into over under".split()
)
_AGREEMENT = {
    "is": "are", "are": "is", "was": "were", "were": "was", "has": "have", "have": "has", "does": "do", "do": "does",
    "a": "an", "an": "a", "this": "these", "these": "this", "he": "him", "they": "them", "who": "whom",
    "their": "they", "his": "he", "its": "it",
}  # fmt: skip
_PREPOSITIONS = ("of", "to", "in", "on", "at", "by", "for", "with", "from", "into", "over", "under", "about", "against")
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|had|can|could|will|would|[a-z]{3,}ed|became|made|took|led|began)\b")


def garble(sentence: str, rng: random.Random, others: Sequence[str] = ()) -> tuple[str, tuple[int, int]] | None:
    """The sentence with one fault and the characters of the result that it touches, or None if it has no place for one.

    `others` are sentences of other texts, from which fragments are taken.
    """
    words = list(_WORD.finditer(prose(sentence)))
    if len(words) < 6:
        return None
    for _ in range(4):
        edit = rng.choice(_FAULTS)(sentence, words, rng, others)
        if edit is not None and sentence[edit.start : edit.end] != edit.new:
            return applied(sentence, edit)
    return None


_Words = Sequence[re.Match[str]]


def _shuffled(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    """A run of words, or all of them, in another order."""
    size = len(words) if rng.random() < 0.35 else rng.randint(3, min(7, len(words)))
    first = rng.randrange(len(words) - size + 1)
    chosen = [word.group() for word in words[first : first + size]]
    mixed = rng.sample(chosen, len(chosen))
    return Edit(words[first].start(), words[first + size - 1].end(), " ".join(mixed))


def _transposed(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    i = rng.randrange(len(words) - 1)
    return Edit(words[i].start(), words[i + 1].end(), f"{words[i + 1].group()} {words[i].group()}")


def _without_word(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    found = [word for word in words if word.group().lower() in _FUNCTION]
    return Edit(*_with_space(sentence, rng.choice(found)), "") if found else None


def _without_verb(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    found = list(_VERB.finditer(sentence))
    return Edit(*_with_space(sentence, rng.choice(found)), "") if found else None


def _with_space(sentence: str, word: re.Match[str]) -> tuple[int, int]:
    start, end = word.span()
    return (start - 1, end) if start and sentence[start - 1] == " " else (start, end)


def _without_start(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    """The subject is gone: "Traveled, and the wave organized."."""
    verb = next((word for word in words[1:8] if _VERB.fullmatch(word.group())), None)
    return Edit(0, verb.end(), verb.group().capitalize()) if verb else None


def _repeated(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    size = rng.choice((1, 1, 2, 3))
    i = rng.randrange(len(words) - size)
    run = sentence[words[i].start() : words[i + size - 1].end()]
    return Edit(words[i].start(), words[i + size - 1].end(), f"{run} {run}")


def _wrong_form(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    found = [word for word in words[1:] if word.group() in _AGREEMENT]
    if not found:
        return None
    word = rng.choice(found)
    return Edit(*word.span(), _AGREEMENT[word.group()])


def _wrong_ending(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    """A verb in a wrong form: organized → organize, makes → making."""
    found = [w for w in words if re.fullmatch(r"[a-z]{3,}(?:ed|ing|s)", w.group())]
    if not found:
        return None
    word = rng.choice(found)
    stem = re.sub(r"(?:ed|ing|s)$", "", word.group())
    return Edit(*word.span(), rng.choice([stem, f"{stem}ing", f"{stem}ed", f"{stem}s"]))


def _wrong_preposition(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    found = [word for word in words[1:] if word.group() in _PREPOSITIONS]
    if not found:
        return None
    word = rng.choice(found)
    return Edit(*word.span(), rng.choice([other for other in _PREPOSITIONS if other != word.group()]))


def _nonsense_word(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    found = [word for word in words if len(word.group()) > 4 and word.group().islower()]
    pool = [word for other in others for word in _WORD.findall(other) if len(word) > 3 and word.islower()]
    return Edit(*rng.choice(found).span(), rng.choice(pool)) if found and pool else None


def _stopped(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    """It stops in the middle, and a full stop hides it."""
    ends = [w.end() for w in words[3:-2] if w.group().lower() in _FUNCTION]
    return Edit(rng.choice(ends), len(sentence), ".") if ends else None


def _glued(sentence: str, words: _Words, rng: random.Random, others: Sequence[str]) -> Edit | None:
    """The rest of another sentence follows without a joint."""
    other = rng.choice(others) if others else ""
    found = list(_WORD.finditer(other))
    if len(found) < 6:
        return None
    cut = words[rng.randrange(3, len(words) - 1)].end()
    return Edit(cut, len(sentence), " " + other[found[rng.randrange(2, len(found) - 2)].start() :])


_FAULTS: tuple[Callable[[str, _Words, random.Random, Sequence[str]], Edit | None], ...] = (
    _shuffled,
    _shuffled,
    _transposed,
    _without_word,
    _without_verb,
    _without_start,
    _repeated,
    _wrong_form,
    _wrong_ending,
    _wrong_preposition,
    _nonsense_word,
    _stopped,
    _glued,
)
