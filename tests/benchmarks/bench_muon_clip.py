"""A learning rate at which plain Muon's attention logits exceed τ and MuonClip's do not, on the same batches of text.

Writes `plain.svg` and `clipped.svg`, the largest logit of every head over the steps, to the output folder.

    python tests/benchmarks/bench_muon_clip.py DATA OUT [--lr 0.08]
"""

import argparse
import tempfile
from pathlib import Path

import torch
from bench_train_data import build_store, read_documents, train_tokenizer

from training.data.held_out import held_out_rows
from training.data.loader import Loader, LoaderConfig
from training.data.mixture import Mixture
from training.data.token_store import TokenStore
from training.loop.logit_curves import max_logit_curves
from training.loop.loss_guard import GuardConfig
from training.loop.telemetry import read_metrics
from training.loop.trainer import Trainer, TrainerConfig
from training.model.decoder import Decoder
from training.model.presets import nano
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import THRESHOLD, QKClip, latent_attention_layers
from training.optimizer.schedule import constant
from training.utility.tracker import UtilityConfig

ROW_LENGTH, ROWS, HELD_OUT = 256, 8, 0.08
# Never clips, but still records the maxima.
NEVER = 1e30


def train(store: TokenStore, vocab_size: int, run: Path, lr: float, n_steps: int, threshold: float) -> None:
    config = nano(vocab_size).replace(hidden_size=128, n_layers=3, context_length=ROW_LENGTH)
    model = Decoder(config).initialise(0)
    clip = QKClip(latent_attention_layers(model), threshold)
    # Without weight decay, only the clip bounds the weights; the embeddings keep a learning rate that is known to work.
    optimizer_config = MuonClipConfig(lr=lr, adamw_lr=4e-3, weight_decay=0.0)
    optimizer = MuonClip(model.named_parameters(), deepseek_rules(config), optimizer_config, clip)
    loader = LoaderConfig(row_length=ROW_LENGTH, rows_per_step=ROWS, held_out_share=HELD_OUT)
    Trainer(
        run,
        model,
        optimizer,
        constant(n_steps, 10),
        store,
        Loader(store, Mixture(), loader),
        held_out_rows(store, HELD_OUT, ROW_LENGTH, max_rows=16),
        TrainerConfig(
            n_steps=n_steps,
            micro_batch_rows=ROWS,
            utility=UtilityConfig(align_every=0),
            guard=GuardConfig(min_rise=1e9),  # the run is meant to diverge
        ),
    ).train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--lr", type=float, default=0.08)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        documents = list(read_documents(options.data, "documents/openstax*.jsonl"))
        tokenizer = train_tokenizer(documents, 1024, folder / "tokenizer")
        store = build_store(documents, tokenizer, folder / "tokens")
        for run, threshold in (("plain", NEVER), ("clipped", THRESHOLD)):
            train(store, tokenizer.vocab_size, folder / run, options.lr, options.steps, threshold)
            rows = list(read_metrics(folder / run, "train"))
            over = next((row["step"] for row in rows if row["max_logit"] > THRESHOLD), None)
            n_clipped = sum(row["share_clipped"] > 0 for row in rows)
            print(
                f"{run:8} largest logit {max(row['max_logit'] for row in rows):9.1f}, first above τ at step {over}, ",
                end="",
            )
            print(f"steps that clipped {n_clipped}, last loss {rows[-1]['loss']:.3f}", flush=True)
            (options.out / f"{run}.svg").write_text(max_logit_curves(folder / run, THRESHOLD))


if __name__ == "__main__":
    main()
