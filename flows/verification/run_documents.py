"""The documents of a finished run, as far as it wrote them down: their chunks with sources and rewrites.

A rejected document has its chunks in a row of the rejects, or, if none was accepted, in one row each.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rephrase.dataset import schema
from rephrase.dataset.plan import Plan
from rephrase.dataset.rows import Row, chunked_text, last_recipe
from rephrase.prompting.recipes import Recipe
from rephrase.prompting.routing import AUTOMATIC, route_document
from rephrase.records import Document, Domain, digest

CHUNK_STAGE = "rewrite"  # the stage of the rejects that hold a chunk
DOCUMENT_STAGE = "document"  # and of those that hold a document of which too little was rewritten
_KEY = ("document_id", "source", "record", "variant")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenChunk:
    """A chunk as the run left it: its source, its rewrite, and the row that holds its figures."""

    source: str
    text: str
    accepted: bool
    figures: Row


def written_documents(
    rewrites: Sequence[Row], rejects: Sequence[Row]
) -> tuple[list[tuple[Row, list[WrittenChunk]]], list[list[WrittenChunk]]]:
    """Each rewritten document with its chunks in order, and the rejected chunks of those of which none was accepted."""
    by_key: dict[tuple[Any, ...], dict[int, Row]] = defaultdict(dict)
    for row in rejects:
        by_key[_key(row)][row["chunk_index"]] = row
    found = []
    for row in rewrites:
        refused = by_key.pop(_key(row), {})
        text = chunked_text(row)
        chunks = []
        for chunk in row["chunks"]:
            figures = chunk if chunk["accepted"] else refused.pop(chunk["index"], chunk)
            rewrite = row["text"][chunk["text_start"] : chunk["text_end"]] if chunk["accepted"] else figures.get("text")
            chunks.append(
                WrittenChunk(
                    source=text[chunk["start"] : chunk["end"]],
                    text=rewrite or "",
                    accepted=chunk["accepted"],
                    figures={**figures, "index": chunk["index"]},
                )
            )
        found.append((row, chunks))
    return found, [[_rejected(refused[index]) for index in sorted(refused)] for refused in by_key.values()]


def _rejected(row: Row) -> WrittenChunk:
    return WrittenChunk(
        source=row["source_text"],
        text=row["text"] or "",
        accepted=False,
        figures={**row, "index": row["chunk_index"]},
    )


def can_be_restored(row: Row) -> bool:
    """Whether a reject is a document of which too little was rewritten, and its chunks and their sources are known."""
    return row["stage"] == DOCUMENT_STAGE and bool(row.get("chunks")) and "+" not in row["recipe"]


def restored(row: Row) -> Row:
    """The row that a rejected document would have among the rewrites; its metadata is not known any more."""
    name = digest("refiltered", *_key(row), row["source_text"])
    return {**row, "id": name, "steps": [], "metadata": None}


def assembled(chunks: Sequence[WrittenChunk]) -> Row:
    """The row of a document of which the run accepted nothing, from its rejects; its metadata is not known any more."""
    first = chunks[0].figures
    source = "".join(chunk.source for chunk in chunks)
    provenance = {name: first.get(name) for name, _ in schema.PROVENANCE}
    figures = [chunk.figures for chunk in chunks]
    return {
        **provenance,
        "id": digest("refiltered", *_key(provenance), source),
        "source_text": source,
        **{
            name: sum(row.get(name) or 0 for row in figures)
            for name in ("n_source_tokens", "n_prompt_tokens", "n_completion_tokens", "n_cached_tokens")
        },
        "steps": [],
        "metadata": None,
    }


def is_whole_document(
    chunk: Row, route: str, rejects: Sequence[Row], plan: Plan, recipes: Mapping[str, Recipe]
) -> bool:
    """Whether rejected chunks without a row are all chunks of their document, and rewritten would be its output.

    Args:
        chunk: one of them.
        rejects: those that stay.
    """
    if plan.config.get("on_reject") == "document":
        return False  # nothing was written after the first rejected chunk
    if any(row["stage"] != CHUNK_STAGE and row["recipe"] and _key(row) == _key(chunk) for row in rejects):
        return False  # the others are in a variant that was rejected as a whole
    first, *later = route.split("+")
    # Of a later step, the text that it rewrote is gone.
    return bool(first == chunk["recipe"] and (not later or recipe_of(chunk, recipes).keep_step))


def route_of(row: Row, plan: Plan) -> str:
    """The route of the document of a row or reject, its recipes joined with +."""
    document = Document(
        id=row["document_id"],
        text="",
        source=row["source"],
        domain=Domain(row["domain"]),
        language=row["language"],
        detected_language=row["detected_language"],
    )
    route = "+".join(route_document(document, plan.config.get("recipe", AUTOMATIC)))
    return route if last_recipe(row["recipe"]) in route.split("+") else str(row["recipe"])


def recipe_of(row: Row, recipes: Mapping[str, Recipe]) -> Recipe:
    """
    Raises:
        ValueError: it is not known.
    """
    recipe = recipes.get(last_recipe(row["recipe"]))
    if recipe is None:
        name = row["recipe"]
        raise ValueError(f"the run used the recipe {name!r}, which is not known: name its file with --recipes")
    return recipe.worded_as(row["prompt_hash"])


def _key(row: Row) -> tuple[Any, ...]:
    """What a row has in common with the rejected chunks of its last step."""
    return (*(row[name] for name in _KEY), last_recipe(row["recipe"]))
