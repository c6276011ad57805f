"""Plants an omission or an invention inside a sentence; the rest of the sentence stays as it was."""

import random
import re

from fidelity.planting.edits import Edit, prose

_SUBORDINATE = "which who where whose although though while because since including especially mainly".split()
_REASONS = ("because", "since", "when", "after", "before", "until", "unless", "if", "so that", "due to", "according to")
_PREPOSITIONS = "in on at by for with from during through under between without against of".split()
_ADVERBS = "very mainly mostly often usually only also nearly almost about probably possibly rarely always".split()
_CLAUSES = (
    re.compile(r" ?\([^()]{4,120}\)"),
    re.compile(rf", (?:{'|'.join(_SUBORDINATE)}|such as)\b[^,;.()]{{6,120}}(?=[,.;])"),
    re.compile(r"(?<=[a-z]), [^,;.()]{6,80},(?= (?:is|are|was|were|has|had|and|the|who|which|he|she|it|they)\b)"),
    re.compile(r",? (?:and|but|or|so) (?:[a-z]+ ){1,14}[a-z]+(?=[,.;])"),
    re.compile(rf" (?:{'|'.join(_REASONS)})\b[^,;.()]{{6,120}}(?=[.;,])"),
    re.compile(rf" (?:{'|'.join(_PREPOSITIONS)}) (?:the |a |an |its |his )?[\w’'-]+(?: [\w’'-]+){{0,3}}(?=[,.;])"),
    re.compile(rf"(?<=[a-z] )(?:{'|'.join(_ADVERBS)}|[a-z]{{4,}}ly) "),
)
_OPENINGS = (*_PREPOSITIONS[:9], "because of", "in order to", "as part of", "after", "before")
_PHRASES = re.compile(
    rf"(?<=[a-z]) (?:{'|'.join(_OPENINGS)}) (?:the |a |an |its |his |their )?[\w’'-]+(?: [\w’'-]+){{0,4}}(?=[,.;])"
)
_ENDS = re.compile(r"(?<=[a-z])(?=[.;,](?:\s|$))")


def omit(sentence: str, rng: random.Random) -> Edit | None:
    """A clause, phrase or adverb removed, leaving at least four words; None if there is none."""
    plain = prose(sentence)
    kinds = [found for pattern in _CLAUSES if (found := list(pattern.finditer(plain)))]
    if not kinds:
        return None
    place = rng.choice(rng.choice(kinds))
    rest = sentence[: place.start()] + sentence[place.end() :]
    return Edit(*place.span(), "") if len(rest.split()) >= 4 and place.start() > 0 else None


def invent(sentence: str, other: str, rng: random.Random) -> Edit | None:
    """A specific phrase taken from another text added where a phrase or sentence ends; None if either has no place."""
    ends = [place.start() for place in _ENDS.finditer(prose(sentence))]
    phrases = [found.group() for found in _PHRASES.finditer(prose(other)) if found.group().strip() not in sentence]
    if not ends or not phrases:
        return None
    at = rng.choice(ends)
    return Edit(at, at, rng.choice(phrases))
