"""The counts behind a run's report: one pass over all committed parts that reads no text, in bounded memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.report.histogram import Histogram
from flows.report.sample import StratifiedSampler
from rephrase.dataset.rows import Row, last_recipe
from rephrase.dataset.schema import PROBABILITIES
from rephrase.dataset.shards import committed_parts, read_part
from rephrase.storage.storage import Storage

REWRITE_COLUMNS = [
    *("recipe", "style", "perspective", "detected_language", "n_source_tokens", "n_tokens"),
    *("n_chunks", "n_chunks_accepted", "chunks"),
    # Earlier steps without their texts.
    *(f"steps.list.element.{name}" for name in ("recipe", "style", "perspective", "n_chunks_accepted")),
]
REJECT_COLUMNS = [
    *("stage", "reason", "recipe", "style", "perspective", "n_source_tokens", "n_tokens", "n_attempts", "scores"),
    *(name for name, _ in PROBABILITIES),
]
UNCHANGED = "unchanged"
ACCEPTED = ""  # in place of a reject reason
MAX_RATIO = 4.0


@dataclass(frozen=True, slots=True)
class RewriteSpec:
    """What a chunk was rewritten with; counts are grouped by it."""

    recipe: str
    style: str
    perspective: str


@dataclass(slots=True)
class Tally:
    """Counts over all rows of a run, and the rows drawn for its reader."""

    sampler: StratifiedSampler
    chunks: Counter[tuple[RewriteSpec, str]] = field(default_factory=Counter)  # by reject reason, or ACCEPTED
    variants: Counter[tuple[RewriteSpec, str]] = field(default_factory=Counter)  # rejected whole rewrites, by reason
    records: Counter[str] = field(default_factory=Counter)  # records that are not documents, by reason
    languages: Counter[str] = field(default_factory=Counter)  # of rewritten documents
    scores: dict[tuple[str, str], Histogram] = field(default_factory=dict)  # by name and recipe
    ratios: Histogram = field(default_factory=lambda: Histogram(0.05))  # tokens of rewrite / tokens of source
    attempts: dict[bool, Counter[int]] = field(default_factory=lambda: {True: Counter(), False: Counter()})
    completeness: Counter[bool] = field(default_factory=Counter)  # rewrites with all chunks or only some
    n_rewrites: int = 0
    n_unchanged: int = 0
    n_source_tokens: int = 0  # of the rewritten documents

    @property
    def n_rows(self) -> int:
        """Rows that the reader could show: accepted chunks and all rejects."""
        return self.sampler.n_seen


def tally(storage: Storage, n_sample: int, seed: int) -> Tally:
    """Read every committed part once."""
    found = Tally(StratifiedSampler(n_sample, seed))
    for part in committed_parts(storage, "rewrites"):
        _add_rewrites(found, part, read_part(storage, "rewrites", part, REWRITE_COLUMNS))
    for part in committed_parts(storage, "rejects"):
        _add_rejects(found, part, read_part(storage, "rejects", part, REJECT_COLUMNS))
    return found


def _add_rewrites(found: Tally, part: int, table: pa.Table) -> None:
    found.n_rewrites += table.num_rows
    found.n_unchanged += table["recipe"].null_count
    found.n_source_tokens += pc.sum(table["n_source_tokens"]).as_py() or 0
    found.languages.update(_counts(table["detected_language"]))
    for row in _grouped(table, ["recipe", "style", "perspective"], "n_chunks_accepted"):
        if row["recipe"]:
            spec = RewriteSpec(last_recipe(row["recipe"] or UNCHANGED), row["style"] or "", row["perspective"] or "")
            found.chunks[spec, ACCEPTED] += row["n_chunks_accepted_sum"]
    for spec, n_accepted in _earlier_steps(table):
        found.chunks[spec, ACCEPTED] += n_accepted
    rewritten = table.filter(pc.is_valid(table["recipe"]))
    whole = pc.equal(rewritten["n_chunks"], rewritten["n_chunks_accepted"])
    found.completeness[True] += pc.sum(whole).as_py() or 0
    found.completeness[False] += len(whole) - (pc.sum(whole).as_py() or 0)

    lists = table["chunks"].combine_chunks()
    row_of = pc.list_parent_indices(lists)
    chunks = lists.flatten()
    accepted = pc.fill_null(pc.struct_field(chunks, "accepted"), False)
    # The position of each chunk within its row: its number minus that of the row's first chunk.
    rows = row_of.to_numpy()
    first = np.searchsorted(rows, rows, side="left")
    keep = accepted.to_numpy(zero_copy_only=False)
    chunks, row_of = chunks.filter(accepted), row_of.filter(accepted)
    recipes = [last_recipe(route or UNCHANGED) for route in table["recipe"].to_pylist()]
    recipe_of = [recipes[row] for row in row_of.to_pylist()]
    positions = (np.arange(len(rows)) - first)[keep]
    found.sampler.add("rewrites", part, [(recipe, ACCEPTED) for recipe in recipe_of], row_of.to_numpy(), positions)
    _add_figures(found, True, recipe_of, chunks.field("scores"), chunks)


def _add_rejects(found: Tally, part: int, table: pa.Table) -> None:
    for row in _grouped(table, ["stage", "reason", "recipe", "style", "perspective"], "stage", "count"):
        spec = RewriteSpec(last_recipe(row["recipe"] or UNCHANGED), row["style"] or "", row["perspective"] or "")
        if row["stage"] == "read":
            found.records[row["reason"]] += row["stage_count"]
        elif row["stage"] in ("variant", "document"):
            found.variants[spec, row["reason"]] += row["stage_count"]
        else:
            found.chunks[spec, row["reason"]] += row["stage_count"]
    strata = [
        ("" if stage == "read" else last_recipe(recipe or UNCHANGED), reason or "")
        for stage, recipe, reason in zip(
            *(table[name].to_pylist() for name in ("stage", "recipe", "reason")), strict=True
        )
    ]
    rows = np.arange(table.num_rows)
    found.sampler.add("rejects", part, strata, rows, np.zeros_like(rows))
    rejected = table.filter(pc.equal(table["stage"], "rewrite")).combine_chunks()
    recipe_of = [last_recipe(recipe or UNCHANGED) for recipe in rejected["recipe"].to_pylist()]
    _add_figures(found, False, recipe_of, rejected["scores"].combine_chunks(), rejected)


def _add_figures(
    found: Tally, accepted: bool, recipe_of: list[str], scores: pa.ListArray, rows: pa.StructArray | pa.Table
) -> None:
    """Add scores by name and recipe, length ratios, and attempts."""

    def column(name: str) -> np.ndarray:
        is_struct = isinstance(rows, pa.StructArray)
        if name not in (rows.type.names if is_struct else rows.column_names):
            return np.full(len(rows), np.nan)  # written by an older version
        values = pc.struct_field(rows, name) if is_struct else rows[name]
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        found.ratios.add(np.minimum(column("n_tokens") / column("n_source_tokens"), MAX_RATIO), accepted)
    attempts, counts = np.unique(column("n_attempts"), return_counts=True)
    for attempt, count in zip(attempts.tolist(), counts.tolist(), strict=True):
        if np.isfinite(attempt):
            found.attempts[accepted][int(attempt)] += count
    groups: dict[tuple[str, str], list[float]] = {}
    for name, _ in PROBABILITIES:
        for recipe, probability in zip(recipe_of, column(name).tolist(), strict=True):
            groups.setdefault((name, recipe), []).append(probability)
    owner = pc.list_parent_indices(scores).to_numpy()
    flat = scores.flatten()
    names = pc.struct_field(flat, "name").to_pylist()
    values = pc.struct_field(flat, "value").to_pylist()
    for name, row, value in zip(names, owner.tolist(), values, strict=True):
        groups.setdefault((name, recipe_of[row]), []).append(value)
    for key, group in groups.items():
        numbers = np.array(group, dtype=np.float64)
        if np.isfinite(numbers).any():
            found.scores.setdefault(key, Histogram()).add(numbers, accepted)


def _earlier_steps(table: pa.Table) -> Iterator[tuple[RewriteSpec, int]]:
    """Accepted chunks of the earlier steps of a route, such as a translation."""
    for step in table["steps"].combine_chunks().flatten().to_pylist():
        spec = RewriteSpec(step["recipe"], step["style"] or "", step["perspective"] or "")
        yield spec, step["n_chunks_accepted"] or 0


def _grouped(table: pa.Table, keys: list[str], value: str, function: str = "sum") -> list[Row]:
    mode = pc.CountOptions(mode="all") if function == "count" else None
    return table.group_by(keys).aggregate([(value, function, mode)]).to_pylist()


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in pc.value_counts(column).to_pylist() if row["values"]}
