"""Do the rewrites of a recipe share an opening, repeat each other, or copy their sources?

Measured on a sample of parts spread over the run, because it has to read the texts.
"""

import re
from collections import Counter
from dataclasses import dataclass

from fidelity.checks.diversity import OPENING_WORDS, distinct_n
from fidelity.checks.form import copied_share
from rephrase.dataset.shards import committed_parts, read_part
from rephrase.storage.storage import Storage

N_MEASURED = 2000
N_PARTS = 20
N_OPENINGS = 5
# The beginning of a document of a megabyte is enough.
MAX_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeDiversity:
    """Figures of one recipe: shares of rewrites, of 3-word sequences, and of 8-word sequences."""

    recipe: str
    n_rewrites: int
    openings: tuple[tuple[str, float], ...]  # the most common first words, with their share
    distinct_3: float
    source_overlap: float


def measure_diversity(storage: Storage) -> list[RecipeDiversity]:
    """By recipe, over at most `N_MEASURED` rewrites from at most `N_PARTS` parts."""
    parts = committed_parts(storage, "rewrites")
    chosen = parts[:: -(-len(parts) // N_PARTS)] if parts else []
    pairs: dict[str, list[tuple[str, str]]] = {}
    for part in chosen:
        table = read_part(storage, "rewrites", part, ["recipe", "text", "source_text"])
        for row in table.slice(0, N_MEASURED // len(chosen)).to_pylist():
            if row["recipe"]:
                pairs.setdefault(row["recipe"], []).append(
                    (row["source_text"][: 2 * MAX_CHARACTERS], row["text"][:MAX_CHARACTERS])
                )
    return [_recipe_diversity(recipe, found) for recipe, found in sorted(pairs.items())]


def _recipe_diversity(recipe: str, pairs: list[tuple[str, str]]) -> RecipeDiversity:
    rewrites = [rewrite for _, rewrite in pairs]
    openings = Counter(" ".join(re.findall(r"\w+", text.lower())[:OPENING_WORDS]) for text in rewrites)
    return RecipeDiversity(
        recipe=recipe,
        n_rewrites=len(pairs),
        openings=tuple((words, n / len(pairs)) for words, n in openings.most_common(N_OPENINGS)),
        distinct_3=distinct_n(rewrites, 3),
        source_overlap=sum(copied_share(source, rewrite) for source, rewrite in pairs) / len(pairs),
    )
