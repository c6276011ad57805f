"""Trains a byte-level BPE tokenizer on a corpus of one's own.

A small model spends much of its time and most of its parameters on its vocabulary: with the 49,152 words of SmolLM2's
tokenizer, the output head is half of a step of the preset nano.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from rephrase.dataset.shards import read_commits
from rephrase.storage.storage import Storage
from training.data.texts import TextOptions, shard_texts

END = "<|endoftext|>"
N_BYTES = 256


def committed_texts(shards: Storage) -> Iterator[str]:
    """The rewrites of a run and, once each, their source documents.

    Raises:
        ValueError: no part is committed.
    """
    commits = read_commits(shards)
    if not commits:
        raise ValueError(f"no part is committed in {shards.url}: run `palimpsest rephrase` first")
    for index in sorted(commits):
        for text in shard_texts(shards, index, TextOptions()):
            yield text.text


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
