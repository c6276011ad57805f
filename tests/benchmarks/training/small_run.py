"""A training run of a 2.5 M model on one thread, for benchmarks that compare options of the optimizer and the gates.

A run that was interrupted goes on from its last checkpoint; a finished one is only read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench_train_data import build_store, read_documents, train_tokenizer
from training.data.held_out import held_out_rows
from training.data.loader import Loader, LoaderConfig
from training.data.mixture import Mixture
from training.data.token_store import TokenStore
from training.data.tokenizer import TextTokenizer
from training.loop.loss_guard import GuardConfig
from training.loop.telemetry import read_metrics
from training.loop.trainer import Trainer, TrainerConfig
from training.model.decoder import Decoder
from training.model.presets import nano
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import THRESHOLD, QKClip, latent_attention_layers
from training.optimizer.schedule import schedule
from training.utility.tracker import UtilityConfig

ROW_LENGTH, HELD_OUT, VOCAB_SIZE = 128, 0.08, 1024

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Tokens of US history, and the size of the vocabulary that was trained on it."""

    store: TokenStore
    vocab_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallRun:
    """`threshold` is QK-Clip's τ. The embeddings keep a learning rate that is known to work, whatever Muon's is."""

    n_steps: int
    lr: float
    schedule: str
    n_warmup: int = 5
    n_rows: int = 8
    threshold: float = THRESHOLD
    split_heads: bool = False
    bias_speed: float = 1e-3
    quantile_balancing: bool = False
    seed: int = 0

    def metrics(self, data: Data, run: Path) -> Rows:
        """Train in the folder `run`; the metrics of each step.

        Raises:
            TrainingStoppedError: a loss is not finite.
        """
        torch.set_num_threads(1)
        config = nano(data.vocab_size).replace(hidden_size=128, n_layers=3, context_length=ROW_LENGTH)
        model = Decoder(config).initialise(self.seed)
        if self.quantile_balancing:
            for gate in model.gates():
                gate.balance_by_quantile()
        optimizer = MuonClip(
            model.named_parameters(),
            deepseek_rules(config, self.split_heads),
            MuonClipConfig(lr=self.lr, adamw_lr=4e-3),
            QKClip(latent_attention_layers(model), self.threshold),
            torch.float32,
        )
        loader = LoaderConfig(row_length=ROW_LENGTH, rows_per_step=self.n_rows, held_out_share=HELD_OUT, seed=self.seed)
        Trainer(
            run,
            model,
            optimizer,
            schedule(self.schedule, self.n_steps, self.n_warmup),
            data.store,
            Loader(data.store, Mixture(), loader),
            held_out_rows(data.store, HELD_OUT, ROW_LENGTH, max_rows=48),
            TrainerConfig(
                n_steps=self.n_steps,
                micro_batch_rows=8,
                precision="float32",
                bias_speed=self.bias_speed,
                checkpoint_minutes=1.0,
                utility=UtilityConfig(align_every=0),
                guard=GuardConfig(min_rise=1e9),  # spikes are measured, not prevented
            ),
        ).train()
        return list(read_metrics(run, "train"))


def read_data(folder: Path, out: Path) -> Data:
    """The tokens of `folder`'s documents, kept in `out` with their tokenizer."""
    documents = list(read_documents(folder, "documents/openstax*.jsonl"))
    saved = out / "tokenizer"
    tokenizer = TextTokenizer(saved) if saved.exists() else train_tokenizer(documents, VOCAB_SIZE, saved)
    return Data(store=build_store(documents, tokenizer, out / "tokens"), vocab_size=tokenizer.vocab_size)
