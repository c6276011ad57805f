"""Do the rewrites of a recipe share an opening, repeat each other, or copy their sources?

Measured on a sample of parts spread over the run, because it has to read the texts.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from fidelity.checks.diversity import OPENING_WORDS, distinct_n, shared_sequences
from fidelity.checks.form import copied_share
from rephrase.dataset.shards import committed_parts, read_part
from rephrase.storage.storage import Storage

N_MEASURED = 2000
N_PARTS = 20
N_OPENINGS = 5
# The beginning of a document of a megabyte is enough.
MAX_CHARACTERS = 4_000
# Of more variants of a document the first ones are compared: their pairs grow with the square.
MAX_VARIANTS = 8
_COLUMNS = ["recipe", "source", "record", "text", "source_text"]
# Where a document stands in the corpus: two files may use one id.
_Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeDiversity:
    """Figures of one recipe: shares of rewrites, of 3-word sequences, and of 8-word sequences.

    `variant_overlap` is the mean share of the 3-word sequences of a variant that another variant of its document has
    too; None where no document has two. `near_duplicates` is the share of all variants of such documents that were
    rejected for repeating another.
    """

    recipe: str
    n_rewrites: int
    openings: tuple[tuple[str, float], ...]  # the most common first words, with their share
    distinct_3: float
    source_overlap: float
    variant_overlap: float | None
    near_duplicates: float


def measure_diversity(storage: Storage) -> list[RecipeDiversity]:
    """By recipe, over at most `N_MEASURED` rewrites from at most `N_PARTS` parts."""
    parts = committed_parts(storage, "rewrites")
    chosen = parts[:: -(-len(parts) // N_PARTS)] if parts else []
    pairs: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    variants: defaultdict[str, defaultdict[_Place, list[str]]] = defaultdict(lambda: defaultdict(list))
    repeated: Counter[tuple[str, _Place]] = Counter()
    for part in chosen:
        for row in read_part(storage, "rewrites", part, _COLUMNS).slice(0, N_MEASURED // len(chosen)).to_pylist():
            if row["recipe"]:
                text = row["text"][:MAX_CHARACTERS]
                pairs[row["recipe"]].append((row["source_text"][: 2 * MAX_CHARACTERS], text))
                variants[row["recipe"]][row["source"], row["record"]].append(text)
    for part in committed_parts(storage, "rejects"):
        if part not in chosen:
            continue
        for row in read_part(storage, "rejects", part, ["reason", "recipe", "source", "record"]).to_pylist():
            if row["reason"] == "near_duplicate":
                repeated[row["recipe"], (row["source"], row["record"])] += 1
    return [
        _recipe_diversity(
            recipe,
            pairs[recipe],
            [(texts, repeated[recipe, place]) for place, texts in variants[recipe].items()],
        )
        for recipe in sorted(pairs)
    ]


def _recipe_diversity(
    recipe: str, pairs: Sequence[tuple[str, str]], variants: Sequence[tuple[Sequence[str], int]]
) -> RecipeDiversity:
    """`pairs` of sources and rewrites; `variants` of each document, and how many were rejected for repeating others."""
    rewrites = [rewrite for _, rewrite in pairs]
    openings = Counter(" ".join(re.findall(r"\w+", text.lower())[:OPENING_WORDS]) for text in rewrites)
    shared = [share for texts, _ in variants for share in shared_sequences(texts[:MAX_VARIANTS], 3)]
    n_repeated = sum(n for _, n in variants)
    n_variants = sum(n for texts, n_rejected in variants if (n := len(texts) + n_rejected) > 1)
    return RecipeDiversity(
        recipe=recipe,
        n_rewrites=len(pairs),
        openings=tuple((words, n / len(pairs)) for words, n in openings.most_common(N_OPENINGS)),
        distinct_3=distinct_n(rewrites, 3),
        source_overlap=sum(copied_share(source, rewrite) for source, rewrite in pairs) / len(pairs),
        variant_overlap=sum(shared) / len(shared) if shared else None,
        near_duplicates=n_repeated / n_variants if n_variants else 0.0,
    )
