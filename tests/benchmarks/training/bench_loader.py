"""Loader throughput against Hugging Face `datasets`: streaming Parquet, tokenising in batches, packing into rows.

Both read the same committed shards with the same tokenizer and yield rows of token ids; ours also yields targets,
document boundaries and provenance. `first epoch` includes tokenisation; later epochs read our memory map, while
streaming tokenises again.

    python tests/benchmarks/training/bench_loader.py DATA [--tokenizer NAME_OR_FOLDER]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datasets import load_dataset
from transformers import AutoTokenizer

from bench_train_data import read_documents, train_tokenizer
from rephrase.dataset.shards import commit_part
from rephrase.storage.storage import Storage
from training.data.loader import Loader, LoaderConfig
from training.data.mixture import Mixture, MixtureRule
from training.data.texts import TextOptions
from training.data.token_store import TokenStore, tokenise_shards
from training.data.tokenizer import TextTokenizer

ROW_LENGTH, ROWS = 1024, 8
ROUNDS = 3


def write_shards(folder: Path, data: Path, n_copies: int) -> Storage:
    """The documents as committed rewrites, 100 per part."""
    rows: list[dict[str, Any]] = []
    for copy in range(n_copies):
        for d in read_documents(data):
            row = {"id": f"{d.id}-{copy}", "text": d.text, "source_text": "", "document_id": f"{d.id}-{copy}"}
            rows.append({**row, "source": d.source, "recipe": "knowledge", "style": "plain", "n_tokens": 0})
    shards = Storage(folder)
    for part, start in enumerate(range(0, len(rows), 100)):
        commit_part(shards, part, rows[start : start + 100], [])
    return shards


def ours(shards: Storage, tokenizer: TextTokenizer, cache: Storage) -> int:
    """Tokens yielded in one epoch."""
    store = TokenStore.open(cache, tokenise_shards(shards, tokenizer, cache, TextOptions(with_originals=False)))
    config = LoaderConfig(row_length=ROW_LENGTH, rows_per_step=ROWS, held_out_share=0.0)
    once = Mixture((MixtureRule(weight=1, max_epochs=1),))
    return sum(step.batch.tokens_BS.numel() for step in Loader(store, once, config))


def theirs(shards: Storage, tokenizer: Any) -> int:
    """Tokens yielded in one epoch of a shuffled stream, tokenised in batches, concatenated and cut into rows."""
    end = tokenizer.eos_token_id

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return {"ids": [[end, *ids, end] for ids in tokenizer(batch["text"], add_special_tokens=False)["input_ids"]]}

    files = f"{shards.root}/rewrites/*.parquet"
    stream = load_dataset("parquet", data_files=files, split="train", streaming=True, columns=["text"])
    stream = stream.shuffle(seed=0, buffer_size=200).map(encode, batched=True, batch_size=256, remove_columns=["text"])

    def rows() -> Iterator[list[int]]:
        left: list[int] = []
        for document in stream:
            left += document["ids"]
            while len(left) > ROW_LENGTH:
                yield left[: ROW_LENGTH + 1]
                left = left[ROW_LENGTH:]

    return sum(len(row) - 1 for row in rows())


def tokens_per_s(run: Callable[[], int]) -> float:
    began = time.perf_counter()
    return run() / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tokenizer", help="default: one trained on the data")
    parser.add_argument("--copies", type=int, default=2, help="copies of the documents, for more data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.tokenizer is None:
            train_tokenizer(list(read_documents(options.data)), 4096, folder / "tokenizer")
        tokenizer_folder = options.tokenizer or str(folder / "tokenizer")
        shards = write_shards(folder / "out", options.data, options.copies)
        tokenizer, hf_tokenizer = TextTokenizer(tokenizer_folder), AutoTokenizer.from_pretrained(tokenizer_folder)
        hf_tokenizer.model_max_length = 1 << 60
        theirs(shards, hf_tokenizer)  # warm-up: the first use loads the library
        figures: dict[str, list[float]] = {"theirs": [], "first": [], "later": []}
        for round_ in range(ROUNDS):
            cache = Storage(folder / f"cache-{round_}")
            figures["theirs"].append(tokens_per_s(lambda: theirs(shards, hf_tokenizer)))
            figures["first"].append(tokens_per_s(lambda cache=cache: ours(shards, tokenizer, cache)))
            figures["later"].append(tokens_per_s(lambda cache=cache: ours(shards, tokenizer, cache)))
    streaming, first, later = (statistics.median(figures[name]) for name in ("theirs", "first", "later"))
    print(f"datasets, streaming and packing {streaming:12,.0f} tok/s")
    print(f"ours, first epoch               {first:12,.0f} tok/s   ratio {first / streaming:.2f}")
    print(f"ours, later epochs              {later:12,.0f} tok/s   ratio {later / streaming:.2f}   (target 3)")


if __name__ == "__main__":
    main()
