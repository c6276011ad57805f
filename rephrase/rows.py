"""From records to the rows of the two Parquet schemas. A row is a dict of JSON values: it can be journalled."""

import json
from dataclasses import dataclass
from typing import Any

from rephrase.records import ChunkRewrite, Document, Rewrite, UnreadableRecord, Variant, digest

Row = dict[str, Any]

# Between two rewritten chunks.
SEAM = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What all rewrites of a run by one recipe share. `prompt_hash` is of the recipe's templates, not of one prompt."""

    model: str
    model_revision: str
    engine: str
    recipe_version: int
    prompt_hash: str
    temperature: float
    top_p: float
    seed: int


def rewrite_id(document: Document, variant: Variant, provenance: Provenance) -> str:
    """The same run gives the same ids, so two runs can be joined."""
    p, v = provenance, variant
    return digest(
        *(document.id, v.recipe, v.style, v.perspective, v.index, p.prompt_hash),
        *(p.model, p.model_revision, p.temperature, p.top_p, p.seed),
    )


def rewrite_row(rewrite: Rewrite, provenance: Provenance) -> Row | None:
    """The row of a rewritten document: its accepted chunks joined. None when no chunk was accepted."""
    accepted = [part for part in rewrite.chunks if part.verdict.accepted]
    if not accepted:
        return None
    text, chunks = "", []
    for part in rewrite.chunks:
        text_start = text_end = None
        if part.verdict.accepted:
            text_start = len(text) + len(SEAM) if text else 0
            text += SEAM + part.text if text else part.text
            text_end = len(text)
        chunks.append(
            {
                "index": part.chunk.index,
                "start": part.chunk.start,
                "end": part.chunk.end,
                "text_start": text_start,
                "text_end": text_end,
                "accepted": part.verdict.accepted,
                "reason": part.verdict.reason,
                "n_source_tokens": part.chunk.n_tokens,
                "n_tokens": part.n_tokens,
                "finish_reason": part.finish_reason,
                "n_attempts": part.n_attempts,
                "max_tokens": part.max_tokens,
                "seed": part.seed,
                "scores": score_list(part),
            }
        )
    document = rewrite.document
    return {
        "id": rewrite_id(document, rewrite.variant, provenance),
        "text": text,
        "source_text": document.text,
        **provenance_columns(document, rewrite.variant, provenance),
        "n_source_tokens": sum(part.chunk.n_tokens for part in rewrite.chunks),
        "n_tokens": sum(part.n_tokens for part in accepted),
        "n_prompt_tokens": sum(part.n_prompt_tokens for part in rewrite.chunks),
        "n_completion_tokens": sum(part.n_completion_tokens for part in rewrite.chunks),
        "n_cached_tokens": sum(part.n_cached_tokens for part in rewrite.chunks),
        "n_chunks": len(rewrite.chunks),
        "n_chunks_accepted": len(accepted),
        "similarity": min((part.verdict.scores.get("similarity", 1.0) for part in accepted), default=None),
        "chunks": chunks,
        "metadata": json.dumps(document.metadata, ensure_ascii=False, default=str) if document.metadata else None,
    }


def reject_rows(rewrite: Rewrite, provenance: Provenance) -> list[Row]:
    """A row for each refused chunk, with its source and its last text."""
    return [
        {
            "stage": "rewrite",
            "reason": part.verdict.reason,
            "detail": part.verdict.detail,
            "text": part.text,
            "source_text": part.chunk.text,
            **provenance_columns(rewrite.document, rewrite.variant, provenance),
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
            "scores": score_list(part),
        }
        for part in rewrite.chunks
        if not part.verdict.accepted
    ]


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


def provenance_columns(document: Document, variant: Variant, provenance: Provenance) -> Row:
    return {
        "document_id": document.id,
        "source": document.source,
        "record": document.record,
        "title": document.title,
        "domain": str(document.domain),
        "language": document.language,
        "recipe": variant.recipe,
        "recipe_version": provenance.recipe_version,
        "style": variant.style,
        "perspective": variant.perspective,
        "variant": variant.index,
        "model": provenance.model,
        "model_revision": provenance.model_revision,
        "engine": provenance.engine,
        "prompt_hash": provenance.prompt_hash,
        "temperature": provenance.temperature,
        "top_p": provenance.top_p,
        "seed": provenance.seed,
    }


def score_list(part: ChunkRewrite) -> list[Row]:
    return [{"name": name, "value": float(value)} for name, value in sorted(part.verdict.scores.items())]
