"""The texts of a training run with their provenance: rewrites, their originals, and documents from elsewhere."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from rephrase.corpus.inputs import list_inputs
from rephrase.corpus.reading import Fields, ReadOptions, read_file
from rephrase.dataset.plan import read_config
from rephrase.dataset.shards import part_name
from rephrase.prompting.routing import PASS_THROUGH, route_document
from rephrase.records import Document, Domain
from rephrase.storage.storage import Storage

log = logging.getLogger("training")

ORIGINAL = "original"
FILE, FOLDER = "file", "folder"
BATCH_ROWS = 256


class Stream(NamedTuple):
    """Documents of one provenance: the unit of mixture weights and of token utility."""

    source: str
    recipe: str
    style: str

    def __str__(self) -> str:
        return " · ".join(self)


class Text(NamedTuple):
    """A text to tokenise, and its provenance. Texts with the same `split_key` are held out together."""

    text: str
    document_id: str
    stream: Stream
    split_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """Which texts of a run are trained on, and how their streams are named.

    `source_by` is "file", "folder" (of the file) or a metadata field whose value is the source. `split_by` is a
    metadata field: documents with the same value, such as translations of one text, are held out together.
    """

    with_originals: bool = True
    source_by: str = FILE
    split_by: str | None = None

    def text(
        self, text: str, document_id: str, source: str, recipe: str, style: str, metadata: Mapping[str, object]
    ) -> Text:
        if self.source_by == FOLDER:
            source = str(PurePosixPath(source).parent)
        elif self.source_by != FILE and metadata.get(self.source_by) is not None:
            source = str(metadata[self.source_by])
        key = metadata.get(self.split_by) if self.split_by else None
        return Text(text, document_id, Stream(source, recipe, style), None if key is None else str(key))

    @property
    def fields(self) -> tuple[str, ...]:
        """The metadata fields that are needed."""
        named = [name for name in (self.source_by, self.split_by) if name not in (FILE, FOLDER, None)]
        return tuple(str(name) for name in dict.fromkeys(named))


def read_documents(source: str, options: TextOptions, text_field: str = "text") -> Iterator[Document]:
    """The documents of a file, folder or glob.

    Raises:
        FileNotFoundError: there is nothing at `source`.
        ValueError: there are files, but none in a supported format.
    """
    reading = ReadOptions(fields=Fields(text=text_field, metadata=options.fields))
    n_unreadable = 0
    for file in list_inputs(source)[0]:
        for record, _ in read_file(file, reading):
            if isinstance(record, Document):
                yield record
            else:
                n_unreadable += 1
    if n_unreadable:
        log.warning("%s: %d records are not usable documents; `palimpsest plan` names them", source, n_unreadable)


def document_texts(documents: Iterable[Document], options: TextOptions, recipe: str = ORIGINAL) -> Iterator[Text]:
    return (options.text(d.text, d.id, d.source, recipe, recipe, d.metadata) for d in documents)


def shard_texts(shards: Storage, index: int, options: TextOptions) -> Iterator[Text]:
    """The rewrites of a part, and with `with_originals` each of their source documents once.

    Documents that are stored unchanged, such as code, are originals that are always included.
    """
    columns = ["document_id", "source", "recipe", "style", "text", "source_text", "metadata"]
    seen: set[str] = set()
    for row in _rows(shards, f"rewrites/{part_name(index)}.parquet", columns):
        metadata = json.loads(row["metadata"] or "{}")
        unchanged = row["recipe"] is None
        if not unchanged:
            yield options.text(row["text"], row["document_id"], row["source"], row["recipe"], row["style"], metadata)
        # All rewrites of a document are in one part; the document itself is needed once.
        if (options.with_originals or unchanged) and row["document_id"] not in seen:
            seen.add(row["document_id"])
            yield options.text(row["source_text"], row["document_id"], row["source"], ORIGINAL, ORIGINAL, metadata)


def refused_originals(shards: Storage, index: int, options: TextOptions) -> Iterator[Text]:
    """The documents of a part none of whose rewrites was accepted, put together from their rejected chunks."""
    rejects = f"rejects/{part_name(index)}.parquet"
    rewrites = f"rewrites/{part_name(index)}.parquet"
    accepted = {row["document_id"] for row in _rows(shards, rewrites, ["document_id"])}
    refused: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    columns = ["document_id", "source", "stage", "recipe", "variant", "start", "end", "source_text"]
    for row in _rows(shards, rejects, [*columns, "domain", "language", "detected_language"]):
        if row["stage"] != "read" and row["document_id"] not in accepted:
            refused[row["document_id"]].append(row)
    config = read_config(shards) if refused else {}
    n_incomplete = 0
    for document_id, rows in refused.items():
        text = _whole_text(rows, config)
        if text is None:
            n_incomplete += 1
        else:
            yield options.text(text, document_id, rows[0]["source"], ORIGINAL, ORIGINAL, {})
    if n_incomplete:
        log.warning(
            "%s: %d documents without an accepted rewrite are incomplete in the rejects of part %d and are left out; "
            "--documents SOURCE adds them",
            *(shards.url, n_incomplete, index),
        )


def _whole_text(rows: list[dict[str, Any]], config: Mapping[str, Any]) -> str | None:
    """The text of a document from its rejects; None if it cannot be told whether they hold all of it."""
    for row in rows:
        if row["stage"] in ("variant", "document"):
            return str(row["source_text"])
    if config.get("on_reject") == "document":
        return None  # the chunks after the first rejected one were never written
    # The later steps of a route were given the text of the step before.
    chunks = {row["start"]: row for row in rows if row["recipe"] == _first_recipe(row, config)}
    text = ""
    for start in sorted(chunks):
        if start != len(text):
            return None
        text += chunks[start]["source_text"]
    # One step that accepts a chunk is followed by the next: its rejects are not the whole document.
    return text if text and len({row["recipe"] for row in rows}) == 1 else None


def _first_recipe(row: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    choice = config.get("recipe")
    if choice is None:
        return str(row["recipe"])
    document = Document(
        id=row["document_id"],
        text="",
        source=row["source"],
        domain=Domain(row["domain"]) if row["domain"] else Domain.KNOWLEDGE,
        language=row["language"],
        detected_language=row["detected_language"],
    )
    return (route_document(document, choice) or (PASS_THROUGH,))[0]


def _rows(shards: Storage, path: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    if not shards.exists(path):
        return
    try:
        with shards.fs.open(shards.path(path), "rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{shards.url}/{path} cannot be read: {error}") from error
