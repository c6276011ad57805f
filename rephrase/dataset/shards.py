"""The commit of a part: two Parquet files and, written last, a small JSON file that makes them count.

OUT/rewrites/part-00017.parquet    rewritten documents
OUT/rejects/part-00017.parquet     what was rejected, with the reason and the text
OUT/commits/part-00017.json        counts and checksums; a part without it does not exist for a reader
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, FiniteFloat, NonNegativeInt, model_validator

from rephrase.dataset import schema
from rephrase.dataset.rows import Row
from rephrase.storage.storage import DamagedFileError, Storage

Kind = Literal["rewrites", "rejects"]

# Every version has written these when it committed a part of a run.
COUNTED_BY_A_RUN = (
    *("n_records", "n_documents_accepted", "n_documents_rejected", "n_chunks", "n_chunks_accepted"),
    *("n_prompt_tokens", "n_completion_tokens", "n_cached_tokens", "n_tokens_resumed", "started_at", "ended_at"),
)


class _File(BaseModel):
    n_bytes: NonNegativeInt
    sha256: str


class _Outcome(BaseModel):
    recipe: str
    outcome: str
    n: NonNegativeInt
    n_tokens: NonNegativeInt


class _Commit(BaseModel):
    """The types of what is read of a commit; not every version wrote all of it."""

    part: NonNegativeInt
    schema_version: int
    n_rewrites: NonNegativeInt
    n_rejects: NonNegativeInt
    n_tokens: NonNegativeInt
    rejects_by_reason: dict[str, NonNegativeInt]
    files: dict[str, _File]
    by_recipe: list[_Outcome] = []
    usage: dict[str, dict[str, float]] = {}
    n_records: NonNegativeInt = 0
    n_records_left: NonNegativeInt = 0
    n_documents_accepted: NonNegativeInt = 0
    n_documents_rejected: NonNegativeInt = 0
    n_chunks: NonNegativeInt = 0
    n_chunks_accepted: NonNegativeInt = 0
    n_source_tokens: NonNegativeInt = 0
    n_source_tokens_rewritten: NonNegativeInt = 0
    n_prompt_tokens: NonNegativeInt = 0
    n_completion_tokens: NonNegativeInt = 0
    n_cached_tokens: NonNegativeInt = 0
    n_tokens_resumed: NonNegativeInt = 0
    n_engine_restarts: NonNegativeInt = 0
    engine_s: FiniteFloat = 0.0
    idle_slot_s: FiniteFloat = 0.0
    slot_s: FiniteFloat = 0.0
    cost: FiniteFloat = 0.0
    started_at: FiniteFloat = 0.0
    ended_at: FiniteFloat = 0.0

    @model_validator(mode="after")
    def _counts_what_a_run_counts(self) -> "_Commit":
        if self.model_fields_set & {"started_at", "ended_at"}:
            for name in COUNTED_BY_A_RUN:
                if name not in self.model_fields_set:
                    raise ValueError(f"{name} is missing")
        return self


def part_name(index: int) -> str:
    return f"part-{index:05d}"


def commit_part(storage: Storage, index: int, rewrites: Sequence[Row], rejects: Sequence[Row], **counts: Any) -> Row:
    """Write one part and commit it; returns the commit. Calling it again replaces the part.

    A file without rows is not written: Hugging Face datasets fails on it.

    Args:
        counts: further figures for the commit, such as the number of documents and the seconds it took.
    """
    name = part_name(index)
    # While its files are replaced, a part must not count as committed.
    storage.remove(f"commits/{name}.json")
    files: dict[str, bytes] = {}
    for folder, rows, table_schema in [("rewrites", rewrites, schema.REWRITES), ("rejects", rejects, schema.REJECTS)]:
        path = f"{folder}/{name}.parquet"
        if rows:
            files[path] = parquet_bytes(rows, table_schema)
            storage.write(path, files[path])
        else:
            storage.remove(path)
    commit = {
        "part": index,
        "schema_version": schema.VERSION,
        "n_rewrites": len(rewrites),
        "n_rejects": len(rejects),
        "n_tokens": sum(row["n_tokens"] for row in rewrites),
        "rejects_by_reason": dict(Counter(row["reason"] for row in rejects)),
        "by_recipe": count_by_recipe(rewrites, rejects),
        **counts,
        "files": {
            path: {"n_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in files.items()
        },
    }
    storage.write_json(f"commits/{name}.json", commit)
    return commit


def count_by_recipe(rewrites: Sequence[Row], rejects: Sequence[Row]) -> list[Row]:
    """The rows and tokens of each recipe, by outcome: accepted, or the reject reason."""
    counts: Counter[tuple[str, str]] = Counter()
    n_tokens: Counter[tuple[str, str]] = Counter()
    outcomes = [(row, "accepted") for row in rewrites] + [(row, row["reason"]) for row in rejects]
    for row, outcome in outcomes:
        key = (row.get("recipe") or "", outcome)
        counts[key] += 1
        n_tokens[key] += row.get("n_tokens") or 0
    return [{"recipe": key[0], "outcome": key[1], "n": n, "n_tokens": n_tokens[key]} for key, n in counts.items()]


def parquet_bytes(rows: Sequence[Row], table_schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=table_schema), sink, compression="zstd")
    return bytes(sink.getvalue())


def read_commits(storage: Storage, known: Mapping[int, Row] | None = None) -> dict[int, Row]:
    """The commits of all committed parts, by part.

    Args:
        known: commits read before; they are not read again, unless their part was committed incomplete.
    """
    found = {index: commit for index, commit in (known or {}).items() if not commit.get("n_records_left")}
    known_names = {f"{part_name(index)}.json" for index in found}
    names = [f"commits/{name}" for name in storage.names("commits", ".json") if name not in known_names]
    for name, data in storage.read_many(names):
        commit = parse_commit(f"{storage.url}/{name}", data)
        found[commit["part"]] = commit
    return dict(sorted(found.items()))


def parse_commit(file: str, data: bytes) -> Row:
    """
    Raises:
        DamagedFileError: it is not a commit.
    """
    try:
        commit = json.loads(data)
        _Commit.model_validate(commit, strict=True)
    except (ValueError, RecursionError) as error:
        remedy = "remove it and run the same command again, which rewrites its part"
        raise DamagedFileError(file, error, remedy) from error
    return {**dict.fromkeys(COUNTED_BY_A_RUN, 0), **commit}


def read_commit(storage: Storage, index: int) -> Row | None:
    """The commit of one part, if it has one."""
    name = f"commits/{part_name(index)}.json"
    return parse_commit(f"{storage.url}/{name}", storage.read(name)) if storage.exists(name) else None


def read_rewrites(storage: Storage, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rewrites of the committed parts, one table each, in order."""
    yield from _read(storage, "rewrites", columns)


def read_rejects(storage: Storage, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rejects of the committed parts, one table each, in order."""
    yield from _read(storage, "rejects", columns)


def _read(storage: Storage, kind: Kind, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    for part in committed_parts(storage, kind):
        yield read_part(storage, kind, part, columns)


def committed_parts(storage: Storage, kind: Kind) -> list[int]:
    """The committed parts that have rows of `kind`, in order."""
    commits = read_commits(storage).items()
    return sorted(part for part, commit in commits if f"{kind}/{part_name(part)}.parquet" in commit["files"])


def read_part(storage: Storage, kind: Kind, part: int, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of `kind` of one part. `columns` may name fields inside lists, such as "steps.list.element.recipe".

    Raises:
        DamagedFileError: they cannot be read.
    """
    name = f"{kind}/{part_name(part)}.parquet"
    try:
        with storage.fs.open(storage.path(name), "rb") as file:
            parquet = pq.ParquetFile(file)
            if "document_id" not in parquet.schema_arrow.names:
                raise ValueError(f"it holds no {kind}")
            return parquet.read(columns=list(columns) if columns else None)
    except (ValueError, pa.ArrowException) as error:
        remedy = f"remove commits/{part_name(part)}.json and run the same command again, which rewrites this part"
        raise DamagedFileError(f"{storage.url}/{name}", error, remedy) from error
