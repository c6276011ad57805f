"""Facts that differ between a rewrite and its source, for the pairs that the reader shows."""

from collections.abc import Mapping
from dataclasses import replace

from fidelity.checks.time_limit import LIMIT_S, TooSlowError, time_limit
from fidelity.facts.comparing.compare import compare_facts
from flows.report.pairs import Pair
from rephrase.prompting.recipes import Recipe
from rephrase.records import Check, Discrepancy

# Most serious first.
PROBLEMS = ("changed", "unsupported", "missing")


def add_discrepancies(pairs: list[Pair], recipes: Mapping[str, Recipe]) -> list[Pair]:
    """The pairs with the discrepancies between their two texts; unmatched sentences are left to the links."""
    mathematics = {name for name, recipe in recipes.items() if Check.FORMULAS in recipe.checks}
    return [replace(pair, discrepancies=_facts(pair, pair.recipe in mathematics)) for pair in pairs]


def _facts(pair: Pair, mathematics: bool) -> tuple[Discrepancy, ...]:
    if not pair.source or not pair.rewrite:
        return ()
    try:
        with time_limit(LIMIT_S):  # it may be the pair that was rejected because this takes for ever
            found = compare_facts(
                pair.source, pair.rewrite, source_language=pair.language or "en", mathematics=mathematics
            )
    except TooSlowError:
        return ()
    return tuple(
        sorted((f for f in found.discrepancies if f.kind != "sentence"), key=lambda fact: PROBLEMS.index(fact.problem))
    )
