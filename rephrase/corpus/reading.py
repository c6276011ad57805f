"""Stream documents from Parquet, JSON Lines and text files on any fsspec filesystem.

Every record of a file comes out once and in order: as a Document, or as an UnreadableRecord with the reason. Memory
holds one record, or one small batch of Parquet rows, at a time.
"""

import codecs
import datetime
import decimal
import io
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import jmespath
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.spec import AbstractBufferedFile
from jmespath.parser import ParsedResult

from rephrase.corpus.decompression import CODECS, decompressed
from rephrase.corpus.inputs import InputFile, file_format, is_transient_store_error
from rephrase.records import Document, Domain, UnreadableRecord, digest
from rephrase.storage.filesystem import open_file

# Ids of Parquet columns with these types.
_WRITTEN_AS_TEXT = (uuid.UUID, decimal.Decimal, datetime.date, datetime.time)
# How much text of a rejected record is kept.
KEPT_CHARACTERS = 100_000
PARQUET_BATCH_ROWS = 16
# The most that is kept of one line, so that a file without line ends cannot fill the memory.
MAX_LINE_BYTES = 256 << 20
# How deeply a record may be nested. Python's own limit depends on the caller: the plan and the run would read the same
# line differently.
MAX_NESTING = 100
# A share of NULs that only UTF-16 and UTF-32 have.
_MANY_NULS = 0.2
_OTHER_ENCODING = "it looks like UTF-16, not UTF-8: `iconv -f UTF-16 -t UTF-8` converts it"


def _compiled(expression: str) -> ParsedResult:
    """A field name need not be a valid expression: "my text", "raw-text"."""
    try:
        return jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError:
        if re.fullmatch(r"[\w .-]+", expression):
            return jmespath.compile(json.dumps(expression))
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Which fields of a record hold what, as JMESPath expressions: a plain name is one.

    A list of texts, as from `paragraphs[].context`, is joined with blank lines. `id`, `title` and `language` may be
    missing from a record, `text` may not.
    """

    text: str = "text"
    id: str = "id"
    title: str = "title"
    language: str = "language"
    metadata: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("text", "id", "title", "language"):
            expression = getattr(self, name)
            try:
                _compiled(expression)
            except jmespath.exceptions.JMESPathError as error:
                raise ValueError(
                    f"--{name}-field {expression!r} is neither a field name nor a JMESPath expression: {error}"
                ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    fields: Fields = Fields()
    domain: Domain = Domain.KNOWLEDGE
    max_document_chars: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where in a file to start: the record, and for plain JSON Lines the byte at which it begins."""

    record: int = 0
    byte: int = 0


def read_file(
    file: InputFile, options: ReadOptions, start: Position = Position()
) -> Iterator[tuple[Document | UnreadableRecord, Position]]:
    """The records of a file from `start` on, each with the position after it.

    A file that is truncated, or not in the format of its name, ends in one UnreadableRecord.
    """
    read = {"text": _read_text, "parquet": _read_parquet}.get(file_format(file.path) or "", _read_jsonl)
    position = start
    try:
        for record, position in read(file, options, start):
            yield record, position
    except UnreadableFileError as error:
        after = Position(record=position.record + 1, byte=file.n_bytes)
        yield _unreadable(file, position.record, "unreadable_file", str(error), ""), after


def count_records(file: InputFile) -> int:
    """How many records a file has, without parsing them.

    Raises:
        UnreadableFileError: it is truncated, or not in the format of its name.
    """
    if file_format(file.path) == "text":
        return 1
    if file_format(file.path) == "parquet":
        with _readable(file), open_file(file.path) as raw:
            return int(pq.ParquetFile(raw).metadata.num_rows)
    return sum(1 for line, _ in _lines(file, Position()) if line.strip())


def _read_text(
    file: InputFile, options: ReadOptions, start: Position
) -> Iterator[tuple[Document | UnreadableRecord, Position]]:
    if start.record > 0:
        return
    # A character has at most four bytes: whatever is longer need not be read as a whole.
    limit = 4 * options.max_document_chars
    with _readable(file), open_file(file.path) as raw:
        data = raw.read(limit if file.n_bytes <= limit else 4 * KEPT_CHARACTERS)
    if file.n_bytes > limit:
        detail = f"{file.n_bytes:,} bytes exceed --max-document-chars {options.max_document_chars:,}"
        yield _unreadable(file, 0, "document_too_long", detail, data), Position(record=1)
        return
    try:
        record: Mapping[str, object] = {"text": _decoded(data)}
    except ValueError as error:
        yield _unreadable(file, 0, "invalid_utf8", str(error), data), Position(record=1)
        return
    # The field options do not apply: the record has only a text.
    plain = ReadOptions(domain=options.domain, max_document_chars=options.max_document_chars)
    yield _document(file, 0, record, plain), Position(record=1)


def _read_jsonl(
    file: InputFile, options: ReadOptions, start: Position
) -> Iterator[tuple[Document | UnreadableRecord, Position]]:
    index = start.record
    for line, end in _lines(file, start):
        if not line.strip():
            continue
        after = Position(record=index + 1, byte=end)
        if len(line) >= MAX_LINE_BYTES:
            yield _unreadable(file, index, "record_too_large", f"over {MAX_LINE_BYTES:,} bytes", line), after
        else:
            yield _parsed(file, index, line, options), after
        index += 1


def _parsed(file: InputFile, index: int, line: bytes, options: ReadOptions) -> Document | UnreadableRecord:
    try:
        text = _decoded(line, "surrogatepass")  # one in the text is rejected below, as that of an escape is
    except ValueError as error:
        return _unreadable(file, index, "invalid_utf8", str(error), line)
    try:
        record = json.loads(text)
        if line.count(b"[") + line.count(b"{") > MAX_NESTING and _is_deep(record):
            raise RecursionError
    except RecursionError:
        return _unreadable(file, index, "invalid_json", f"it is nested more than {MAX_NESTING} levels deep", line)
    except ValueError as error:
        return _unreadable(file, index, "invalid_json", str(error), line)
    return _document(file, index, record, options)


def _decoded(data: bytes, errors: str = "strict") -> str:
    """
    Raises:
        ValueError: it is not UTF-8; the message says so.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or data.count(0) > _MANY_NULS * len(data):
        raise ValueError(_OTHER_ENCODING if data.strip(b"\0") else "it is all NULs, as after a power cut")
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors)


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _lines(file: InputFile, start: Position) -> Iterator[tuple[bytes, int]]:
    """The lines of a JSON Lines file from `start` on, each with the byte at which it ends.

    A compressed file is read from its beginning.
    """
    codec = CODECS.get(Path(file.path.lower()).suffix)
    with _readable(file), open_file(file.path) as raw:
        stream: IO[bytes] = raw
        if codec:
            stream = decompressed(raw, codec)
        else:
            raw.seek(start.byte)
            if isinstance(raw, AbstractBufferedFile):  # on an object store, whose readline takes no limit
                stream = io.BufferedReader(raw)
        position, skip = (0, start.record) if codec else (start.byte, 0)
        while line := stream.readline(MAX_LINE_BYTES):
            position += len(line)
            head = line
            while (
                not line.endswith(b"\n") and len(line) == MAX_LINE_BYTES and (line := stream.readline(MAX_LINE_BYTES))
            ):
                position += len(line)
            if skip and head.strip():
                skip -= 1
            elif not skip:
                yield head, position


def _read_parquet(
    file: InputFile, options: ReadOptions, start: Position
) -> Iterator[tuple[Document | UnreadableRecord, Position]]:
    fields = options.fields
    with _readable(file), open_file(file.path) as raw:
        parquet = pq.ParquetFile(raw)
        columns = parquet.schema_arrow.names
        wanted = {fields.text, fields.id, fields.title, fields.language, *fields.metadata}
        # An expression may use any column; plain names need only their own.
        names = [name for name in columns if name in wanted] if all(map(str.isidentifier, wanted)) else columns
        groups: list[int] = []
        index = 0
        for group in range(parquet.num_row_groups):
            n_rows = parquet.metadata.row_group(group).num_rows
            if groups or index + n_rows > start.record:
                groups.append(group)
            else:
                index += n_rows
        for batch in parquet.iter_batches(batch_size=PARQUET_BATCH_ROWS, row_groups=groups, columns=names):
            for row in range(batch.num_rows):
                if index >= start.record:
                    yield _parquet_record(file, index, batch, row, options), Position(record=index + 1)
                index += 1


def _parquet_record(
    file: InputFile, index: int, batch: pa.RecordBatch, row: int, options: ReadOptions
) -> Document | UnreadableRecord:
    try:
        record = {name: batch.column(name)[row].as_py() for name in batch.schema.names}
    except UnicodeDecodeError as error:
        text = batch.column(options.fields.text)[row] if options.fields.text in batch.schema.names else None
        data = text.as_buffer().to_pybytes() if isinstance(text, pa.StringScalar | pa.LargeStringScalar) else b""
        return _unreadable(file, index, "invalid_utf8", str(error), data)
    except (ValueError, OverflowError, KeyError, pa.ArrowException) as error:  # such as a date outside Python's range
        return _unreadable(file, index, "bad_value", f"{type(error).__name__}: {error}", "")
    return _document(file, index, record, options)


def _document(file: InputFile, index: int, record: object, options: ReadOptions) -> Document | UnreadableRecord:
    fields = options.fields

    def reject(reason: str, detail: str, text: str = "") -> UnreadableRecord:
        return _unreadable(file, index, reason, detail, text or _as_json(record), given_id)

    given_id = ""
    if not isinstance(record, Mapping):
        hint = ": of a JSON array, `jq -c '.[]'` makes JSON Lines" if isinstance(record, list) else ""
        return reject("not_an_object", f"expected an object with fields, got a {type(record).__name__}{hint}")
    identifier = _search(fields.id, record)
    if isinstance(identifier, float):  # a column of integers with gaps is read as floats
        identifier = None if identifier != identifier else int(identifier) if identifier.is_integer() else identifier
    if isinstance(identifier, _WRITTEN_AS_TEXT):
        identifier = str(identifier)
    if isinstance(identifier, str | int) and not isinstance(identifier, bool):
        given_id = _printable(str(identifier).strip())
    elif identifier is not None:
        return reject("bad_id", f"{fields.id!r} is a {type(identifier).__name__}, not a string or an integer")
    text = _search(fields.text, record)
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            return _unreadable(file, index, "invalid_utf8", str(error), text, given_id)
    if isinstance(text, list) and text and all(isinstance(item, str) for item in text):
        text = "\n\n".join(text)
    if text is None:
        top = fields.text.split(".")[0].split("[")[0]
        detail = f"fields: {', '.join(map(str, record))}"
        return reject("null_text" if top in record else "missing_text", f"{fields.text!r} is empty; {detail}")
    if not isinstance(text, str):
        return reject("not_text", f"{fields.text!r} is a {type(text).__name__}")
    if not any(character.isprintable() and not character.isspace() for character in text):
        return reject("empty_text", f"{fields.text!r} is {len(text)} invisible characters", text)
    if _printable(text) != text:
        return reject("invalid_unicode", f"{fields.text!r} contains a lone surrogate", text)
    if len(text) > options.max_document_chars:
        limit = f"{len(text):,} characters exceed --max-document-chars {options.max_document_chars:,}"
        return reject("document_too_long", limit, text)
    title, language = _search(fields.title, record), _search(fields.language, record)
    return Document(
        id=given_id or digest(file.name, index),
        text=text,
        source=file.name,
        record=index,
        title=_printable(title.strip()) or None if isinstance(title, str) else None,
        domain=options.domain,
        language=_printable(language) if isinstance(language, str) else None,
        metadata={
            name: json.loads(_printable(json.dumps(_search(name, record), default=str, ensure_ascii=False)))
            for name in fields.metadata
        },
    )


def _search(expression: str, record: Mapping[str, object]) -> Any:
    if expression in record:
        return record[expression]
    compiled = _compiled(expression)
    try:
        return compiled.search(record)
    except jmespath.exceptions.JMESPathError:
        return None


def _as_json(record: object) -> str:
    try:
        return json.dumps(record, default=str)
    except RecursionError:
        return ""


def _printable(text: str) -> str:
    """JSON can encode a lone surrogate, which UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _unreadable(
    file: InputFile, index: int, reason: str, detail: str, text: str | bytes, given_id: str = ""
) -> UnreadableRecord:
    if isinstance(text, bytes):
        text = text[:KEPT_CHARACTERS].decode("utf-8", "backslashreplace")
    if len(text) > KEPT_CHARACTERS:
        detail += f" (the first {KEPT_CHARACTERS:,} characters are kept here)"
    return UnreadableRecord(
        document_id=given_id or digest(file.name, index),
        source=file.name,
        record=index,
        reason=reason,
        detail=_printable(detail),
        text=_printable(text[:KEPT_CHARACTERS]),
    )


class UnreadableFileError(ValueError):
    """The rest of a file cannot be read."""


@contextmanager
def _readable(file: InputFile) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, UnicodeDecodeError, pa.ArrowException) as error:  # Arrow decodes the names of columns
        if is_transient_store_error(file.path, error):
            raise
        raise UnreadableFileError(f"{file.name} cannot be read further: {error}") from error


def read_lines(file: InputFile) -> Iterator[bytes]:
    """The non-blank lines of a JSON Lines file, whatever its compression.

    Raises:
        UnreadableFileError: it is truncated, or not in the format of its name.
    """
    return (line for line, _ in _lines(file, Position()) if line.strip())
