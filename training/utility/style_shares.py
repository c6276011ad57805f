"""How often each style is to be drawn in the next rewriting run, by what its tokens were worth in a training run.

Thompson sampling: a worth is drawn from the normal distribution of each style's estimate, and the style that comes out
best wins; a style's share is how often it wins. What is uncertain is tried more often than what is known to be worse. A
style that the run never saw counts as the best one that it did, with the same error (optimism: otherwise it might never
be seen). Shares stay within a factor of `MAX_CHANGE` of an equal one: one run is weak evidence, and a corpus in
one style is not what was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.utility.worth import RunUtility, Worth, pooled_over

MAX_CHANGE = 4.0
N_DRAWS = 10_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StyleShare:
    """`worth` is None for a style that no run measured; its share comes from the prior."""

    recipe: str
    style: str
    worth: Worth | None
    share: float

    def to_json(self) -> dict[str, Any]:
        worth = self.worth
        return {
            "recipe": self.recipe,
            "style": self.style,
            "worth": worth and worth.value,
            "error": worth and worth.error,
            "n_tokens": worth.n_tokens if worth else 0,
            "share": self.share,
        }


def style_shares(runs: Sequence[RunUtility], styles: Mapping[str, Sequence[str]], seed: int) -> list[StyleShare]:
    """A share for each style of each recipe of which a run measured a style; best first, the rest is not decided.

    Rewrites of a route count for its last recipe, which drew their style.

    Args:
        styles: the styles of each recipe, by its name.
        seed: the same seed gives the same shares.
    """
    measured = pooled_over(runs, lambda stream: (stream.recipe.split("+")[-1], stream.style))
    found = []
    for recipe, names in styles.items():
        worths = [measured.get((recipe, style)) for style in names]
        if not any(worths):
            continue
        shares = thompson_shares(worths, np.random.default_rng([seed, *recipe.encode()]))
        rows = [StyleShare(recipe, *row) for row in zip(names, worths, map(float, shares), strict=True)]
        found += sorted(rows, key=lambda row: -row.share)
    return found


def thompson_shares(worths: Sequence[Worth | None], generator: np.random.Generator) -> Floats:
    """The share of each of N styles (N,), at least one of which was measured; None was not."""
    prior = max((worth for worth in worths if worth), key=lambda worth: worth.value)
    mean, error = np.array([[(worth or prior).value, (worth or prior).error] for worth in worths]).T
    draws = mean + error * generator.standard_normal((N_DRAWS, len(worths)))
    wins = np.bincount(draws.argmax(axis=1), minlength=len(worths))
    # Half a win more for each: a style that never won still gets the smallest share.
    return bounded((wins + 0.5) / (wins + 0.5).sum())


def bounded(shares: Floats) -> Floats:
    """Shares in proportion to these, each within a factor of `MAX_CHANGE` of an equal share, with a sum of 1."""
    low, high = 1 / (MAX_CHANGE * len(shares)), min(1.0, MAX_CHANGE / len(shares))
    # The sum of the clipped shares rises with the scale, from below 1 to above it.
    least, most = 0.0, high / shares.min()
    for _ in range(100):
        scale = (least + most) / 2
        least, most = (scale, most) if np.clip(scale * shares, low, high).sum() < 1 else (least, scale)
    found = np.clip(most * shares, low, high)
    return found / found.sum()
