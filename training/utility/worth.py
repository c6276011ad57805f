"""What tokens were worth in a finished run, read back from its folder to decide what is rewritten next.

The worth of a text is the value of its first exposure. Where only repetitions were measured, it is their value divided
by the discount of repetition.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rephrase.storage.storage import Storage
from training.data.texts import ORIGINAL, Stream
from training.utility.repetition import RepetitionDiscount, fit_discount, max_useful_epochs

# Runs with other weights and another order of the documents differed by up to this many times the error within a run.
ACROSS_RUNS = 2.7
# An error of 0 must not give a run all the weight.
LEAST_ERROR = 1e-6
# In the metadata of utility.parquet.
DISCOUNT_KEY = b"repetition_discount"

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Worth:
    """`value` is relative to the average token of the run; `error` is one standard error between runs."""

    value: float
    error: float
    n_tokens: int


@dataclass(frozen=True, slots=True)
class RunUtility:
    """The worth of each stream of rewrites that was measured, and what is known of repetition.

    `n_readings` is how many tokens of rewrites the run read for each token of the originals; None if it read none of
    these, or an earlier version wrote it.
    """

    worths: dict[Stream, Worth]
    discount: RepetitionDiscount
    n_readings: float | None

    def pooled(self, key: Callable[[Stream], K]) -> dict[K, Worth]:
        """The worth of streams with the same key, weighted by their tokens."""
        groups: defaultdict[K, list[Worth]] = defaultdict(list)
        for stream, worth in self.worths.items():
            groups[key(stream)].append(worth)
        return {name: _mean(worths) for name, worths in groups.items()}

    @property
    def n_variants(self) -> int | None:
        """So many rewrites of each document that the run would have read none of them until it is worth less than half.

        None if it is not known how often a document was read.
        """
        if self.n_readings is None:
            return None
        # A little tolerance: 11.02 readings are not worth another rewrite of everything.
        return max(1, int(np.ceil(self.n_readings / max_useful_epochs(self.discount) - 0.05)))


def pooled_over(runs: Sequence[RunUtility], key: Callable[[Stream], K]) -> dict[K, Worth]:
    """The worth of streams with the same key over several runs: the estimate of each run weighted by 1 / error².

    This takes their errors, which are those between runs, to be independent.
    """
    found: defaultdict[K, list[Worth]] = defaultdict(list)
    for run in runs:
        for name, worth in run.pooled(key).items():
            found[name].append(worth)
    return {name: _combined(worths) for name, worths in found.items()}


def read_utility(run: str | Path) -> RunUtility:
    """
    Raises:
        FileNotFoundError: there is no `utility.parquet` in the folder.
        ValueError: the run did not measure the value of any rewrite.
    """
    storage = Storage(run)
    if not storage.exists("utility.parquet"):
        raise FileNotFoundError(
            f"{run} holds no utility.parquet: name the folder of a training run that has ended (palimpsest train)"
        )
    table = pq.read_table(pa.BufferReader(storage.read("utility.parquet")))
    stored = (table.schema.metadata or {}).get(DISCOUNT_KEY)
    discount = RepetitionDiscount(**json.loads(stored)) if stored else fit_discount(*(np.zeros(0) for _ in range(3)))
    by_stream: defaultdict[Stream, list[dict[str, float]]] = defaultdict(list)
    for row in sorted(table.to_pylist(), key=lambda row: row["repetition"]):
        if row["recipe"] != ORIGINAL:
            by_stream[Stream(row["source"], row["recipe"], row["style"])].append(row)
    worths = {}
    for stream, rows in by_stream.items():
        # A value without an error was measured once, which says nothing.
        measured = [row for row in rows if row["value"] is not None and row["value_error"] is not None]
        if measured:
            row, n_tokens = measured[0], int(sum(row["n_tokens"] for row in rows))
            remaining = discount.worth(int(row["repetition"]))
            worths[stream] = Worth(row["value"] / remaining, ACROSS_RUNS * row["value_error"] / remaining, n_tokens)
    if not worths:
        raise ValueError(
            f"{run} did not measure what rewrites are worth: it read none, held out nothing, or was too short for its "
            "--align-every"
        )
    return RunUtility(worths, discount, _n_readings(storage))


def _n_readings(storage: Storage) -> float | None:
    if not storage.exists("token_plan.json"):
        return None
    plan = storage.read_json("token_plan.json")
    # A stream is written as "source · recipe · style".
    recipes = [stream["stream"].rsplit(" · ", 2)[1] for stream in plan["streams"]]
    pairs = list(zip(recipes, plan["streams"], strict=True))
    n_original = sum(stream["n_tokens"] for recipe, stream in pairs if recipe == ORIGINAL)
    n_read = plan["n_tokens"] * sum(stream["share"] for recipe, stream in pairs if recipe != ORIGINAL)
    return n_read / n_original if n_original else None


def _combined(worths: list[Worth]) -> Worth:
    if len(worths) == 1:
        return worths[0]
    weights = 1 / np.maximum([worth.error for worth in worths], LEAST_ERROR) ** 2
    value = weights @ np.array([worth.value for worth in worths]) / weights.sum()
    return Worth(float(value), float(weights.sum() ** -0.5), sum(worth.n_tokens for worth in worths))


def _mean(worths: list[Worth]) -> Worth:
    n_tokens = np.array([worth.n_tokens for worth in worths], dtype=np.float64)
    weights = n_tokens / n_tokens.sum()
    values, errors = (np.array([getattr(worth, name) for worth in worths]) for name in ("value", "error"))
    return Worth(float(weights @ values), float(np.sqrt(weights**2 @ errors**2)), int(n_tokens.sum()))
