"""Asks a language model about a rewrite that all other checks accept, one sentence at a time and in both directions.

Does the source say what this sentence of the rewrite claims? Does the rewrite still say what this sentence of the
source claims? The answer is the probability of Yes against No as the first token. The text to compare with comes first
in the prompt, so that a server's prefix cache reads it once for all its sentences; a sentence that the other side has
word for word is not asked about.
"""

import asyncio
import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from fidelity.checks.sentences import Sentences, split_sentences
from rephrase.records import Discrepancy, Prompt, Verdict, digest

JUDGE_SCORES = ("judge_support_min", "judge_coverage", "judge_in_style", "judge_unread")
# Below this probability of Yes the answer is No, unless the calibration says otherwise.
MIN_YES = 0.5
# Yes and No together must be at least this probable: a model that begins otherwise has not answered.
MIN_ANSWERED = 0.5
# Questions asked at once: more would wait in the server's queue instead of here.
MAX_IN_FLIGHT = 64
# The tier's names in counts: rewrites it was asked about, single questions, and answers that are neither Yes nor No.
REWRITES, QUESTIONS, UNREAD = "judge", "questions to the judge", "unread answers of the judge"

_SYSTEM = "You compare a text with a statement. You answer with one word, Yes or No."
# The tags have a name that the text cannot know, so that it cannot end itself and go on as the question.
_QUESTION = """<{tag}>
{text}
</{tag}>

Statement: {sentence}

Is everything that the statement claims said or plainly implied by the text between the tags? One wrong name, number \
or relation makes it No. A greeting, a question or a remark that claims nothing makes it Yes. Answer Yes or No."""

_RUBRIC = """<{tag}>
{text}
</{tag}>

{rubric}

Is that true of the text between the tags? Answer Yes or No."""


def require_judge(endpoints: Sequence[str], model: str | None) -> None:
    """
    Raises:
        ValueError: only one of the two is given.
    """
    if bool(endpoints) != bool(model):
        raise ValueError("a judge needs both its server (--judge-endpoint) and the name of its model (--judge-model)")


class FirstToken(Protocol):
    """How a model would begin its answer: the natural log-probability of the likeliest first tokens."""

    async def __call__(self, prompt: Prompt) -> Mapping[str, float]:
        """
        Raises:
            ValueError: the model does not answer this prompt.
        """
        ...


class LanguageJudge:
    """A second reading of accepted rewrites. `n_seen` counts rewrites, questions and unread answers."""

    def __init__(self, ask: FirstToken, *, min_yes: float = MIN_YES) -> None:
        self._ask = ask
        self._min_yes = min_yes
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self.n_seen: Counter[str] = Counter()

    async def review(self, source: str, rewrite: str, keeps: float, verdict: Verdict, *, rubric: str = "") -> Verdict:
        """The verdict on an accepted rewrite, with the scores in JUDGE_SCORES; rejected ones are not asked about.

        `keeps` is the share of the source that must be kept, `rubric` what must be true of the rewrite as a whole, for
        its style. An answer that cannot be read changes nothing.
        """
        if not verdict.accepted:
            return verdict
        self.n_seen[REWRITES] += 1
        sides = split_sentences(source), split_sentences(rewrite)
        support, coverage, in_style = await asyncio.gather(
            self._answers(source, sides[1]),
            self._answers(rewrite, sides[0] if keeps > 0 else None),
            self._asked(_RUBRIC, rewrite, rubric=rubric) if rubric else _certain(),
        )
        added = [i for i, yes in enumerate(support) if yes is not None and yes < self._min_yes]
        lost = [i for i, yes in enumerate(coverage) if yes is not None and yes < self._min_yes]
        kept = 1 - _characters(sides[0], lost) / max(_characters(sides[0], range(len(sides[0].spans))), 1)
        answers = [*support, *coverage, *([in_style] if rubric else [])]
        scores = {
            "judge_support_min": min((yes for yes in support if yes is not None), default=1.0),
            "judge_coverage": kept,
            "judge_in_style": 1.0 if in_style is None else in_style,
            "judge_unread": answers.count(None) / max(len(answers), 1),
        }
        found = [_discrepancy("unsupported", sides[1], i, support[i]) for i in added]
        found += [_discrepancy("missing", sides[0], i, coverage[i]) for i in lost]
        reason, detail = None, verdict.detail
        if added:
            reason, detail = "judged_unfaithful", found[0].detail
        elif kept < keeps:
            reason, detail = "judged_incomplete", found[-len(lost)].detail
        elif in_style is not None and in_style < self._min_yes:
            reason, detail = "judged_not_in_style", f"the judge denies, yes {in_style:.2f}: {rubric}"
        return dataclasses.replace(
            verdict,
            accepted=reason is None,
            reason=reason,
            detail=detail,
            scores={**verdict.scores, **scores},
            discrepancies=(*verdict.discrepancies, *found),
        )

    async def _answers(self, text: str, side: Sentences | None) -> list[float | None]:
        """The probability of Yes for each sentence, None where the answer cannot be read."""
        if side is None:
            return []
        known = _normal(text)
        return list(
            await asyncio.gather(
                *(
                    self._answer(text, sentence) if _normal(sentence) not in known else _certain()
                    for sentence in (side[i] for i in range(len(side.spans)))
                )
            )
        )

    async def _answer(self, text: str, sentence: str) -> float | None:
        return await self._asked(_QUESTION, text, sentence=sentence)

    async def _asked(self, question: str, text: str, **values: str) -> float | None:
        """The probability of Yes to a question about a text; None if the answer cannot be read."""
        prompt = Prompt(system=_SYSTEM, user=question.format(tag=f"text-{digest(text)[:8]}", text=text, **values))
        self.n_seen[QUESTIONS] += 1
        try:
            async with self._in_flight:
                yes = probability_of_yes(await self._ask(prompt))
        except ValueError:  # too long, or refused: nothing is known
            yes = None
        self.n_seen[UNREAD] += yes is None
        return yes


def probability_of_yes(first: Mapping[str, float]) -> float | None:
    """Yes against No, in any case and with spaces around; None if the answer begins with neither."""
    mass = dict.fromkeys(("yes", "no"), 0.0)
    for token, logprob in first.items():
        word = token.strip().strip(".").lower()
        if word in mass:
            mass[word] += math.exp(min(logprob, 0.0))
    total = sum(mass.values())
    return mass["yes"] / total if total >= MIN_ANSWERED else None


async def _certain() -> float:
    return 1.0


def _normal(text: str) -> str:
    return " ".join(text.split())


def _characters(side: Sentences, chosen: Sequence[int]) -> int:
    return sum(side.spans[i][1] - side.spans[i][0] for i in chosen)


def _discrepancy(problem: str, side: Sentences, i: int, yes: float | None) -> Discrepancy:
    missing = problem == "missing"
    where = "the rewrite no longer says" if missing else "the source does not say"
    return Discrepancy(
        kind="sentence",
        problem="missing" if missing else "unsupported",
        source=side.spans[i] if missing else None,
        rewrite=None if missing else side.spans[i],
        detail=f"the judge finds that {where}, yes {yes or 0:.2f}: {side[i]}",
    )
