import json
from pathlib import Path
from typing import Any

import pytest

from rephrase.dataset.shards import commit_part
from rephrase.storage.storage import Storage
from training.data.texts import Stream, TextOptions, document_texts, read_documents, refused_originals, shard_texts
from training.data.token_store import TokenStore, tokenise_shards, tokenise_texts
from training.data.tokenizer import TextTokenizer


def rejected(document_id: str, start: int, text: str, recipe: str = "knowledge", **columns: Any) -> dict[str, Any]:
    return {
        "stage": "rewrite",
        "reason": "refusal",
        "document_id": document_id,
        "source": "a.jsonl",
        "recipe": recipe,
        "variant": 0,
        "start": start,
        "end": start + len(text),
        "source_text": text,
        "domain": "knowledge",
        **columns,
    }


def refused(tmp_path: Path, rejects: list[dict[str, Any]], config: dict[str, Any] | None = None) -> dict[str, str]:
    storage = Storage(tmp_path / "out")
    commit_part(storage, 0, [], rejects)
    if config is not None:
        storage.write_json("plan.json", {"config": config})
    return {text.document_id: text.text for text in refused_originals(storage, 0, TextOptions())}


def test_a_refused_document_is_put_together_from_its_chunks(tmp_path: Path) -> None:
    rejects = [
        rejected("d", 3, "w2 "),
        rejected("d", 0, "w1 "),
        rejected("d", 6, "w3"),
        rejected("d", 0, "w1 ", variant=1),
    ]
    unreadable = {"stage": "read", "reason": "empty_text", "document_id": "e", "source": "a.jsonl"}
    assert refused(tmp_path, [*rejects, unreadable], {"recipe": "knowledge"}) == {"d": "w1 w2 w3"}


@pytest.mark.parametrize(
    ("rejects", "config"),
    [
        ([rejected("d", 3, "w2")], None),  # its first chunk is missing
        ([rejected("d", 0, "w1")], {"recipe": "knowledge", "on_reject": "document"}),  # the later ones were not written
        ([rejected("d", 0, "w1", "note")], {"recipe": "translate+note"}),  # a translation, not the document
        ([rejected("d", 0, "w1", "translate"), rejected("d", 0, "w2", "note")], {"recipe": "translate+note"}),
    ],
)
def test_what_may_not_be_the_whole_document_is_left_out_and_said(
    tmp_path: Path, rejects: list[dict[str, Any]], config: dict[str, Any] | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert refused(tmp_path, rejects, config) == {}
    assert "--documents SOURCE adds them" in caplog.text


def test_a_refused_variant_has_the_whole_document(tmp_path: Path) -> None:
    variant = rejected("d", 0, "w1 w2 w3", stage="variant")
    assert refused(tmp_path, [rejected("d", 0, "w1 "), variant], {"on_reject": "document"}) == {"d": "w1 w2 w3"}


def test_a_document_of_which_too_little_was_rewritten_is_whole(tmp_path: Path) -> None:
    incomplete = {**rejected("d", 0, "w1 w2 w3"), "stage": "document", "reason": "incomplete", "start": None}
    assert refused(tmp_path, [rejected("d", 3, "w2"), incomplete]) == {"d": "w1 w2 w3"}


def test_accepted_and_refused_documents_are_originals_once(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    storage, cache = Storage(tmp_path / "out"), Storage(tmp_path / "tokens")
    rows = [
        {
            "id": "r",
            "text": "w7",
            "source_text": "w8 w9",
            "document_id": "a",
            "source": "a.jsonl",
            "recipe": "knowledge",
        }
        | {"style": "plain", "n_tokens": 1}
    ]
    commit_part(storage, 0, rows, [rejected("a", 0, "w8 w9"), rejected("d", 0, "w1 w2")])
    commit_part(storage, 1, [], [rejected("e", 0, "w4 w5")])
    (tmp_path / "raw").mkdir()
    with (tmp_path / "raw" / "a.jsonl").open("w") as file:
        for id_, text in (("a", "w8 w9"), ("d", "w1 w2"), ("f", "w3")):
            file.write(json.dumps({"id": id_, "text": text}) + "\n")
    names = tokenise_shards(storage, tokenizer, cache)
    raw = document_texts(read_documents(str(tmp_path / "raw"), TextOptions()), TextOptions())
    names += tokenise_texts(raw, "documents", tokenizer, cache)
    store = TokenStore.open(cache, names)
    found = [
        (store.document_id(d), tokenizer.decode(store.tokens(d, 1, int(store.length_D[d]) - 1).tolist()))
        for d in range(len(store.length_D))
        if store.streams[store.stream_D[d]].recipe == "original"
    ]
    assert found == [("a", "w8 w9"), ("d", "w1 w2"), ("e", "w4 w5"), ("f", "w3")]
    other = Storage(tmp_path / "other")
    store = TokenStore.open(other, tokenise_shards(storage, tokenizer, other, TextOptions(with_originals=False)))
    assert store.streams == [Stream("a.jsonl", "knowledge", "plain")]


def test_sources_by_folder_and_by_field(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "out")
    row = {"id": "r", "text": "w7", "source_text": "w8", "document_id": "a", "source": "wiki/en/1.txt"}
    row |= {"recipe": "knowledge", "style": "plain", "n_tokens": 1, "metadata": json.dumps({"site": "x.org", "of": 7})}
    commit_part(storage, 0, [row], [])

    def first(options: TextOptions) -> tuple[str, str | None]:
        text = next(shard_texts(storage, 0, options))
        return text.stream.source, text.split_key

    assert first(TextOptions()) == ("wiki/en/1.txt", None)
    assert first(TextOptions(source_by="folder", split_by="of")) == ("wiki/en", "7")
    assert first(TextOptions(source_by="site")) == ("x.org", None)
    assert first(TextOptions(source_by="none", split_by="none")) == ("wiki/en/1.txt", None)


def test_documents_of_a_folder_with_their_fields(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "a.jsonl").write_text('{"body": "w1", "of": "t1"}\n{"body": ""}\n')
    options = TextOptions(split_by="of", source_by="folder")
    (text,) = document_texts(read_documents(str(tmp_path), options, "body"), options)
    assert (text.text, text.stream, text.split_key) == ("w1", Stream("en", "original", "original"), "t1")
