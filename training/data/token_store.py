"""Documents tokenised once to local disk, then read at random through memory maps.

A block is two files: the concatenated tokens of some documents, and an index with a row per document. Blocks of
committed shards are named after the commit and the tokenizer, so a changed part or another tokenizer makes new ones.

A second run over the same data skips tokenisation, which costs a hundred times more than reading the map.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rephrase.dataset.shards import part_name, read_commits
from rephrase.records import Document, digest
from rephrase.storage.storage import Storage
from training.data.tokenizer import TextTokenizer

ORIGINAL = "original"
MAX_STREAMS = 4096
MAX_BLOCK_TOKENS = 1 << 26
ENCODE_BATCH = 256

INDEX = pa.schema(
    [
        ("document_id", pa.string()),
        ("source", pa.string()),
        ("recipe", pa.string()),
        ("style", pa.string()),
        ("n_tokens", pa.int64()),
    ]
)


class Stream(NamedTuple):
    """Documents of one provenance: the unit of mixture weights and of token utility."""

    source: str
    recipe: str
    style: str

    def __str__(self) -> str:
        return " · ".join(self)


class Text(NamedTuple):
    """A text to tokenise, and its provenance."""

    text: str
    document_id: str
    stream: Stream


def tokenise_shards(
    shards: Storage, tokenizer: TextTokenizer, cache: Storage, with_originals: bool = True
) -> list[str]:
    """Write blocks for the committed parts of a run, and with `with_originals` for their source documents.

    Uncommitted parts are not read, and existing blocks are kept. Returns the block names in the order of the parts.
    """
    names = []
    for index, commit in sorted(read_commits(shards).items()):
        if f"rewrites/{part_name(index)}.parquet" not in commit["files"]:
            continue  # nothing of this part was accepted
        checksums = sorted(entry["sha256"] for entry in commit["files"].values())
        name = f"{part_name(index)}-{digest(tokenizer.fingerprint, with_originals, *checksums)}"
        if not cache.exists(f"{name}.index.parquet"):
            _write_block(cache, name, _encode(_shard_texts(shards, index, with_originals), tokenizer))
        names.append(name)
    return names


def tokenise_documents(
    documents: Iterable[Document], name: str, tokenizer: TextTokenizer, cache: Storage, recipe: str = ORIGINAL
) -> list[str]:
    """Write blocks for documents that are not in any shard; returns the block names.

    They are tokenised again each time, because no commit shows whether they changed. The names depend on the contents.
    """
    texts = (Text(d.text, d.id, Stream(d.source, recipe, recipe)) for d in documents)
    names: list[str] = []
    block: list[tuple[Text, NDArray[np.uint32]]] = []
    n_tokens = 0

    def flush() -> None:
        contents = (f"{text.document_id}:{zlib.crc32(tokens.tobytes())}" for text, tokens in block)
        names.append(f"{name}-{len(names):05d}-{digest(tokenizer.fingerprint, *contents)}")
        _write_block(cache, names[-1], block)

    for text, tokens in _encode(texts, tokenizer):
        block.append((text, tokens))
        n_tokens += len(tokens)
        if n_tokens >= MAX_BLOCK_TOKENS:
            flush()
            block, n_tokens = [], 0
    if block:
        flush()
    return names


def _shard_texts(shards: Storage, index: int, with_originals: bool) -> Iterator[Text]:
    columns = ["document_id", "source", "recipe", "style", "text", "source_text"]
    seen: set[str] = set()
    with shards.fs.open(shards.path(f"rewrites/{part_name(index)}.parquet"), "rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(ENCODE_BATCH, columns=columns):
            for row in batch.to_pylist():
                passed_through = row["recipe"] is None  # such as code: stored unchanged
                if not passed_through:
                    yield Text(row["text"], row["document_id"], Stream(row["source"], row["recipe"], row["style"]))
                # All rewrites of a document are in one part; the document itself is needed once.
                if (with_originals or passed_through) and row["document_id"] not in seen:
                    seen.add(row["document_id"])
                    yield Text(row["source_text"], row["document_id"], Stream(row["source"], ORIGINAL, ORIGINAL))


def _encode(texts: Iterable[Text], tokenizer: TextTokenizer) -> Iterator[tuple[Text, NDArray[np.uint32]]]:
    texts = iter(texts)
    while batch := list(islice(texts, ENCODE_BATCH)):
        yield from zip(batch, tokenizer.encode([text.text for text in batch]), strict=True)


def _write_block(cache: Storage, name: str, encoded: Iterable[tuple[Text, NDArray[np.uint32]]]) -> None:
    rows: list[dict[str, Any]] = []
    tokens: list[NDArray[np.uint32]] = []
    for text, ids in encoded:
        rows.append({"document_id": text.document_id, **text.stream._asdict(), "n_tokens": len(ids)})
        tokens.append(ids)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=INDEX), sink)
    cache.write(f"{name}.tokens", np.concatenate(tokens or [np.empty(0, np.uint32)]).tobytes())
    # The index comes last: a block without one does not count.
    cache.write(f"{name}.index.parquet", bytes(sink.getvalue()))


@dataclass(frozen=True)
class TokenStore:
    """All documents of some blocks: D documents, 32 bytes of memory each.

    `stream_D` is the document's stream, and `length_D` its number of tokens including start and end token. `split_D` is
    a number in [0, 1) derived from its id, so that a document and all its rewrites fall on the same side of a split.
    """

    streams: list[Stream]
    stream_D: NDArray[np.int32]
    length_D: NDArray[np.int64]
    split_D: NDArray[np.float64]
    fingerprint: str
    _block_D: NDArray[np.int32]
    _offset_D: NDArray[np.int64]
    _maps: list[NDArray[np.uint32]]
    _cache: Storage
    _names: list[str]

    @classmethod
    def open(cls, cache: Storage, names: Sequence[str]) -> "TokenStore":
        """Raises ValueError if there is nothing to train on, or there are too many streams to track."""
        if not cache.is_local:
            raise ValueError(f"the token cache {cache.url} is not a local folder, which memory maps need")
        tables = [pq.read_table(cache.path(f"{name}.index.parquet")) for name in names]
        n_documents = [table.num_rows for table in tables]
        if not sum(n_documents):
            raise ValueError(
                "there are no documents to train on: no part is committed, or all committed parts are empty"
            )
        table = pa.concat_tables(tables).combine_chunks()
        keys = [Stream(*key) for key in zip(*(table[name].to_pylist() for name in Stream._fields), strict=True)]
        streams = sorted(set(keys))
        if len(streams) > MAX_STREAMS:
            raise ValueError(
                f"{len(streams)} combinations of source, recipe and style exceed the {MAX_STREAMS} that can be "
                "tracked; merge source files, or name the sources by folder"
            )
        number = {stream: index for index, stream in enumerate(streams)}
        length_D = table["n_tokens"].to_numpy()
        ends = np.cumsum(length_D)
        block_D = np.repeat(np.arange(len(names), dtype=np.int32), n_documents)
        block_starts = np.concatenate([[0], ends])[np.cumsum([0, *n_documents[:-1]])]
        split_D = np.array([int(digest("split", id_), 16) / 2**64 for id_ in table["document_id"].to_pylist()])
        return cls(
            streams=streams,
            stream_D=np.array([number[key] for key in keys], dtype=np.int32),
            length_D=length_D,
            split_D=split_D,
            fingerprint=digest(*names),
            _block_D=block_D,
            _offset_D=ends - length_D - block_starts[block_D],
            _maps=[_map(Path(cache.path(f"{name}.tokens"))) for name in names],
            _cache=cache,
            _names=list(names),
        )

    def tokens(self, document: int, start: int, end: int) -> NDArray[np.uint32]:
        """Tokens [start, end) of a document."""
        offset = self._offset_D[document]
        return self._maps[self._block_D[document]][offset + start : offset + end]

    def document_id(self, document: int) -> str:
        """The id of a document, read from its block's index: slow, for messages only."""
        block = int(self._block_D[document])
        table = pq.read_table(self._cache.path(f"{self._names[block]}.index.parquet"), columns=["document_id"])
        return str(table["document_id"][document - int(np.searchsorted(self._block_D, block))].as_py())


def _map(path: Path) -> NDArray[np.uint32]:
    return np.memmap(path, dtype=np.uint32, mode="r") if path.stat().st_size else np.empty(0, np.uint32)
