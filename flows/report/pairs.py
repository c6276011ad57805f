"""The sampled rewrites and rejects with their texts, read from the parts in which they stand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from flows.report.sample import Place
from flows.report.tally import last_recipe
from rephrase.dataset.rows import Row
from rephrase.dataset.shards import read_part
from rephrase.records import Discrepancy
from rephrase.storage.storage import Storage

# The texts of a pair are cut here: a refused record may be a megabyte.
MAX_CHARACTERS = 8_000

# Facts of a row that the reader shows folded away.
DETAILS = (
    *("source", "record", "detected_language", "model", "model_revision", "engine", "prompt_hash"),
    *("temperature", "top_p", "seed"),
)
CHUNK_DETAILS = ("n_source_tokens", "n_tokens", "n_attempts", "finish_reason", "max_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A source beside what became of it. `reason` is None when it was accepted; `source` None for no document."""

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
    n_source_cut: int = 0  # characters left out at the end
    n_rewrite_cut: int = 0
    discrepancies: tuple[Discrepancy, ...] = field(default_factory=tuple)


def read_pairs(storage: Storage, places: Sequence[Place]) -> list[Pair]:
    """The pairs at `places`, in their order; each part is opened once for each kind."""
    found: dict[Place, Pair] = {}
    for (kind, part), group in groupby(
        sorted(places, key=lambda place: (place.kind, place.part)), key=lambda place: (place.kind, place.part)
    ):
        chosen = list(group)
        rows = sorted({place.row for place in chosen})
        table = read_part(storage, kind, part).take(rows)
        by_number = dict(zip(rows, _rows(table), strict=True))
        for place in chosen:
            row = by_number[place.row]
            found[place] = _accepted(row, row["chunks"][place.chunk]) if kind == "rewrites" else _refused(row)
    return [found[place] for place in places]


def _rows(table: Any) -> Iterator[Row]:
    for batch in table.to_batches():
        yield from batch.to_pylist()


def _accepted(row: Row, chunk: Row) -> Pair:
    # After earlier steps a chunk is one of what the last of them wrote.
    origin = row["steps"][-1]["text"] if row["steps"] else row["source_text"]
    source = origin[chunk["start"] : chunk["end"]]
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


def _refused(row: Row) -> Pair:
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
        "recipe": "" if row.get("stage") == "read" else last_recipe(row["recipe"]),
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
    """The scores of a chunk or a reject, and its probability, which older versions did not write."""
    scores = {score["name"]: score["value"] for score in found["scores"] or () if score["value"] is not None}
    if found.get("probability") is not None:
        scores["probability"] = found["probability"]
    return scores


def _details(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in (*DETAILS, *CHUNK_DETAILS) if row.get(name) is not None}
