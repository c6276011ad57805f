"""Compares a translation with its source in one language: its own text translated back, beside the source.

chrF is the measure of such round trips that needs no words: the F-score of the character sequences that two texts
share. Numbers are read on both sides by the same reader, the one of the source's language.
"""

import dataclasses
from collections import Counter

from fidelity.facts.comparing.quantities import same_number
from fidelity.facts.reading.number_words import foreign_numbers
from rephrase.corpus.language import detect_language
from rephrase.corpus.protected import without_protected
from rephrase.records import Chunk, Completion, Requirements, Verdict

# Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation" (aclanthology.org/W15-3049), in the form
# of sacrebleu: sequences of up to 6 characters without white space, recall weighing twice as much as precision.
MAX_CHARACTERS = 6
BETA = 2.0
# A detail must fit into a table.
DETAIL_CHARACTERS = 300
BACK_SCORES = ("back_chrf", "back_numbers", "back_unread")


class BackReview:
    """The last word on accepted translations, which an engine has translated back."""

    def __init__(self) -> None:
        self.n_asked = 0
        self.n_unread = 0

    def __call__(
        self, chunk: Chunk, back: Completion, language: str, requirements: Requirements, verdict: Verdict
    ) -> Verdict:
        """The verdict with the scores in BACK_SCORES.

        No text at all, or one that stayed English, says something about the model and nothing about the translation.
        """
        self.n_asked += 1
        source = without_protected(chunk.text).strip()
        if not back.text or detect_language(back.text) == "en":
            self.n_unread += 1
            return dataclasses.replace(verdict, scores={**verdict.scores, "back_unread": 1.0})
        similarity, different = chrf(source, back.text), number_differences(source, back.text, language)
        scores = {"back_chrf": similarity, "back_numbers": float(len(different)), "back_unread": 0.0}
        problem = None
        if different:
            problem = f"{different[0]} is on one side only"
        elif similarity < requirements.min_chrf:
            problem = f"chrF {similarity:.2f} is below {requirements.min_chrf:g}"
        return dataclasses.replace(
            verdict,
            accepted=problem is None,
            reason="back_translation" if problem else None,
            detail=f"translated back, {problem}: {back.text}"[:DETAIL_CHARACTERS] if problem else verdict.detail,
            scores={**verdict.scores, **scores},
        )

    def notices(self) -> list[str]:
        """What a user should know at the end of a run."""
        if not self.n_unread:
            return []
        return [
            f"{self.n_unread:,} of {self.n_asked:,} translations were not translated back into their language and "
            "are not compared"
        ]


def chrf(reference: str, hypothesis: str) -> float:
    """From 0, nothing in common, to 1, the same but for white space."""
    texts = ["".join(text.split()) for text in (reference, hypothesis)]
    precision = recall = 0.0
    n_orders = 0
    for n in range(1, MAX_CHARACTERS + 1):
        theirs, ours = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in texts)
        if theirs and ours:
            n_orders += 1
            n_shared = (theirs & ours).total()
            precision += n_shared / ours.total()
            recall += n_shared / theirs.total()
    if not n_orders or not precision + recall:
        return 0.0
    precision, recall = precision / n_orders, recall / n_orders
    return (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def number_differences(source: str, back: str, language: str) -> list[str]:
    """The numbers that only one of two texts in `language` has, as written there; those of the source first."""
    theirs, ours = (
        [number for number in foreign_numbers(text, language) if not number.is_weak] for text in (source, back)
    )
    missing = []
    for number in theirs:
        match = next((other for other in ours if same_number(other, number) or same_number(number, other)), None)
        if match is None:
            missing.append(source[number.start : number.end])
        else:
            ours.remove(match)
    return [*missing, *(back[number.start : number.end] for number in ours)]
