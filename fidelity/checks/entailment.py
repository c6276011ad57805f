"""Does the source entail each sentence of the rewrite? A cross-encoder decides, so only for pairs that cheaper tiers
leave undecided.

The premise of a sentence is the nearest part of the source by embedding, with a sentence of context on each side: such
models are trained on short premises and do poorly on long ones (SummaC, arXiv 2111.09525).
"""

from collections.abc import Sequence

import numpy as np

from fidelity.checks.encoder import EntailmentModel
from fidelity.checks.sentences import Match, SentenceReport
from rephrase.records import Discrepancy

ENTAILMENT_SCORES = ("entailment_min", "entailment_mean", "entailment_p10")

# A source no longer than this is a premise as a whole.
WHOLE_CHARACTERS = 700
# The maximum length of a premise around the nearest sentences.
PREMISE_CHARACTERS = 1200
# A sentence below this probability is reported as a discrepancy.
REPORT_BELOW = 0.3


def score_entailment(
    model: EntailmentModel, reports: Sequence[SentenceReport]
) -> list[tuple[dict[str, float], tuple[Discrepancy, ...]]]:
    """For each compared pair, the scores listed in ENTAILMENT_SCORES and the sentences that are not entailed."""
    inputs: dict[tuple[str, str], None] = {}
    for report in reports:
        for match in report.support:
            for premise in premises(report, match):
                inputs[premise, report.rewrite[match.sentence]] = None
    # By length, so that a batch pads little.
    order = sorted(inputs, key=lambda pair: len(pair[0]) + len(pair[1]))
    found = dict(zip(order, model.entails(order), strict=True))
    return [_scores(report, found) for report in reports]


def _scores(
    report: SentenceReport, found: dict[tuple[str, str], float]
) -> tuple[dict[str, float], tuple[Discrepancy, ...]]:
    if not report.support:
        return {}, ()
    values, discrepancies = [], []
    for match in report.support:
        sentence = report.rewrite[match.sentence]
        value = max(float(found[premise, sentence]) for premise in premises(report, match))
        values.append(value)
        if value < REPORT_BELOW:
            discrepancies.append(
                Discrepancy(
                    kind="sentence",
                    problem="unsupported",
                    source=report.source.window(match.first, match.last),
                    rewrite=report.rewrite.spans[match.sentence],
                    detail=f"the source does not say: {sentence}",
                )
            )
    scores = {
        "entailment_min": min(values),
        "entailment_mean": float(np.mean(values)),
        "entailment_p10": float(np.quantile(values, 0.1)),
    }
    return scores, tuple(discrepancies)


def premises(report: SentenceReport, match: Match) -> list[str]:
    """The nearest window of the source, alone and with its surroundings; the whole source if it is short."""
    source = report.source
    nearest = source.text[slice(*source.window(match.first, match.last))]
    if len(source.text) <= WHOLE_CHARACTERS:
        return list(dict.fromkeys([nearest, source.text.strip()]))
    first, last = match.first, match.last
    while True:
        wider = (max(0, first - 1), min(len(source.spans) - 1, last + 1))
        start, end = source.window(*wider)
        if wider == (first, last) or end - start > PREMISE_CHARACTERS:
            break
        first, last = wider
    around = source.text[slice(*source.window(first, last))]
    return list(dict.fromkeys([nearest, around]))
