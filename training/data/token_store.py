"""Documents tokenised once to local disk, then read at random through memory maps.

A block is two files: the concatenated tokens of some documents, and an index with a row per document. Blocks of
committed shards are named after the commit and the tokenizer, so a changed part or another tokenizer makes new ones.

A second run over the same data skips tokenisation, which costs a hundred times more than reading the map.
"""

import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rephrase.dataset.shards import part_name, read_commits
from rephrase.records import digest
from rephrase.storage.storage import Storage
from training.data.near_duplicates import N_BANDS, bands, group
from training.data.texts import Stream, Text, TextOptions, refused_originals, shard_texts
from training.data.tokenizer import TextTokenizer

log = logging.getLogger("training")

MAX_STREAMS = 4096
OTHER_SOURCES = "(other sources)"
MAX_BLOCK_TOKENS = 1 << 26
ENCODE_BATCH = 256
# A group of near copies that is larger than this, and than this share of all texts, is not held out: it would take the
# evaluation over, or the training data away.
MIN_LARGE_GROUP, LARGE_GROUP = 100, 0.1

INDEX = pa.schema(
    [
        ("document_id", pa.string()),
        ("source", pa.string()),
        ("recipe", pa.string()),
        ("style", pa.string()),
        ("n_tokens", pa.int64()),
        # Version 0.1.0 ended here; a run that it began keeps its split, which knew documents by their ids only.
        ("content", pa.uint64()),  # a hash of the tokens
        ("bands", pa.list_(pa.uint64(), N_BANDS)),
        ("split_key", pa.string()),
    ]
)


def tokenise_shards(
    shards: Storage, tokenizer: TextTokenizer, cache: Storage, options: TextOptions = TextOptions()
) -> list[str]:
    """Write blocks for the committed parts of a run, and with `with_originals` for their source documents.

    Uncommitted parts are not read, and existing blocks are kept. Returns the block names in the order of the parts.

    Raises:
        FileNotFoundError: the rewrites of a committed part are missing.
        ValueError: a file of a part cannot be read.
    """
    names = []
    is_old = is_of_version_0_1(cache)
    for index, commit in sorted(read_commits(shards).items()):
        with_refused = options.with_originals and not is_old
        rewrites = f"rewrites/{part_name(index)}.parquet"
        if not with_refused and rewrites not in commit["files"]:
            continue  # nothing of this part was accepted
        checksums = sorted(entry["sha256"] for entry in commit["files"].values())
        name = f"{part_name(index)}-{digest(tokenizer.fingerprint, *_names(options), *checksums)}"
        if not cache.exists(f"{name}.index.parquet"):
            if rewrites in commit["files"] and not shards.exists(rewrites):
                raise FileNotFoundError(
                    f"{shards.url}/{rewrites} is missing, although its part is committed: copy the output again, or "
                    "rephrase it again"
                )
            texts = shard_texts(shards, index, options)
            if with_refused:
                texts = chain(texts, refused_originals(shards, index, options))
            _write_block(cache, name, _encode(texts, tokenizer))
        names.append(name)
    return names


def tokenise_texts(texts: Iterable[Text], name: str, tokenizer: TextTokenizer, cache: Storage) -> list[str]:
    """Write blocks for texts that are not in any shard; returns the block names.

    They are tokenised again each time, because no commit shows whether they changed. The names depend on the contents.
    """
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


def is_of_version_0_1(cache: Storage) -> bool:
    """Whether the blocks of a run were begun by version 0.1.0."""
    names = cache.read_json("blocks.json") if cache.exists("blocks.json") else []
    return bool(names) and "content" not in pq.read_schema(cache.path(f"{names[0]}.index.parquet")).names


def _names(options: TextOptions) -> list[object]:
    """What the name of a block says of the options: as in version 0.1.0 for those that it had."""
    later = (
        [options.source_by, options.split_by] if options != TextOptions(with_originals=options.with_originals) else []
    )
    return [options.with_originals, *later]


def _encode(texts: Iterable[Text], tokenizer: TextTokenizer) -> Iterator[tuple[Text, NDArray[np.uint32]]]:
    texts = iter(texts)
    while batch := list(islice(texts, ENCODE_BATCH)):
        yield from zip(batch, tokenizer.encode([text.text for text in batch]), strict=True)


def _write_block(cache: Storage, name: str, encoded: Iterable[tuple[Text, NDArray[np.uint32]]]) -> None:
    rows: list[dict[str, Any]] = []
    tokens: list[NDArray[np.uint32]] = []
    for text, ids in encoded:
        inner = ids[1:-1]  # without start and end token
        rows.append(
            {
                "document_id": text.document_id,
                **text.stream._asdict(),
                "n_tokens": len(ids),
                "content": int(digest(inner.tobytes().hex()), 16),
                "bands": bands(inner),
                "split_key": text.split_key,
            }
        )
        tokens.append(ids)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=INDEX), sink)
    cache.write(f"{name}.tokens", np.concatenate(tokens or [np.empty(0, np.uint32)]).tobytes())
    # The index comes last: a block without one does not count.
    cache.write(f"{name}.index.parquet", bytes(sink.getvalue()))


@dataclass(frozen=True)
class TokenStore:
    """All documents of some blocks: D documents, 40 bytes of memory each.

    `stream_D` is the document's stream, and `length_D` its number of tokens including start and end token. `split_D` is
    a number in [0, 1), the same for texts that must be on the same side of a split: a document and its rewrites, copies
    and near copies, documents with the same `split_key`; `has_split_keys` says whether any document has one.
    """

    streams: list[Stream]
    stream_D: NDArray[np.int32]
    length_D: NDArray[np.int64]
    split_D: NDArray[np.float64]
    fingerprint: str
    by_content: bool
    has_split_keys: bool
    _block_D: NDArray[np.int32]
    _row_D: NDArray[np.int64]
    _offset_D: NDArray[np.int64]
    _maps: list[NDArray[np.uint32]]
    _cache: Storage
    _names: list[str]

    @classmethod
    def open(cls, cache: Storage, names: Sequence[str]) -> "TokenStore":
        """Raises ValueError if there is nothing to train on."""
        if not cache.is_local:
            raise ValueError(f"the token cache {cache.url} is not a local folder, which memory maps need")
        tables = [pq.read_table(cache.path(f"{name}.index.parquet")) for name in names]
        n_documents = [table.num_rows for table in tables]
        if not sum(n_documents):
            raise ValueError(
                "there are no documents to train on: no part is committed, or all committed parts are empty"
            )
        table = pa.concat_tables(tables, promote_options="default").combine_chunks()
        by_content = all("content" in part.column_names for part in tables)
        length_D = table["n_tokens"].to_numpy()
        ends = np.cumsum(length_D)
        block_D = np.repeat(np.arange(len(names), dtype=np.int32), n_documents)
        block_starts = np.concatenate([[0], ends])[np.cumsum([0, *n_documents[:-1]])]
        streams, stream_D = _streams(table, length_D)
        kept = _first_of_each(table) if by_content else np.arange(len(length_D))
        if len(kept) < len(length_D):
            log.info("%d texts were given twice, with the same id; each is used once", len(length_D) - len(kept))
        return cls(
            streams=streams,
            stream_D=stream_D[kept],
            length_D=length_D[kept],
            split_D=_split_numbers(table, by_content)[kept],
            fingerprint=digest(*names),
            by_content=by_content,
            has_split_keys=by_content and table["split_key"].null_count < table.num_rows,
            _block_D=block_D[kept],
            _row_D=np.concatenate([np.arange(n) for n in n_documents])[kept],
            _offset_D=(ends - length_D - block_starts[block_D])[kept],
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
        return str(table["document_id"][int(self._row_D[document])].as_py())


def _streams(table: pa.Table, length_D: NDArray[np.int64]) -> tuple[list[Stream], NDArray[np.int32]]:
    """The streams of the texts, and the stream of each.

    Of too many to track, the sources with the fewest tokens become one.
    """
    keys = [Stream(*key) for key in zip(*(table[name].to_pylist() for name in Stream._fields), strict=True)]
    if len(set(keys)) > MAX_STREAMS:
        n_tokens: dict[Stream, int] = {}
        for key, n in zip(keys, length_D.tolist(), strict=True):
            n_tokens[key] = n_tokens.get(key, 0) + n
        others = {key._replace(source=OTHER_SOURCES) for key in n_tokens}
        largest = sorted(n_tokens, key=lambda key: (-n_tokens[key], key))[: max(0, MAX_STREAMS - len(others))]
        log.warning(
            "%d combinations of source, recipe and style exceed the %d that are tracked: the sources of the "
            "smallest %d count as one; --source-by folder or FIELD defines sources differently",
            *(len(n_tokens), MAX_STREAMS, len(n_tokens) - len(largest)),
        )
        keep = set(largest)
        keys = [key if key in keep else key._replace(source=OTHER_SOURCES) for key in keys]
    streams = sorted(set(keys))
    number = {stream: index for index, stream in enumerate(streams)}
    return streams, np.array([number[key] for key in keys], dtype=np.int32)


def _first_of_each(table: pa.Table) -> NDArray[np.int64]:
    """The texts without those that came before with the same id, content, recipe and style.

    Two outputs of one corpus have the same originals, and so have an output and the corpus itself.
    """
    names = ["document_id", "content", "recipe", "style"]
    numbered = table.select(names).append_column("row", pa.array(np.arange(table.num_rows)))
    return np.sort(numbered.group_by(names).aggregate([("row", "min")])["row_min"].to_numpy())


def _split_numbers(table: pa.Table, by_content: bool) -> NDArray[np.float64]:
    """`split_D`: that of the first id, in alphabetical order, of the group that a text is in."""
    ids, number_D = _numbered(table["document_id"])
    split_I = np.array([int(digest("split", id_), 16) / 2**64 for id_ in ids])
    if not by_content:
        return split_I[number_D]
    _, split_key_D = _numbered(table["split_key"])
    bands_DB = table["bands"].combine_chunks().flatten().to_numpy().reshape(-1, N_BANDS)
    group_D = group([number_D, np.where(split_key_D < 0, number_D, len(ids) + split_key_D)], bands_DB)
    first_G = np.full(group_D.max() + 1, len(ids))
    np.minimum.at(first_G, group_D, number_D)
    split_D = split_I[first_G[group_D]]
    size_G = np.bincount(group_D)
    split_D[size_G[group_D] > max(MIN_LARGE_GROUP, LARGE_GROUP * len(group_D))] = np.nextafter(1.0, 0.0)
    return split_D


def _numbered(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct values in alphabetical order, and the number of each value among them; −1 for null."""
    encoded = column.combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order) + 1, np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    return encoded.dictionary.take(order).to_pylist(), rank[encoded.indices.fill_null(-1).to_numpy()]


def _map(path: Path) -> NDArray[np.uint32]:
    return np.memmap(path, dtype=np.uint32, mode="r") if path.stat().st_size else np.empty(0, np.uint32)
