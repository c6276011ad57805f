"""The sampled rewrites and rejects with their texts, read from their parts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from flows.report.sample import Location
from flows.report.tally import UNCHANGED
from rephrase.dataset.rows import Row, chunked_text, last_recipe
from rephrase.dataset.schema import PROBABILITIES
from rephrase.dataset.shards import read_part
from rephrase.records import Discrepancy
from rephrase.storage.storage import Storage

# Longer texts are truncated: a rejected record may be a megabyte long.
MAX_CHARACTERS = 8_000

# Columns that the reader shows in a collapsed section.
DETAILS = (
    *("source", "record", "detected_language", "model", "model_revision", "engine", "prompt_hash"),
    *("temperature", "top_p", "seed"),
)
CHUNK_DETAILS = ("n_source_tokens", "n_tokens", "n_attempts", "finish_reason", "max_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A source and its rewrite. `reason` is None if it was accepted; `source` is None for a record without a text."""

    title: str
    document_id: str
    recipe: str
    style: str
    perspective: str
    variant: int | None
    chunk: int | None
    n_chunks: int | None
    stage: str
    reason: str | None
    detail: str
    source: str | None
    rewrite: str
    language: str
    scores: Mapping[str, float]
    details: Mapping[str, Any]
    n_source_cut: int = 0  # characters truncated at the end
    n_rewrite_cut: int = 0
    discrepancies: tuple[Discrepancy, ...] = field(default_factory=tuple)


def read_pairs(storage: Storage, locations: Sequence[Location]) -> list[Pair]:
    """The pairs at `locations`, in that order; each part is opened once for each kind."""
    found: dict[Location, Pair] = {}
    for (kind, part), group in groupby(
        sorted(locations, key=lambda at: (at.kind, at.part)), key=lambda at: (at.kind, at.part)
    ):
        chosen = list(group)
        rows = sorted({location.row for location in chosen})
        table = read_part(storage, kind, part).take(rows)
        by_number = dict(zip(rows, _rows(table), strict=True))
        for location in chosen:
            row = by_number[location.row]
            is_rewrite = kind == "rewrites"
            found[location] = _accepted(row, row["chunks"][location.chunk]) if is_rewrite else _rejected(row)
    return [found[location] for location in locations]


def _rows(table: Any) -> Iterator[Row]:
    for batch in table.to_batches():
        yield from batch.to_pylist()


def _accepted(row: Row, chunk: Row) -> Pair:
    source = chunked_text(row)[chunk["start"] : chunk["end"]]
    rewrite = row["text"][chunk["text_start"] : chunk["text_end"]]
    return Pair(
        **_shared(row),
        chunk=chunk["index"],
        n_chunks=row["n_chunks"],
        stage="rewrite",
        reason=None,
        detail="",
        **_texts(source, rewrite),
        scores=_scores(chunk),
        details=_details({**row, **{name: chunk[name] for name in CHUNK_DETAILS}, "seed": chunk["seed"]}),
    )


def _rejected(row: Row) -> Pair:
    return Pair(
        **_shared(row),
        chunk=row["chunk_index"],
        n_chunks=None,
        stage=row["stage"],
        reason=row["reason"] or "",
        detail=row["detail"] or "",
        **_texts(row["source_text"], row["text"] or ""),
        scores=_scores(row),
        details=_details(row),
    )


def _shared(row: Row) -> dict[str, Any]:
    return {
        "title": row["title"] or "",
        "document_id": row["document_id"] or "",
        "recipe": "" if row.get("stage") == "read" else last_recipe(row["recipe"] or UNCHANGED),
        "style": row["style"] or "",
        "perspective": row["perspective"] or "",
        "variant": row["variant"],
        "language": row["language"] or row["detected_language"] or "",
    }


def _texts(source: str | None, rewrite: str) -> dict[str, Any]:
    return {
        "source": source if source is None else source[:MAX_CHARACTERS],
        "rewrite": rewrite[:MAX_CHARACTERS],
        "n_source_cut": max(0, len(source or "") - MAX_CHARACTERS),
        "n_rewrite_cut": max(0, len(rewrite) - MAX_CHARACTERS),
    }


def _scores(found: Row) -> dict[str, float]:
    """The scores of a chunk or reject, with its probabilities, which older versions did not write."""
    scores = {score["name"]: score["value"] for score in found["scores"] or () if score["value"] is not None}
    return scores | {name: found[name] for name, _ in PROBABILITIES if found.get(name) is not None}


def _details(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in (*DETAILS, *CHUNK_DETAILS) if row.get(name) is not None}
