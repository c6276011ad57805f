"""Trains a byte-level BPE tokenizer on a corpus of one's own.

A small model spends much of its time and most of its parameters on its vocabulary: with the 49,152 words of SmolLM2's
tokenizer, forward and backward of the preset nano take 2.7 times as long as with 8,192 words (one core, float32).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from rephrase.dataset.shards import read_commits
from rephrase.storage.storage import Storage
from training.data.texts import TextOptions, read_documents, shard_texts

END = "<|endoftext|>"
N_BYTES = 256


def corpus_texts(outputs: Iterable[str], sources: Iterable[str] = (), text_field: str = "text") -> Iterator[str]:
    """The rewrites of runs and, once each, their source documents; then the documents of raw corpora.

    Raises:
        ValueError: no part of an output is committed, or a corpus has no file in a supported format.
        FileNotFoundError: there is no such corpus.
    """
    for shards in map(Storage, outputs):
        commits = read_commits(shards)
        if not commits:
            raise ValueError(f"no part is committed in {shards.url}: run `palimpsest rephrase` first")
        for index in sorted(commits):
            yield from (text.text for text in shard_texts(shards, index, TextOptions()))
    for source in sources:
        yield from (document.text for document in read_documents(source, TextOptions(), text_field))


def train_tokenizer(texts: Iterable[str], vocab_size: int, folder: str | Path) -> int:
    """Write a tokenizer of at most `vocab_size` words, `<|endoftext|>` among them; returns how many it has.

    Every text can be encoded, as each byte is a word. Digits stand alone, so that numbers of any length are read alike.

    Raises:
        ValueError: `vocab_size` has no room for the bytes and the end of a text.
    """
    if vocab_size <= N_BYTES:
        raise ValueError(f"the vocabulary size is {vocab_size}; it must be above {N_BYTES}, the number of bytes")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END).save_pretrained(folder)
    return int(tokenizer.get_vocab_size())
