from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from rephrase.storage.storage import Storage
from training.data.byte_pairs import corpus_texts, train_tokenizer
from training.data.tokenizer import TextTokenizer


def test_a_tokenizer_of_the_corpus(shards: Storage, tmp_path: Path) -> None:
    texts = [*corpus_texts([shards.url]), "the river runs past the mill " * 100]
    assert train_tokenizer(texts, 270, tmp_path / "tokenizer") == 270
    tokenizer = TextTokenizer(tmp_path / "tokenizer")
    assert tokenizer.vocab_size == 270
    for text in ("w1 w2 w3", "Größe 1234 中文 \U0001f600\n\t"):
        (ids,) = tokenizer.encode([text])
        assert ids[0] == ids[-1] == tokenizer.end_id
        assert tokenizer.decode(ids[1:-1].tolist()) == text
    (short,) = tokenizer.encode(["the river"])
    assert len(short) < 2 + len("the river")  # its letters are merged
    (number,) = tokenizer.encode(["1111"])
    assert len(number) == 2 + 4


def test_what_cannot_be_trained_is_refused(shards: Storage, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocabulary size is 256; it must be above 256"):
        train_tokenizer(["a"], 256, tmp_path)
    with pytest.raises(ValueError, match="no part is committed"):
        list(corpus_texts([str(tmp_path / "empty")]))
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl"):
        list(corpus_texts([], [str(tmp_path / "none.jsonl")]))


def test_the_command_reads_outputs_and_raw_corpora(shards: Storage, tmp_path: Path) -> None:
    (tmp_path / "raw.jsonl").write_text('{"id": "a", "body": "the river runs past the mill"}\n' * 20)
    folder = str(tmp_path / "tokenizer")
    raw = ["--documents", str(tmp_path / "raw.jsonl"), "--text-field", "body"]
    command = ["tokenizer", folder, "--vocab-size", "280", *raw]
    assert CliRunner().invoke(app, command).exit_code == 0
    only_raw = len(TextTokenizer(folder).encode(["w11 w12"])[0])
    assert CliRunner().invoke(app, ["tokenizer", shards.url, shards.url, *command[1:]]).exit_code == 0
    assert len(TextTokenizer(folder).encode(["w11 w12"])[0]) < only_raw
    refused = CliRunner().invoke(app, ["tokenizer", folder])
    assert refused.exit_code == 2
    assert "give an output folder before" in refused.output
