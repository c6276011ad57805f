"""The accepted and rejected chunks of a finished run as pairs, so that they can be judged again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from fidelity.checker import kind_of
from rephrase.dataset.plan import load_plan
from rephrase.dataset.rows import chunked_text, last_recipe
from rephrase.dataset.run_recipes import run_recipes
from rephrase.dataset.shards import read_commits, read_rejects, read_rewrites
from rephrase.prompting.recipes import Recipe
from rephrase.storage.run_folder import PLAN_NAME
from rephrase.storage.storage import Storage

RUN_COLUMNS = pa.schema(
    [
        ("document_id", pa.string()),
        ("recipe", pa.string()),
        ("style", pa.string()),
        ("perspective", pa.string()),
        ("variant", pa.int32()),
        ("chunk_index", pa.int32()),
        ("kind", pa.string()),
        ("keeps", pa.float64()),
        ("form", pa.string()),
        ("source", pa.string()),
        ("rewrite", pa.string()),
        ("accepted_before", pa.bool_()),
        ("reason_before", pa.string()),
        ("probability_before", pa.float64()),
    ]
)
_SHARED = ("document_id", "recipe", "style", "perspective", "variant")


def is_run(storage: Storage) -> bool:
    return storage.exists(PLAN_NAME)


def count_run_pairs(storage: Storage) -> int:
    return sum(commit.get("n_chunks", 0) for commit in read_commits(storage).values())


def read_run_pairs(storage: Storage, recipe_files: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """The accepted chunks, then the rejected ones. Documents passed through unchanged are skipped.

    Args:
        recipe_files: these recipes say what is asked of a rewrite, in place of the run's of the same names.
    """
    plan = load_plan(storage)
    recipes = run_recipes(storage, plan.config if plan else {}, recipe_files)
    for table in read_rewrites(storage):
        for row in _rows(table):
            if not row["recipe"]:
                continue
            source = chunked_text(row)
            for chunk in row["chunks"]:
                if not chunk["accepted"]:
                    continue
                yield {
                    **{name: row[name] for name in _SHARED},
                    "chunk_index": chunk["index"],
                    **_required(row, recipes),
                    "source": source[chunk["start"] : chunk["end"]].strip(),
                    "rewrite": row["text"][chunk["text_start"] : chunk["text_end"]],
                    "accepted_before": True,
                    "reason_before": None,
                    "probability_before": chunk.get("probability"),
                }
    for table in read_rejects(storage):
        for row in _rows(table):
            if row["stage"] != "rewrite":
                continue
            yield {
                **{name: row[name] for name in _SHARED},
                "chunk_index": row["chunk_index"],
                **_required(row, recipes),
                "source": row["source_text"].strip(),
                "rewrite": row["text"],
                "accepted_before": False,
                "reason_before": row["reason"],
                "probability_before": row.get("probability"),
            }


def _required(row: dict[str, Any], recipes: Mapping[str, Recipe]) -> dict[str, Any]:
    """What the recipe requires; of a custom one in a run of an earlier version only the domain is known."""
    recipe = recipes.get(last_recipe(row["recipe"]))
    if recipe is None:
        kind = "math" if row["domain"] == "math" else "knowledge"
        return {"kind": kind, "keeps": 1.0, "form": None, "thresholds": {}}
    required = recipe.worded_as(row.get("prompt_hash")).requirements(row["style"])
    return {
        "kind": kind_of(required.checks),
        "keeps": required.keeps,
        "form": required.form,
        "thresholds": required.thresholds,
    }


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=64):
        yield from batch.to_pylist()
