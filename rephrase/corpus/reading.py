"""Stream documents from Parquet, JSON Lines and text files on any fsspec filesystem.

Every record of a file comes out once and in order: as a Document, or as an UnreadableRecord with the reason. Memory
holds one record, or one small batch of Parquet rows, at a time.
"""

import datetime
import decimal
import io
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal

import fsspec
import jmespath
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.spec import AbstractBufferedFile
from jmespath.parser import ParsedResult

from rephrase.records import Document, Domain, UnreadableRecord, digest
from rephrase.storage.storage import is_transient

TEXT_SUFFIXES = (".txt", ".md", ".tex")
# C4 and Dolma name compressed JSON Lines `.json.gz`.
JSONL_SUFFIXES = (
    *(".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst", ".json.gz", ".json.zst"),
)
PARQUET_SUFFIXES = (".parquet",)
SUFFIXES = TEXT_SUFFIXES + JSONL_SUFFIXES + PARQUET_SUFFIXES
# What lies beside the data at the top of a data set and is not part of it.
_ABOUT_THE_DATA = re.compile(
    r"(?:readme|licen[cs]e|copying|notice|changelog|contributing|authors)\b[^/]*", re.IGNORECASE
)

# Ids of Parquet columns with these types.
_WRITTEN_AS_TEXT = (uuid.UUID, decimal.Decimal, datetime.date, datetime.time)
# How much text of a rejected record is kept.
KEPT_CHARACTERS = 100_000
PARQUET_BATCH_ROWS = 16
# The most that is kept of one line, so that a file without line ends cannot fill the memory.
MAX_LINE_BYTES = 256 << 20


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
class InputFile:
    """A file of the corpus. `name` is its path below SOURCE; `version` is a value that changes with its content."""

    path: str
    name: str
    n_bytes: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where in a file to start: the record, and for plain JSON Lines the byte at which it begins."""

    record: int = 0
    byte: int = 0


def file_format(path: str) -> Literal["text", "jsonl", "parquet"] | None:
    """The format by the ending of the name, in capitals or not; None if it is none that is read."""
    name = path.lower()
    if name.endswith(TEXT_SUFFIXES):
        return "text"
    if name.endswith(PARQUET_SUFFIXES):
        return "parquet"
    return "jsonl" if name.endswith(JSONL_SUFFIXES) else None


def _is_data(name: str) -> bool:
    """Whether a file found in a folder is meant as data: not hidden, and no file about the data set at its top."""
    if any(part.startswith(".") for part in name.split("/")):
        return False
    return file_format(name) is not None and not (file_format(name) == "text" and _ABOUT_THE_DATA.fullmatch(name))


def list_inputs(source: str, output: str | None = None) -> tuple[list[InputFile], list[str]]:
    """The input files of a file, folder or glob, sorted by path, and the names of files in other formats.

    Files in the folder `output` are not part of the corpus.

    Raises:
        FileNotFoundError: there is nothing at `source`.
        ValueError: there are files, but none in a supported format.
    """
    fs, root = fsspec.core.url_to_fs(source)
    if fs.isdir(root):
        base, paths = root.rstrip("/"), fs.find(root)
    elif any(sign in root for sign in "*?[") and not fs.exists(root):
        base = re.split(r"[^/]*[*?\[]", root)[0].rstrip("/")
        # A glob may match folders, as Spark names them.
        paths = [inner for path in fs.glob(root) for inner in (fs.find(path) if fs.isdir(path) else [path])]
    else:
        base, paths = root.rsplit("/", 1)[0], [root] if fs.exists(root) else []
    if output is not None and type(fs) is type(fsspec.core.url_to_fs(output)[0]):
        inside = fsspec.core.url_to_fs(output)[1].rstrip("/") + "/"
        paths = [path for path in paths if not path.startswith(inside)]
    if not paths:
        raise FileNotFoundError(f"nothing to read at {source!r}")
    files, skipped = [], []
    for path in sorted(paths):
        name = path.removeprefix(base).lstrip("/")
        # A file that the user names is read whatever it is called.
        if not (_is_data(name) if len(paths) > 1 else file_format(path)):
            skipped.append(name)
            continue
        n_bytes, version = _state(fs, path)
        url = fs.unstrip_protocol(path) if source.find("://") > 0 else path
        files.append(InputFile(path=url, name=name, n_bytes=n_bytes, version=version))
    if not files:
        raise ValueError(f"no file at {source!r} ends in {', '.join(SUFFIXES)}; found {', '.join(skipped[:5])}")
    return files, skipped


def has_changed(file: InputFile) -> bool:
    """Whether the file has changed since it was listed."""
    fs, path = fsspec.core.url_to_fs(file.path)
    fs.invalidate_cache()
    return _state(fs, path) != (file.n_bytes, file.version)


def _state(fs: fsspec.AbstractFileSystem, path: str) -> tuple[int, str]:
    """Size and version of a file; 0 and "" if it does not exist, such as a broken link."""
    try:
        info = fs.info(path)
    except OSError as error:
        if _is_transient_store_error(fs.unstrip_protocol(path), error):
            raise
        return 0, ""
    version = next(
        (str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified", "md5Hash") if info.get(key)), ""
    )
    return int(info["size"] or 0), version


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
        with _readable(file), fsspec.open(file.path, "rb") as raw:
            return int(pq.ParquetFile(raw).metadata.num_rows)
    return sum(1 for line, _ in _lines(file, Position()) if line.strip())


def _read_text(
    file: InputFile, options: ReadOptions, start: Position
) -> Iterator[tuple[Document | UnreadableRecord, Position]]:
    if start.record > 0:
        return
    with _readable(file), fsspec.open(file.path, "rb") as raw:
        data = raw.read()
    try:
        record: Mapping[str, object] = {"text": data.decode("utf-8-sig")}
    except UnicodeDecodeError as error:
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
            try:
                record = json.loads(line)
            except UnicodeDecodeError as error:
                yield _unreadable(file, index, "invalid_utf8", str(error), line), after
            except (ValueError, RecursionError) as error:
                yield _unreadable(file, index, "invalid_json", str(error), line), after
            else:
                yield _document(file, index, record, options), after
        index += 1


def _lines(file: InputFile, start: Position) -> Iterator[tuple[bytes, int]]:
    """The lines of a JSON Lines file from `start` on, each with the byte at which it ends.

    A compressed file is read from its beginning.
    """
    codec = {"gz": "gzip", "zst": "zstd"}.get(file.path.lower().rsplit(".", 1)[-1])
    compressed = codec is not None
    with _readable(file), fsspec.open(file.path, "rb") as raw:
        stream: IO[bytes] = raw
        if compressed:
            # Arrow's stream, unlike others, raises an error for a truncated file.
            stream = io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw), codec))
        else:
            raw.seek(start.byte)
            if isinstance(raw, AbstractBufferedFile):  # on an object store, whose readline takes no limit
                stream = io.BufferedReader(raw)
        position, skip = (0, start.record) if compressed else (start.byte, 0)
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
    with _readable(file), fsspec.open(file.path, "rb") as raw:
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
        return reject("not_an_object", f"expected an object with fields, got a {type(record).__name__}")
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
    if not text.strip():
        return reject("empty_text", f"{fields.text!r} is {len(text)} characters of whitespace", text)
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
    except (EOFError, OSError, pa.ArrowException) as error:
        if _is_transient_store_error(file.path, error):
            raise
        raise UnreadableFileError(f"{file.path} cannot be read further: {error}") from error


def _is_transient_store_error(url: str, error: Exception) -> bool:
    """Whether the object store failed, not the file; Arrow's own errors, which concern the file, have no errno."""
    remote = "://" in url and not url.startswith(("file://", "local://"))
    return remote and is_transient(error) and not (type(error) is OSError and error.errno is None)


def read_lines(file: InputFile) -> Iterator[bytes]:
    """The non-blank lines of a JSON Lines file, whatever its compression.

    Raises:
        UnreadableFileError: it is truncated, or not in the format of its name.
    """
    return (line for line, _ in _lines(file, Position()) if line.strip())
