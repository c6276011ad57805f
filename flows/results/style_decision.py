"""Which styles the next run draws and how often, decided by a training run; and why, for people and programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rephrase.prompting.recipes import Recipe

if TYPE_CHECKING:
    from training.utility.style_shares import StyleShare
    from training.utility.worth import RunUtility, Worth

N_NAMED = 3


@dataclass(frozen=True, slots=True)
class StyleDecision:
    """`runs` are the training runs; `shares` are of the styles of the recipes that they know, best first.

    `utilities` are those of the runs; how often documents are to be read follows from the last.
    """

    runs: Sequence[str]
    shares: "list[StyleShare]"
    utilities: "Sequence[RunUtility]"

    @property
    def run(self) -> str:
        """The runs in words."""
        return " and ".join(self.runs)

    @property
    def utility(self) -> "RunUtility":
        return self.utilities[-1]

    def by_recipe(self) -> dict[str, dict[str, float]]:
        """The share of each style of each recipe."""
        found: dict[str, dict[str, float]] = {}
        for row in self.shares:
            found.setdefault(row.recipe, {})[row.style] = row.share
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "styles": [row.to_json() for row in self.shares],
            "sources": [
                {"source": source, "worth": worth.value, "error": worth.error, "n_tokens": worth.n_tokens}
                for source, worth in self.sources()
            ],
            "n_variants": self.utility.n_variants,
            "n_readings": self.utility.n_readings,
            "repetition": asdict(self.utility.discount),
        }

    def sources(self) -> "list[tuple[str, Worth]]":
        """What the rewrites of each source were worth, best first."""
        from training.utility.worth import pooled_over

        worths = pooled_over(self.utilities, lambda stream: stream.source)
        return sorted(worths.items(), key=lambda item: -item[1].value)

    def lines(self) -> list[str]:
        """The decision in short: the styles that are drawn most, and how many variants are proposed."""
        found = []
        for recipe in self.by_recipe():
            rows = [row for row in self.shares if row.recipe == recipe][:N_NAMED]
            named = ", ".join(f"{row.style} {row.share:.0%} ({worth_text(row.worth)})" for row in rows)
            found.append(f"styles of {recipe} are drawn by what they were worth in {self.run}: mostly {named}")
        return [*found, self.variants_line()]

    def variants_line(self) -> str:
        from training.utility.repetition import max_useful_epochs

        utility, discount = self.utility, self.utility.discount
        origin = f"R* {discount.low:.1f} to {discount.high:.1f}" if discount.measured else "a published figure"
        worth = f"tokens are worth less than half after {max_useful_epochs(discount)} readings ({origin})"
        last = self.runs[-1]
        if utility.n_variants is None:
            return f"{worth}; {last} does not say how often documents were read, so no number of variants follows"
        n_variants = f"{utility.n_variants} variant{'s' * (utility.n_variants != 1)}"
        return (
            f"{last} read {utility.n_readings:.1f} tokens of rewrites for each token of the originals, and "
            f"{worth}: {n_variants} per document would be enough"
        )


def decide_styles(runs: Sequence[str], recipes: Mapping[str, Recipe], seed: int) -> StyleDecision:
    """
    Args:
        runs: folders of training runs; the values of a style in them are combined by their errors.
        recipes: those of the next run, by name.

    Raises:
        FileNotFoundError: there is no training run.
        ValueError: it knows none of these recipes, or measured nothing.
    """
    from training.utility.style_shares import style_shares
    from training.utility.worth import read_utility

    utilities = [read_utility(run) for run in runs]
    shares = style_shares(utilities, {name: tuple(recipe.styles) for name, recipe in recipes.items()}, seed)
    if not shares:
        known = sorted({f"{stream.recipe}/{stream.style}" for utility in utilities for stream in utility.worths})
        raise ValueError(
            f"{' and '.join(runs)} measured no style that this run can draw: it knows {', '.join(known[:6])}"
            f"{' …' * (len(known) > 6)}. Recipes have other styles for small models (--model-size)"
        )
    return StyleDecision(runs, shares, utilities)


def worth_text(worth: "Worth | None") -> str:
    """With the standard error between runs."""
    return f"worth {worth.value:.2f} ± {worth.error:.2f}" if worth else "not seen yet"
