"""Does token utility recover a planted ranking?

One run over five streams of equal weight: fresh sections of a book, a few sections repeated many times, near-duplicates
of a few sections (one word in twenty dropped), text of another domain, and sections with all tokens shuffled. Held-out
sections of the book are the target. The correct ranking is fresh text above repeated and near-duplicated text, and both
of these above off-domain and shuffled text: 8 pairs in all.

    python tests/benchmarks/training/bench_utility.py DATA [--seeds 10]
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench_train_data import read_documents, train_tokenizer
from rephrase.records import Document
from rephrase.storage.storage import Storage
from training.data.held_out import held_out_rows
from training.data.loader import Loader, LoaderConfig
from training.data.mixture import Mixture, MixtureRule
from training.data.texts import TextOptions, document_texts
from training.data.token_store import TokenStore, tokenise_texts
from training.data.tokenizer import TextTokenizer
from training.loop.trainer import Trainer, TrainerConfig
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.model.presets import nano
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import QKClip, latent_attention_layers
from training.optimizer.schedule import wsd
from training.utility.tracker import UtilityConfig
from training.utility.value import token_values

TIERS = (("fresh",), ("repeated", "near_duplicate"), ("off_domain", "shuffled"))
ROW_LENGTH, ROWS, HELD_OUT = 256, 8, 0.15
N_REPEATS = 20


def pieces(documents: list[Document], n_words: int = 400) -> list[str]:
    """The documents cut into short sections of about `n_words` words."""
    sections = []
    for document in documents:
        words = document.text.split(" ")
        sections += [" ".join(words[at : at + n_words]) for at in range(0, len(words), n_words)]
    return sections


def plant(
    book: list[str], off_domain: list[str], tokenizer: TextTokenizer, n_tokens: int, seed: int
) -> dict[str, list[str]]:
    """About `n_tokens` of text per stream; no section of the book is used in two streams."""
    rng = random.Random(seed)
    book, off_domain = rng.sample(book, len(book)), rng.sample(off_domain, len(off_domain))
    mean_length = sum(map(len, tokenizer.encode(book[:50]))) / 50
    n = max(1, round(n_tokens / N_REPEATS / mean_length))
    repeated, bases, rest = book[:n], book[n : 2 * n], book[2 * n :]
    half = len(rest) // 2

    def dropped(text: str) -> str:
        return " ".join(word for word in text.split(" ") if rng.random() > 0.05)

    def shuffled(text: str) -> str:
        ids = tokenizer.encode([text])[0][1:-1].tolist()
        return tokenizer.decode(rng.sample(ids, len(ids)))

    return {
        "fresh": rest[:half],
        "repeated": repeated,
        "near_duplicate": [dropped(base) for base in bases for _ in range(N_REPEATS)],
        "off_domain": off_domain,
        "shuffled": [shuffled(text) for text in rest[half:]],
    }


def ranking(
    planted: dict[str, list[str]], config: ModelConfig, tokenizer: TextTokenizer, n_steps: int, seed: int, folder: Path
) -> dict[str, float]:
    """The measured value of each stream, over all exposures."""
    cache, names = Storage(folder / "tokens"), []
    for name, texts in planted.items():
        documents = (Document(id=f"{name}-{i}", text=text, source="planted") for i, text in enumerate(texts))
        names += tokenise_texts(document_texts(documents, TextOptions(), recipe=name), name, tokenizer, cache)
    store = TokenStore.open(cache, names)
    # Only fresh text is held out: there are too few repeated sections to lose one.
    for k, stream in enumerate(store.streams):
        if stream.recipe != "fresh":
            store.split_D[store.stream_D == k] = 1.0
    model = Decoder(config).initialise(seed)
    clip = QKClip(latent_attention_layers(model))
    optimizer = MuonClip(model.named_parameters(), deepseek_rules(config), MuonClipConfig(lr=4e-3), clip)
    mixture = Mixture(tuple(MixtureRule(recipe=recipe, weight=1) for recipe in planted))
    loader_config = LoaderConfig(row_length=ROW_LENGTH, rows_per_step=ROWS, seed=seed, held_out_share=HELD_OUT)
    trainer = Trainer(
        folder / "run",
        model,
        optimizer,
        wsd(n_steps, 10),
        store,
        Loader(store, mixture, loader_config),
        held_out_rows(store, HELD_OUT, ROW_LENGTH, max_rows=64),
        TrainerConfig(
            n_steps=n_steps,
            micro_batch_rows=ROWS,
            utility=UtilityConfig(align_every=4, target_rows=8, target_recipe="fresh"),
        ),
    )
    trainer.train()
    measured = token_values(trainer.utility.ledger).current_K
    return {stream.recipe: float(measured[k]) for k, stream in enumerate(store.streams)}


def right_pairs(value: dict[str, float]) -> Iterator[bool]:
    for better, worse in ((0, 1), (0, 2), (1, 2)):
        for a in TIERS[better]:
            for b in TIERS[worse]:
                yield value[a] > value[b]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    book = list(read_documents(options.data, "documents/openstax*.jsonl"))
    off_domain = list(read_documents(options.data, "math/openlogic_tex.jsonl"))
    began, n_right, all_values = time.perf_counter(), 0, []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            tokenizer = train_tokenizer(book + off_domain, 2048, folder / "tokenizer")
            config = nano(tokenizer.vocab_size).replace(hidden_size=128, n_layers=3, context_length=ROW_LENGTH)
            n_tokens = options.steps * ROWS * ROW_LENGTH // 5
            planted = plant(pieces(book), pieces(off_domain), tokenizer, n_tokens, seed)
            value = ranking(planted, config, tokenizer, options.steps, seed, folder)
        pairs = list(right_pairs(value))
        n_right += all(pairs)
        all_values.append(value)
        shown = "  ".join(f"{name} {value[name]:+.2f}" for tier in TIERS for name in tier)
        print(f"seed {seed}: {sum(pairs)}/{len(pairs)} pairs correct   {shown}", flush=True)
    medians = {name: statistics.median(value[name] for value in all_values) for tier in TIERS for name in tier}
    print("median value:", "  ".join(f"{name} {value:+.2f}" for name, value in medians.items()))
    print(
        f"correct ranking in {n_right} of {options.seeds} seeds (target 9 of 10); {time.perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
