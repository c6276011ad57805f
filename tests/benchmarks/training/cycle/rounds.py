"""The rounds of a cycle on the planted corpus, and the arms they are compared with.

All but the writing itself is the product's own: the drawing of styles for each document, the shards, the training run
from shards, token utility, and the decision from its files.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bench_train_data import read_documents, train_tokenizer
from cycle.styles import Planter, cut, deal_lengths, planted_recipe
from flows.results.style_decision import decide_styles
from rephrase.dataset.shards import commit_part
from rephrase.prompting.recipes import draw_variants
from rephrase.records import Document
from rephrase.storage.storage import Storage
from training.data.batch import Batch
from training.data.held_out import held_out_rows
from training.data.mixture import Mixture, MixtureRule
from training.data.texts import ORIGINAL, TextOptions, document_texts
from training.data.token_store import TokenStore, tokenise_texts
from training.data.tokenizer import TextTokenizer
from training.export import load_model
from training.huggingface import export
from training.loop.run import train
from training.loop.run_options import RunOptions
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.model.presets import nano

Row = dict[str, Any]
RECIPE = planted_recipe()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """`n_words` are those of a section of the book; a document is a section.

    Pulls are measured at every step: they still meet only half as many tokens of held-out text as in 2,000 steps at the
    defaults of `palimpsest train`.
    """

    n_rounds: int = 3
    n_steps: int = 120
    rows_per_step: int = 4
    row_length: int = 256
    align_every: int = 1
    lr: float = 4e-3
    n_documents: int = 72
    n_variants: int = 3
    n_test: int = 40
    n_words: int = 200
    vocab_size: int = 512
    hidden_size: int = 64
    n_layers: int = 1

    def model(self, vocab_size: int) -> ModelConfig:
        """Dense: with a mixture of experts, steps this small would take twice the time."""
        return nano(vocab_size).replace(
            hidden_size=self.hidden_size,
            n_layers=self.n_layers,
            n_dense_layers=self.n_layers,
            n_heads=2,
            q_rank=self.hidden_size // 2,
            kv_rank=32,
            dense_ffn_size=4 * self.hidden_size,
            context_length=self.row_length,
        )


TINY = Sizes(
    n_rounds=2, n_steps=10, rows_per_step=2, row_length=32, n_documents=24, n_words=20, n_test=4, hidden_size=16
)


class Laboratory:
    """The texts and the tokenizer of all seeds, in the folder `out`."""

    def __init__(self, data: Path, out: Path, sizes: Sizes) -> None:
        self.out, self.sizes = out, sizes
        book = list(read_documents(data, "documents/openstax*.jsonl"))
        mathematics = list(read_documents(data, "math/openlogic_tex.jsonl"))
        folder = out / "tokenizer"
        self.tokenizer = (
            TextTokenizer(folder) if folder.exists() else train_tokenizer(book + mathematics, sizes.vocab_size, folder)
        )
        self.book, self.mathematics = (cut([d.text for d in texts], sizes.n_words) for texts in (book, mathematics))

    def run_seed(self, seed: int, done: Mapping[str, Row], finish: Callable[[Row], None]) -> None:
        """Run what is not `done` of a seed's runs, and give the result of each to `finish`.

        `round-1` is trained on rewrites in equally many of each style, as a first round is, and so is the arm with
        natural shares; `uniform` reads the same with equal shares of the tokens. `round-2` and later are trained on the
        rewrites of all rounds so far; `decided`, on rewrites in the shares that the last round decided.
        """
        world, results = World(self, seed), dict(done)

        def train(name: str, shards: Sequence[int], mixture: Mixture = Mixture()) -> Row:  # noqa: B008  frozen
            if name not in results:
                results[name] = world.train(name, shards, mixture)
                finish(results[name])
            return results[name]

        shares = None
        for number in range(1, self.sizes.n_rounds + 1):
            world.rewrite(number, shares)
            shares = train(f"round-{number}", range(number, 0, -1))["next"]
        world.rewrite(self.sizes.n_rounds + 1, shares)
        train("decided", [self.sizes.n_rounds + 1])
        train("uniform", [1], uniform_mixture())


class World:
    """The documents, test text and first weights of one seed."""

    def __init__(self, laboratory: Laboratory, seed: int) -> None:
        self.sizes, self.tokenizer, self.seed = laboratory.sizes, laboratory.tokenizer, seed
        self.folder = laboratory.out / f"seed-{seed}"
        self.tokenizer_folder = str(laboratory.out / "tokenizer")
        rng = random.Random(seed)
        book = rng.sample(laboratory.book, len(laboratory.book))
        n, n_test = self.sizes.n_documents, self.sizes.n_test
        self.documents, test, unused = book[:n], book[n : n + n_test], book[n + n_test :]
        self.lengths = deal_lengths(rng)
        self.planter = Planter(self.tokenizer, unused, laboratory.mathematics, self.lengths, rng)
        self.test = self._rows(test)
        self.start = self.folder / "start"
        if not self.start.exists():
            model = Decoder(self.sizes.model(self.tokenizer.vocab_size)).initialise(seed)
            export(model, self.start, self.tokenizer_folder, torch.float32)

    def rewrite(self, number: int, shares: Mapping[str, float] | None) -> None:
        """Write the shards of a round, in styles drawn as `palimpsest rephrase` draws them."""
        rows = []
        for index, document in enumerate(self.documents):
            name = f"d{index}"
            for variant in draw_variants(RECIPE, name, self.sizes.n_variants, self._seed(number), shares):
                text = self.planter.write(variant.style, document)
                row = {"id": f"{name}-{number}-{variant.index}", "document_id": name, "source": "book"}
                row |= {"text": text, "source_text": document, "recipe": RECIPE.name, "style": variant.style}
                rows.append({**row, "n_tokens": len(self.tokenizer.encode([text])[0])})
        commit_part(Storage(self._shards(number)), 0, rows, [])

    def train(self, name: str, shards: Sequence[int], mixture: Mixture) -> Row:
        """Train on the shards of some rounds, test, and after a round decide the shares of the next one."""
        began, cpu = time.perf_counter(), time.process_time()
        run, is_round = self.folder / name, name.startswith("round")
        options = RunOptions(
            preset="nano",
            start=str(self.start),
            tokenizer=self.tokenizer_folder,
            n_steps=self.sizes.n_steps,
            rows_per_step=self.sizes.rows_per_step,
            micro_batch_rows=self.sizes.rows_per_step,
            row_length=self.sizes.row_length,
            lr=self.sizes.lr,
            momentum=0.85,
            n_warmup=self.sizes.n_steps // 20,
            precision="float32",
            seed=self.seed,
            held_out_share=0.1,
            align_every=self.sizes.align_every if is_round else 0,
            mixture=mixture,
        )
        summary = train([self._shards(number) for number in shards], run, options)
        decided = {}
        if is_round:
            decision = decide_styles([str(run)], {RECIPE.name: RECIPE}, self._seed(max(shards) + 1))
            worth = {row.style: row.worth and (row.worth.value, row.worth.error) for row in decision.shares}
            decided = {"worth": worth, "next": decision.by_recipe()[RECIPE.name]}
        plan = json.loads((run / "token_plan.json").read_text())
        read = {stream["stream"].rsplit(" · ", 1)[1]: stream["share"] for stream in plan["streams"]}
        return {
            "seed": self.seed,
            "run": name,
            "sizes": asdict(self.sizes),
            "lengths": self.lengths,
            "n_tokens": summary.n_tokens,
            "read": read,
            **decided,
            "test_loss": self._test_loss(run),
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu,
        }

    def _test_loss(self, run: Path) -> float:
        """Nats per token on sections of the book that no arm has read in any form."""
        model, _ = load_model(run)
        total = n_tokens = 0.0
        with torch.no_grad():
            for start in range(0, len(self.test.tokens_BS), 32):
                part = self.test.rows(start, start + 32)
                weights_BS = (part.stream_BS >= 0).float()
                losses_BS = model.loss(part.tokens_BS, part.targets_BS, weights_BS, part.boundaries).tokens_BS
                total, n_tokens = total + float((losses_BS * weights_BS).sum()), n_tokens + float(weights_BS.sum())
        return total / n_tokens

    def _rows(self, texts: list[str]) -> Batch:
        cache = Storage(self.folder / "test")
        documents = (Document(id=f"t{i}", text=text, source="book") for i, text in enumerate(texts))
        names = tokenise_texts(document_texts(documents, TextOptions()), "test", self.tokenizer, cache)
        (batch,) = held_out_rows(TokenStore.open(cache, names), 1.0, self.sizes.row_length, 10**9).values()
        return batch

    def _shards(self, number: int) -> str:
        return str(self.folder / f"rewrites-{number}")

    def _seed(self, number: int) -> int:
        """Of the draws in a round, as `cycle --seed` gives it."""
        return 1000 * self.seed + number - 1


def uniform_mixture() -> Mixture:
    """The same tokens of every style; the originals keep their share."""
    styles = [MixtureRule(recipe=RECIPE.name, style=style, weight=1) for style in RECIPE.styles]
    return Mixture((*styles, MixtureRule(recipe=ORIGINAL, weight=None)))
