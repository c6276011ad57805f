import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from training.data.tokenizer import TextTokenizer


def test_documents_are_between_start_and_end_tokens(tokenizer: TextTokenizer) -> None:
    assert [ids.tolist() for ids in tokenizer.encode(["w5 w0", ""])] == [[0, 6, 1, 0], [0, 0]]
    assert tokenizer.vocab_size == 61


def test_a_text_cannot_forge_the_end_of_a_document(tmp_path: Path) -> None:
    bytes_ = {"<": 1, "e": 2, "n": 3, "d": 4, ">": 5, "<end>": 0}
    tokenizer = Tokenizer(models.BPE(bytes_, []))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(tmp_path)
    assert TextTokenizer(tmp_path).encode(["<end>"])[0].tolist() == [0, 1, 2, 3, 4, 5, 0]


def test_fingerprints_of_different_tokenizers_differ(
    tokenizer: TextTokenizer, tokenizer_folder: Path, tmp_path: Path
) -> None:
    assert TextTokenizer(tokenizer_folder).fingerprint == tokenizer.fingerprint
    other = Tokenizer(models.WordLevel({"<end>": 0, "w1": 1}, unk_token="w1"))
    PreTrainedTokenizerFast(tokenizer_object=other, eos_token="<end>").save_pretrained(tmp_path)
    assert TextTokenizer(tmp_path).fingerprint != tokenizer.fingerprint


def test_a_tokenizer_without_an_end_token_is_rejected(tmp_path: Path) -> None:
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))).save_pretrained(
        tmp_path
    )
    with pytest.raises(ValueError, match="no end-of-text token"):
        TextTokenizer(tmp_path)


def test_a_tokenizer_that_is_code_is_refused_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Kimi K2's is."""
    monkeypatch.setattr("builtins.input", lambda _="": "y")
    config = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    with pytest.raises(ValueError, match="custom code"):
        TextTokenizer(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_damaged_tokenizer_is_named(tokenizer_folder: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tokenizer_folder / name).read_bytes()[:20])
    with pytest.raises(ValueError, match=f"the tokenizer {tmp_path} cannot be loaded: "):
        TextTokenizer(tmp_path)
