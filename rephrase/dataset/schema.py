"""The Parquet schemas: explicit and versioned, so that a late null or a new key cannot break a write.

A published version never changes; changes make a new version. Nested scores are a list of (name, value) rather than a
map, which Hugging Face datasets does not read.
"""

from typing import Any

import pyarrow as pa

from rephrase.records import Discrepancy, Verdict

# 2: probability, discrepancies, the outcome of a rejected chunk. 3: a probability for each question. 4: the chunks of a
# rejected document.
VERSION = 4

SCORES = pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))

# Where a rewrite differs in content from its source; see `rephrase.records.Discrepancy`.
DISCREPANCIES = pa.list_(
    pa.struct(
        [
            ("kind", pa.string()),
            ("problem", pa.string()),  # unsupported, missing or changed
            ("source_start", pa.int32()),  # source_text[source_start:source_end], in characters
            ("source_end", pa.int32()),
            ("rewrite_start", pa.int32()),  # text[rewrite_start:rewrite_end]
            ("rewrite_end", pa.int32()),
            ("detail", pa.string()),
        ]
    )
)


# The probability that a rewrite is all of the four, and of each; null where they were not computed.
PROBABILITIES = [
    ("probability", pa.float64()),
    ("probability_faithful", pa.float64()),  # nothing is false or added
    ("probability_complete", pa.float64()),  # nothing is lost that the recipe does not allow to lose
    ("probability_fluent", pa.float64()),  # a person would write such sentences
    ("probability_in_style", pa.float64()),  # what the style asks for is there
]


def probability_row(verdict: Verdict) -> dict[str, float | None]:
    """The columns of PROBABILITIES."""
    questions = [name.removeprefix("probability_") for name, _ in PROBABILITIES[1:]]
    of_each = {f"probability_{question}": verdict.probabilities.get(question) for question in questions}
    return {"probability": verdict.probability, **of_each}


def discrepancy_row(found: Discrepancy) -> dict[str, Any]:
    """A discrepancy as a row of DISCREPANCIES."""
    source, rewrite = found.source or (None, None), found.rewrite or (None, None)
    return {
        "kind": found.kind,
        "problem": found.problem,
        "source_start": source[0],
        "source_end": source[1],
        "rewrite_start": rewrite[0],
        "rewrite_end": rewrite[1],
        "detail": found.detail,
    }


# The outcome of one chunk of the source in a rewritten document.
CHUNK = pa.struct(
    [
        ("index", pa.int32()),
        ("start", pa.int64()),  # source_text[start:end], in characters; after earlier steps, steps[-1].text[start:end]
        ("end", pa.int64()),
        ("text_start", pa.int64()),  # text[text_start:text_end]; both null if the text has nothing for the chunk
        ("text_end", pa.int64()),
        ("accepted", pa.bool_()),
        ("source_kept", pa.bool_()),  # rejected, and replaced by its source (--on-reject keep)
        *PROBABILITIES,
        ("reason", pa.string()),
        ("n_source_tokens", pa.int32()),
        ("n_tokens", pa.int32()),
        ("finish_reason", pa.string()),
        ("n_attempts", pa.int32()),
        ("n_sentences_removed", pa.int32()),  # at the boundary, repeating the previous chunk
        ("max_tokens", pa.int32()),
        ("seed", pa.int64()),
        ("scores", SCORES),
    ]
)

# An earlier step of a route, such as the translation that a learning note was made from.
STEP = pa.struct(
    [
        ("recipe", pa.string()),
        ("recipe_version", pa.int32()),
        ("style", pa.string()),
        ("perspective", pa.string()),
        ("prompt_hash", pa.string()),
        ("text", pa.string()),  # the input of the next step
        ("n_tokens", pa.int64()),
        ("n_chunks", pa.int32()),
        ("n_chunks_accepted", pa.int32()),
    ]
)

# Where the text came from and how it was made: the same columns in rewrites and rejects.
PROVENANCE = [
    ("document_id", pa.string()),
    ("source", pa.string()),
    ("record", pa.int64()),
    ("title", pa.string()),
    ("domain", pa.string()),
    ("language", pa.string()),  # as stated by the corpus
    ("detected_language", pa.string()),
    ("recipe", pa.string()),
    ("recipe_version", pa.int32()),
    ("style", pa.string()),
    ("perspective", pa.string()),
    ("variant", pa.int32()),
    ("model", pa.string()),
    ("model_revision", pa.string()),
    ("engine", pa.string()),
    ("prompt_hash", pa.string()),
    ("temperature", pa.float64()),
    ("top_p", pa.float64()),
    ("seed", pa.int64()),
]

REWRITES = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("source_text", pa.string()),
        *PROVENANCE,
        ("n_source_tokens", pa.int64()),
        ("n_tokens", pa.int64()),
        ("n_prompt_tokens", pa.int64()),  # over all attempts
        ("n_completion_tokens", pa.int64()),
        ("n_cached_tokens", pa.int64()),
        ("n_chunks", pa.int32()),
        ("n_chunks_accepted", pa.int32()),
        ("similarity", pa.float64()),  # of the least similar accepted chunk
        *PROBABILITIES,  # each of the accepted chunk where it is lowest
        ("chunks", pa.list_(CHUNK)),
        ("steps", pa.list_(STEP)),
        ("metadata", pa.string()),  # JSON of the fields named by --metadata-field
    ],
    metadata={"palimpsest.schema": "rewrites", "palimpsest.schema_version": str(VERSION)},
)

REJECTS = pa.schema(
    [
        # "read": not a usable document; "rewrite": a chunk was rejected; "variant": a whole variant was, for what it
        # is; "document": a whole variant was, because too little of the document was rewritten
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("text", pa.string()),  # the rejected rewrite, or what could be read of the record
        ("source_text", pa.string()),  # the chunk of the source, null for a record that is not a usable document
        *PROVENANCE,
        ("chunk_index", pa.int32()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("finish_reason", pa.string()),
        ("n_attempts", pa.int32()),
        ("max_tokens", pa.int32()),
        ("n_source_tokens", pa.int64()),
        ("n_tokens", pa.int64()),
        ("n_prompt_tokens", pa.int64()),
        ("n_completion_tokens", pa.int64()),
        ("n_cached_tokens", pa.int64()),
        ("scores", SCORES),
        *PROBABILITIES,
        ("discrepancies", DISCREPANCIES),
        ("chunks", pa.list_(CHUNK)),  # of a whole variant, as in REWRITES
    ],
    metadata={"palimpsest.schema": "rejects", "palimpsest.schema_version": str(VERSION)},
)

# The versions whose shards are read, checked and reported.
READABLE = (2, 3, 4)


def of_version(current: pa.Schema, version: int) -> pa.Schema:
    """REWRITES or REJECTS as an earlier version wrote it.

    Raises:
        ValueError: this program does not know the version.
    """
    if version not in READABLE:
        raise ValueError(f"its schema has version {version}; this program reads {', '.join(map(str, READABLE))}")
    if version == VERSION:
        return current
    added = {name for name, _ in PROBABILITIES[1:]} if version < 3 else set()
    names = {field.name for field in current} - added - ({"chunks"} if "stage" in current.names else set())

    def earlier(field: pa.Field) -> pa.Field:
        if field.name != "chunks":
            return field
        return pa.field("chunks", pa.list_(pa.struct([part for part in CHUNK if part.name not in added])))

    return pa.schema([earlier(field) for field in current if field.name in names])
