"""Shared by the training benchmarks: documents from a folder, a small tokenizer trained on them, a token store."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from rephrase.records import Document
from rephrase.storage.storage import Storage
from training.data.texts import TextOptions, document_texts
from training.data.token_store import TokenStore, tokenise_texts
from training.data.tokenizer import TextTokenizer

TEXT_FIELDS = ("text", "context", "question", "answer", "en")


def read_documents(folder: Path, pattern: str = "documents/*.jsonl") -> Iterator[Document]:
    """Documents of the matching JSON Lines files; each file is a source. Exits if there are none."""
    files = sorted(folder.glob(pattern))
    if not files:
        sys.exit(f"no data: {folder}/{pattern} matches nothing; pass the folder that contains documents/*.jsonl")
    for path in files:
        for number, line in enumerate(path.read_text().splitlines()):
            row = json.loads(line)
            parts = [
                row[name] for name in ("text", "context", "question", "answer", "en") if isinstance(row.get(name), str)
            ]
            text = "\n\n".join(parts or [paragraph["context"] for paragraph in row.get("paragraphs", [])])
            yield Document(id=f"{path.stem}-{number}", text=text, source=path.stem, record=number)


def train_tokenizer(documents: list[Document], vocab_size: int, folder: Path) -> TextTokenizer:
    """Byte-pair encoding trained on the documents: with a large vocabulary, a small model would be mostly embedding."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((document.text for document in documents), trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    return TextTokenizer(folder)


def build_store(documents: list[Document], tokenizer: TextTokenizer, folder: Path) -> TokenStore:
    cache = Storage(folder)
    return TokenStore.open(cache, tokenise_texts(document_texts(documents, TextOptions()), "bench", tokenizer, cache))
