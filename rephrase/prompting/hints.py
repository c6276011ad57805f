"""The hint for the next attempt at a rejected chunk: which facts the last attempt lost or changed.

The hint follows the closing delimiter of the passage, where the model takes instructions. So it may quote nothing of
the document but single facts of a few harmless characters: an injected instruction is longer than that.
"""

import re
from collections.abc import Iterable

from rephrase.records import Chunk, Verdict

MAX_FACTS = 4
MAX_FACT_CHARACTERS = 40
MAX_FACT_WORDS = 4

# Kinds whose source span is the fact itself.
_FACTS = frozenset({"number", "date", "name", "unit", "formula", "literal", "answer"})
_HARMLESS = re.compile(r"[\w\s.,:;%$€£°/+*=^()\\{}'’-]+")
_ADVICE = {
    "negation": "Keep every 'not' and 'no' where it stands.",
    "antonym": "Do not turn any statement into its opposite.",
    "direction": "Keep what rises and what falls.",
    "comparative": "Keep what is more and what is less.",
    "quantifier": "Keep 'all', 'some' and 'most' as they are.",
    "swap": "Keep who does what.",
}
_WHOLE = "Leave out nothing that the text says."
_ONLY = "Add nothing that the text does not say."


def make_hint(verdict: Verdict, chunk: Chunk) -> str:
    """A sentence or two about what was wrong, or an empty string if the verdict does not say."""
    facts: list[str] = []
    advice: list[str] = []
    for found in verdict.discrepancies:
        if found.kind in _FACTS and found.source is not None:
            fact = " ".join(chunk.text[slice(*found.source)].split())
            if _is_harmless(fact):
                facts.append(fact)
        elif found.kind in _ADVICE:
            advice.append(_ADVICE[found.kind])
        elif found.problem == "missing":
            advice.append(_WHOLE)
        else:
            advice.append(_ONLY)
    sentences = [f"Keep exactly: {', '.join(_first(facts, MAX_FACTS))}."] if facts else []
    return " ".join([*sentences, *_first(advice, 2)])


def _is_harmless(fact: str) -> bool:
    short = 0 < len(fact) <= MAX_FACT_CHARACTERS and len(fact.split()) <= MAX_FACT_WORDS
    return short and _HARMLESS.fullmatch(fact) is not None


def _first(items: Iterable[str], n_items: int) -> list[str]:
    return list(dict.fromkeys(items))[:n_items]
