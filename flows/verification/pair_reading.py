"""Stream pairs from Parquet and JSON Lines with all their columns, in order."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from rephrase.corpus.reading import InputFile, file_format, list_inputs, read_lines

# The only column of an unreadable row; it holds the error.
UNREADABLE = "unreadable"
_TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


def list_pair_files(path: str) -> list[InputFile]:
    """
    Raises:
        FileNotFoundError, ValueError: there is nothing to read, or no file in a format with fields.
    """
    files = [file for file in list_inputs(path)[0] if file_format(file.path) in ("jsonl", "parquet")]
    if not files:
        raise ValueError(f"{path!r} holds no Parquet or JSON Lines files: pairs need two fields")
    return files


def pair_columns(files: list[InputFile]) -> pa.Schema:
    """The columns of all files: those of Parquet unchanged, those of JSON Lines inferred from all their rows.

    A field with several types, or with lists or objects, becomes a string column of JSON.
    """
    columns: dict[str, pa.DataType] = {}
    for file in files:
        if file_format(file.path) == "parquet":
            with fsspec.open(file.path, "rb") as raw:
                found = {field.name: field.type for field in pq.ParquetFile(raw).schema_arrow}
        else:
            found = _json_columns(file)
        for name, kind in found.items():
            columns[name] = kind if columns.get(name) in (None, pa.null(), kind) or kind == pa.null() else pa.string()
    return pa.schema([(name, pa.string() if kind == pa.null() else kind) for name, kind in columns.items()])


def _json_columns(file: InputFile) -> dict[str, pa.DataType]:
    found: dict[str, pa.DataType] = {}
    for row in _json_rows(file):
        for name, value in row.items():
            if value is None:
                found.setdefault(name, pa.null())
                continue
            kind = _TYPES.get(type(value), pa.string())
            if type(value) is int and not -(2**63) <= value < 2**63:
                kind = pa.string()
            known = found.get(name, pa.null())
            if known in (pa.null(), kind):
                found[name] = kind
            elif {known, kind} == {pa.int64(), pa.float64()}:
                found[name] = pa.float64()
            else:
                found[name] = pa.string()
    return found


def count_pairs(files: list[InputFile]) -> int:
    from rephrase.corpus.reading import count_records

    return sum(count_records(file) for file in files)


def read_pairs(files: list[InputFile]) -> Iterator[dict[str, Any]]:
    """The rows; one that is not a JSON object has only UNREADABLE, with the reason."""
    for file in files:
        if file_format(file.path) == "parquet":
            with fsspec.open(file.path, "rb") as raw:
                for batch in pq.ParquetFile(raw).iter_batches(batch_size=256):
                    yield from batch.to_pylist()
        else:
            yield from _json_rows(file)


def _json_rows(file: InputFile) -> Iterator[dict[str, Any]]:
    for line in read_lines(file):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield {UNREADABLE: f"invalid JSON: {error}"}
            continue
        yield row if isinstance(row, dict) else {UNREADABLE: f"expected an object, found {type(row).__name__}"}


def cast_row(row: Mapping[str, Any], columns: pa.Schema) -> dict[str, Any]:
    """The row's values, cast to the types of the columns."""
    return {field.name: _cast(row.get(field.name), field.type) for field in columns}


def _cast(value: Any, kind: pa.DataType) -> Any:
    if value is None or not pa.types.is_string(kind):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode()
