"""Muon against tuned AdamW on real text: what share of AdamW's steps does MuonClip need for the same held-out loss?

For both, the learning rate is swept at full length over the same grid, extended until the best value is inside it, and
then the momentum (AdamW's first beta) over another grid: in runs of a few hundred steps, K2's 0.95 averages over too
many. AdamW then trains with three seeds. MuonClip trains with the same seeds in shorter runs, each with a complete
schedule of its own, and the share of steps at which it equals AdamW is interpolated.

    python tests/benchmarks/training/bench_muon.py DATA [--steps 400]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch

from bench_train_data import build_store, read_documents, train_tokenizer
from training.data.held_out import held_out_rows
from training.data.loader import Loader, LoaderConfig
from training.data.mixture import Mixture
from training.data.token_store import TokenStore
from training.loop.evaluation import held_out_losses
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.model.presets import nano
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import QKClip, latent_attention_layers
from training.optimizer.schedule import wsd
from training.parallel import Ranks

ROW_LENGTH, ROWS, HELD_OUT = 256, 8, 0.08
SHARES = (0.4, 0.55, 0.7)
LRS, FIRST_MOMENTUM, OTHER_MOMENTA = [2e-3, 4e-3, 8e-3], 0.9, (0.95, 0.85, 0.8, 0.7)

Make = Callable[[Decoder, float, float], torch.optim.Optimizer]


def muon_clip(model: Decoder, lr: float, momentum: float) -> torch.optim.Optimizer:
    clip = QKClip(latent_attention_layers(model))
    config = MuonClipConfig(lr=lr, momentum=momentum)
    return MuonClip(model.named_parameters(), deepseek_rules(model.config), config, clip)


def adamw(model: Decoder, lr: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=lr, betas=(momentum, 0.95), weight_decay=0.1, fused=True)


def final_loss(
    make: Make,
    lr: float,
    momentum: float,
    seed: int,
    n_steps: int,
    config: ModelConfig,
    store: TokenStore,
) -> float:
    """Held-out loss in nats per token after a complete run."""
    model = Decoder(config).initialise(seed).train()
    optimizer, schedule = make(model, lr, momentum), wsd(n_steps, n_warmup=n_steps // 12, decay_share=0.4)
    loader = Loader(
        store, Mixture(), LoaderConfig(row_length=ROW_LENGTH, rows_per_step=ROWS, seed=seed, held_out_share=HELD_OUT)
    )
    weights = torch.full((ROWS, ROW_LENGTH), 1.0 / (ROWS * ROW_LENGTH))
    for step, data in zip(range(n_steps), loader, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = lr * schedule.factor(step)
        batch = data.batch
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.loss(batch.tokens_BS, batch.targets_BS, weights, batch.boundaries, 1e-4)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        for gate in model.gates():
            gate.update_bias(1e-3)
    rows = held_out_rows(store, HELD_OUT, ROW_LENGTH, max_rows=48)
    losses = held_out_losses(model, rows, 8, lambda: torch.autocast("cpu", torch.bfloat16), Ranks())
    return statistics.fmean(losses.values())


def sweep(make: Make, run: Callable[..., float]) -> tuple[float, float, float]:
    """The best learning rate of a grid of factors of two, extended until the best is inside it; the best momentum; and
    the loss with both."""
    losses = {lr: run(make, lr, FIRST_MOMENTUM, 0) for lr in LRS}
    while (lr := min(losses, key=losses.__getitem__)) in (min(losses), max(losses)):
        further = lr / 2 if lr == min(losses) else lr * 2
        losses[further] = run(make, further, FIRST_MOMENTUM, 0)
    print(f"  {make.__name__:9}", "  ".join(f"lr {x:.1e}: {losses[x]:.4f}" for x in sorted(losses)), flush=True)
    by_momentum = {FIRST_MOMENTUM: losses[lr]}
    by_momentum |= {momentum: run(make, lr, momentum, 0) for momentum in OTHER_MOMENTA}
    momentum = min(by_momentum, key=by_momentum.__getitem__)
    line = "  ".join(f"momentum {x}: {by_momentum[x]:.4f}" for x in sorted(by_momentum))
    print(f"  {'':9} {line}", flush=True)
    return lr, momentum, by_momentum[momentum]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--vocab-size", type=int, default=1024)
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        documents = list(read_documents(options.data, "documents/openstax*.jsonl"))
        tokenizer = train_tokenizer(documents, options.vocab_size, Path(folder) / "tokenizer")
        store = build_store(documents, tokenizer, Path(folder) / "tokens")
        config = nano(tokenizer.vocab_size).replace(hidden_size=128, n_layers=3, context_length=ROW_LENGTH)
        n_tokens, n_parameters = store.length_D.sum(), config.n_parameters() / 1e6
        print(f"{len(documents)} documents, {n_tokens} tokens, {n_parameters:.1f} M parameters")

        def run(make: Make, lr: float, momentum: float, seed: int, share: float = 1.0) -> float:
            return final_loss(make, lr, momentum, seed, round(options.steps * share), config, store)

        print(f"held-out loss after {options.steps} steps of {ROWS * ROW_LENGTH} tokens, with seed 0:", flush=True)
        adamw_lr, adamw_momentum, adamw_first = sweep(adamw, run)
        muon_lr, muon_momentum, muon_first = sweep(muon_clip, run)
        adamw_losses = [adamw_first, *(run(adamw, adamw_lr, adamw_momentum, seed) for seed in (1, 2))]
        shares = []
        for seed, target in enumerate(adamw_losses):
            curve = [(share, run(muon_clip, muon_lr, muon_momentum, seed, share)) for share in SHARES]
            curve.append((1.0, muon_first if seed == 0 else run(muon_clip, muon_lr, muon_momentum, seed)))
            shares.append(crossing(curve, target))
            points = "  ".join(f"{share:.2f}: {loss:.4f}" for share, loss in curve)
            print(f"  seed {seed}: AdamW {target:.4f}; MuonClip {points}; equal at {shares[-1]:.2f}", flush=True)
    median, each = statistics.median(shares), ", ".join(f"{share:.2f}" for share in shares)
    print(f"steps to equal held-out loss, MuonClip / AdamW: {median:.2f} (by seed: {each})")
    print(f"target at most 0.75: {'met' if median <= 0.75 else 'missed'}; {time.perf_counter() - began:.0f} s")


def crossing(curve: list[tuple[float, float]], target: float) -> float:
    """The share at which a falling curve meets the target: the smallest if it starts below, inf if it never does."""
    if curve[0][1] <= target:
        return curve[0][0]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if y1 <= target:
            return x0 + (x1 - x0) * (y0 - target) / (y0 - y1)
    return float("inf")


if __name__ == "__main__":
    main()
