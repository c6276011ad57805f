"""Convert records to rows of the two Parquet schemas. A row is a dict of JSON values, so the journal can store it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rephrase.dataset import schema
from rephrase.prompting.recipes import Recipe
from rephrase.records import ChunkRewrite, Document, Rewrite, UnreadableRecord, Variant, Verdict, digest

Row = dict[str, Any]

# Inserted between two rewritten chunks.
CHUNK_SEPARATOR = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The model, engine and seed that all rewrites of a run share."""

    model: str
    model_revision: str
    engine: str
    seed: int


def rewrite_id(document: Document, variant: Variant, recipe: Recipe, info: ModelInfo, route: Sequence[str]) -> str:
    """A deterministic id: the same run gives the same ids, so two runs can be joined."""
    return digest(
        *(
            document.id,
            digest(document.text),
            "+".join(route),
            variant.style,
            variant.perspective,
            variant.index,
            recipe.prompt_hash,
        ),
        *(info.model, info.model_revision, recipe.sampling.temperature, recipe.sampling.top_p, info.seed),
    )


def stitch(rewrite: Rewrite) -> str:
    """Join the accepted chunks, with the source of a rejected one where it was kept."""
    return CHUNK_SEPARATOR.join(part.final_text for part in rewrite.chunks if part.final_text is not None)


def rewritten_share(rewrite: Rewrite) -> float:
    """The share of the source's tokens whose chunks were accepted."""
    n_tokens = sum(part.chunk.n_tokens for part in rewrite.chunks)
    return sum(part.chunk.n_tokens for part in rewrite.chunks if part.verdict.accepted) / max(n_tokens, 1)


def rewrite_row(document: Document, steps: Sequence[tuple[Rewrite, Recipe]], info: ModelInfo) -> Row | None:
    """The row of a document after all steps of its route; None if the last step accepted no chunk."""
    rewrite, recipe = steps[-1]
    accepted = [part for part in rewrite.chunks if part.verdict.accepted]
    if not accepted:
        return None
    chunks, end = [], 0
    for part in rewrite.chunks:
        start = None
        if part.final_text is not None:
            start = end + len(CHUNK_SEPARATOR) if end else 0
            end = start + len(part.final_text)
        chunks.append(_chunk(part, start))
    everything = [part for step, _ in steps for part in step.chunks]
    return {
        "id": rewrite_id(document, rewrite.variant, recipe, info, [step.name for _, step in steps]),
        "text": stitch(rewrite),
        "source_text": document.text,
        **provenance(document, rewrite.variant, recipe, info),
        "recipe": "+".join(step.name for _, step in steps),
        "n_source_tokens": sum(part.chunk.n_tokens for part in steps[0][0].chunks),
        "n_tokens": sum(part.n_final_tokens for part in rewrite.chunks),
        "n_prompt_tokens": sum(part.n_prompt_tokens for part in everything),
        "n_completion_tokens": sum(part.n_completion_tokens for part in everything),
        "n_cached_tokens": sum(part.n_cached_tokens for part in everything),
        "n_chunks": len(rewrite.chunks),
        "n_chunks_accepted": len(accepted),
        "similarity": min(
            (p.verdict.scores["similarity"] for p in accepted if "similarity" in p.verdict.scores), default=None
        ),
        **lowest_probabilities([part.verdict for part in accepted]),
        "chunks": chunks,
        "steps": [_step(step, step_recipe) for step, step_recipe in steps[:-1]],
        "metadata": metadata_json(document.metadata),
    }


def last_recipe(route: str) -> str:
    """The recipe that wrote the text of a row: the last of its route."""
    return route.rsplit("+", 1)[-1]


def chunked_text(row: Row) -> str:
    """The text of which the chunks of a row are spans: that of the last earlier step, if there is one."""
    text: str = row["steps"][-1]["text"] if row["steps"] else row["source_text"]
    return text


def unchanged_row(document: Document, n_tokens: int, info: ModelInfo) -> Row:
    """The row of a document that is left unchanged."""
    return {
        "id": digest(document.id, "unchanged"),
        "text": document.text,
        "source_text": document.text,
        **_document_columns(document),
        "variant": 0,
        "seed": info.seed,
        **dict.fromkeys(("n_source_tokens", "n_tokens"), n_tokens),
        **dict.fromkeys(("n_prompt_tokens", "n_completion_tokens", "n_cached_tokens"), 0),
        **dict.fromkeys(("n_chunks", "n_chunks_accepted"), 0),
        "chunks": [],
        "steps": [],
        "metadata": metadata_json(document.metadata),
    }


def metadata_json(metadata: Mapping[str, object]) -> str | None:
    """JSON of the metadata, None if there is none; NaN and infinities, which JSON does not have, as null."""
    if not metadata:
        return None
    return json.dumps(_finite(metadata), ensure_ascii=False, default=str, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def reject_rows(document: Document, rewrite: Rewrite, recipe: Recipe, info: ModelInfo) -> list[Row]:
    """A row for each rejected chunk, with its source and the text of its last attempt."""
    return [
        {
            "stage": "rewrite",
            "reason": part.verdict.reason,
            "detail": part.verdict.detail,
            "text": part.text,
            "source_text": part.chunk.text,
            **provenance(document, rewrite.variant, recipe, info),
            "seed": part.seed,
            "chunk_index": part.chunk.index,
            "start": part.chunk.start,
            "end": part.chunk.end,
            "finish_reason": part.finish_reason,
            "n_attempts": part.n_attempts,
            "max_tokens": part.max_tokens,
            "n_source_tokens": part.chunk.n_tokens,
            "n_tokens": part.n_tokens,
            "n_prompt_tokens": part.n_prompt_tokens,
            "n_completion_tokens": part.n_completion_tokens,
            "n_cached_tokens": part.n_cached_tokens,
            "scores": score_rows(part.verdict),
            **schema.probability_row(part.verdict),
            "discrepancies": [schema.discrepancy_row(found) for found in part.verdict.discrepancies],
        }
        for part in rewrite.chunks
        if not part.verdict.accepted
    ]


def rejected_variant_row(row: Row, reason: str, detail: str, stage: Literal["variant", "document"] = "variant") -> Row:
    """The reject row of a whole variant, from that which it would have in the rewrites."""
    shared = {field.name for field in schema.REJECTS} & row.keys()
    return {**{name: row[name] for name in shared}, "stage": stage, "reason": reason, "detail": detail}


def unreadable_row(record: UnreadableRecord) -> Row:
    return {
        "stage": "read",
        "reason": record.reason,
        "detail": record.detail,
        "text": record.text,
        "document_id": record.document_id,
        "source": record.source,
        "record": record.record,
    }


def provenance(document: Document, variant: Variant, recipe: Recipe, info: ModelInfo) -> Row:
    return {
        **_document_columns(document),
        "recipe": recipe.name,
        "recipe_version": recipe.version,
        "style": variant.style,
        "perspective": variant.perspective,
        "variant": variant.index,
        "model": info.model,
        "model_revision": info.model_revision,
        "engine": info.engine,
        "prompt_hash": recipe.prompt_hash,
        "temperature": recipe.sampling.temperature,
        "top_p": recipe.sampling.top_p,
        "seed": info.seed,
    }


def _document_columns(document: Document) -> Row:
    return {
        "document_id": document.id,
        "source": document.source,
        "record": document.record,
        "title": document.title,
        "domain": str(document.domain),
        "language": document.language,
        "detected_language": document.detected_language,
    }


def lowest_probabilities(accepted: Sequence[Verdict]) -> Row:
    """The lowest value of each column of PROBABILITIES over the accepted chunks."""
    rows = [schema.probability_row(verdict) for verdict in accepted]
    names = [name for name, _ in schema.PROBABILITIES]
    return {name: min((value for row in rows if (value := row[name]) is not None), default=None) for name in names}


def _chunk(part: ChunkRewrite, text_start: int | None) -> Row:
    return {
        "index": part.chunk.index,
        "start": part.chunk.start,
        "end": part.chunk.end,
        "text_start": text_start,
        "text_end": None if text_start is None else text_start + len(part.final_text or ""),
        "accepted": part.verdict.accepted,
        "source_kept": part.source_kept,
        **schema.probability_row(part.verdict),
        "reason": part.verdict.reason,
        "n_source_tokens": part.chunk.n_tokens,
        "n_tokens": part.n_tokens,
        "finish_reason": part.finish_reason,
        "n_attempts": part.n_attempts,
        "n_sentences_removed": part.n_sentences_removed,
        "max_tokens": part.max_tokens,
        "seed": part.seed,
        "scores": score_rows(part.verdict),
    }


def _step(rewrite: Rewrite, recipe: Recipe) -> Row:
    return {
        "recipe": recipe.name,
        "recipe_version": recipe.version,
        "style": rewrite.variant.style,
        "perspective": rewrite.variant.perspective,
        "prompt_hash": recipe.prompt_hash,
        "text": stitch(rewrite),
        "n_tokens": sum(part.n_final_tokens for part in rewrite.chunks),
        "n_chunks": len(rewrite.chunks),
        "n_chunks_accepted": sum(part.verdict.accepted for part in rewrite.chunks),
    }


def score_rows(verdict: Verdict) -> list[Row]:
    """The scores of a verdict as rows of `schema.SCORES`."""
    return [{"name": name, "value": float(value)} for name, value in sorted(verdict.scores.items())]
