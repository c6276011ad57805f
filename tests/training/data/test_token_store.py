from collections.abc import Callable
from pathlib import Path

import pytest

from rephrase.dataset.shards import read_rewrites
from rephrase.records import Document
from rephrase.storage.storage import Storage
from training.data import token_store
from training.data.texts import Stream, TextOptions, document_texts
from training.data.token_store import OTHER_SOURCES, TokenStore, tokenise_shards, tokenise_texts
from training.data.tokenizer import TextTokenizer


def texts(store: TokenStore, tokenizer: TextTokenizer) -> set[tuple[Stream, str, tuple[int, ...]]]:
    return {
        (
            store.streams[store.stream_D[d]],
            store.document_id(d),
            tuple(store.tokens(d, 0, int(store.length_D[d])).tolist()),
        )
        for d in range(len(store.length_D))
    }


def test_holds_every_rewrite_and_each_original_once(
    shards: Storage, store: TokenStore, tokenizer: TextTokenizer
) -> None:
    expected = set()
    for table in read_rewrites(shards):
        for row in table.to_pylist():
            for text, stream in (
                (row["text"], Stream(row["source"], row["recipe"], row["style"])),
                (row["source_text"], Stream(row["source"], "original", "original")),
            ):
                expected.add((stream, row["document_id"], tuple(tokenizer.encode([text])[0].tolist())))
    assert texts(store, tokenizer) == expected
    assert len(store.length_D) == 40 * 3


def test_an_uncommitted_part_is_never_seen(shards: Storage, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    shards.write("rewrites/part-00002.parquet", shards.read("rewrites/part-00001.parquet"))
    (Path(shards.root) / "commits" / "part-00001.json").unlink()
    cache = Storage(tmp_path / "other")
    assert [name[:10] for name in tokenise_shards(shards, tokenizer, cache)] == ["part-00000"]


def test_tokenised_once_until_the_part_changes(
    shards: Storage,
    commit: Callable[..., None],
    tokenizer: TextTokenizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = Storage(tmp_path / "tokens")
    before = tokenise_shards(shards, tokenizer, cache)
    commit(shards, 1, 21)
    after = tokenise_shards(shards, tokenizer, cache)
    assert after[0] == before[0]
    assert after[1] != before[1]
    monkeypatch.setattr(token_store, "_write_block", lambda *_: pytest.fail("tokenised again"))
    assert tokenise_shards(shards, tokenizer, cache) == after


def test_a_document_and_its_rewrites_are_on_the_same_side(store: TokenStore) -> None:
    by_document: dict[str, set[float]] = {}
    for d in range(len(store.length_D)):
        by_document.setdefault(store.document_id(d), set()).add(float(store.split_D[d]))
    assert all(len(splits) == 1 for splits in by_document.values())
    assert 0.3 < sum(splits.pop() < 0.5 for splits in by_document.values()) / 40 < 0.7


def test_documents_from_elsewhere_in_blocks(
    tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_store, "MAX_BLOCK_TOKENS", 8)
    cache = Storage(tmp_path)
    documents = [Document(id=f"d{i}", text="w1 w2 w3", source="notes.md") for i in range(5)]
    names = tokenise_texts(document_texts(iter(documents), TextOptions()), "extra", tokenizer, cache)
    store = TokenStore.open(cache, names)
    assert len(names) == 3
    assert [store.document_id(d) for d in range(5)] == [f"d{i}" for i in range(5)]
    assert all(store.tokens(d, 1, 3).tolist() == [2, 3] for d in range(5))
    assert store.streams == [Stream("notes.md", "original", "original")]
    changed = [Document(id="d0", text="w9", source="notes.md")]
    assert tokenise_texts(document_texts(changed, TextOptions()), "extra", tokenizer, cache)[0] != names[0]


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no part is committed"):
        TokenStore.open(Storage(tmp_path), [])


def test_of_too_many_streams_the_smallest_sources_are_one(
    tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_store, "MAX_STREAMS", 3)
    cache = Storage(tmp_path)
    documents = [Document(id=f"d{i}", text="w1 " * (i + 1), source=f"file{i}.txt") for i in range(5)]
    store = TokenStore.open(cache, tokenise_texts(document_texts(documents, TextOptions()), "x", tokenizer, cache))
    assert [stream.source for stream in store.streams] == [OTHER_SOURCES, "file3.txt", "file4.txt"]
    assert [store.streams[s].source for s in store.stream_D][:3] == [OTHER_SOURCES] * 3


def test_a_part_that_is_missing_or_damaged_is_named(shards: Storage, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    part = Path(shards.root) / "rewrites" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"part-00001.parquet cannot be read: "):
        tokenise_shards(shards, tokenizer, Storage(tmp_path / "tokens"))
    part.unlink()
    with pytest.raises(FileNotFoundError, match=r"part-00001.parquet is missing, although its part is committed"):
        tokenise_shards(shards, tokenizer, Storage(tmp_path / "tokens"))
