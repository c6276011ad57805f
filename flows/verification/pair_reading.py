"""Stream pairs from Parquet and JSON Lines with all their columns, in order."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rephrase.corpus.inputs import InputFile, file_format, list_inputs
from rephrase.corpus.reading import UnreadableFileError, count_records, read_lines
from rephrase.storage.filesystem import open_file

# The only column of an unreadable row; it holds the error.
UNREADABLE = "unreadable"
# What a value may raise that its column declares and Python, or Arrow, does not have: a date of the year 10,000.
_BAD_CELL = (ValueError, OverflowError, TypeError, RecursionError, pa.ArrowException)
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
            with open_file(file.path) as raw:
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
    """How many rows `read_pairs` gives, about: of a file that cannot be read to its end, none."""
    total = 0
    for file in files:
        with contextlib.suppress(UnreadableFileError):
            total += count_records(file)
    return total


def read_pairs(files: list[InputFile]) -> Iterator[dict[str, Any]]:
    """The rows; one that cannot be read has only UNREADABLE, with the reason, as has the damaged end of a file."""
    for file in files:
        yield from _parquet_rows(file) if file_format(file.path) == "parquet" else _json_rows(file)


def _parquet_rows(file: InputFile) -> Iterator[dict[str, Any]]:
    with open_file(file.path) as raw:
        batches = pq.ParquetFile(raw).iter_batches(batch_size=256)
        while True:
            try:
                batch = next(batches, None)
            except (OSError, pa.ArrowException) as error:
                yield {UNREADABLE: f"{file.name} cannot be read further: {error}"}
                return
            if batch is None:
                return
            try:
                rows = batch.to_pylist()
            except _BAD_CELL:
                rows = [_parquet_row(batch, row) for row in range(batch.num_rows)]
            yield from rows


def _parquet_row(batch: pa.RecordBatch, row: int) -> dict[str, Any]:
    values = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[row].as_py()
        except _BAD_CELL as error:
            return {UNREADABLE: f"{name!r} cannot be read: {error}"}
    return values


def _json_rows(file: InputFile) -> Iterator[dict[str, Any]]:
    lines = read_lines(file)
    while True:
        try:
            line = next(lines, None)
        except UnreadableFileError as error:
            yield {UNREADABLE: str(error)}
            return
        if line is None:
            return
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield {UNREADABLE: f"invalid JSON: {error}"}
            continue
        if isinstance(row, dict):
            yield {_as_utf8(name): value for name, value in row.items()}
        else:
            yield {UNREADABLE: f"expected an object, found {type(row).__name__}"}


def cast_row(row: Mapping[str, Any], columns: pa.Schema) -> dict[str, Any]:
    """The row's values, cast to the types of the columns; None for one that its column cannot hold."""
    return {field.name: _cast(row.get(field.name), field.type) for field in columns}


def _cast(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _as_utf8(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    try:
        value = float(value) if pa.types.is_floating(kind) and isinstance(value, int) else value
        pa.scalar(value, kind)
    except _BAD_CELL:
        return None
    return value


def _as_utf8(text: str) -> str:
    """JSON can encode a lone surrogate, which UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
