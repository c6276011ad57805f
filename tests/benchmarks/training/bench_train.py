"""Training speed, with all comparisons in one run: medians over interleaved steps.

1. tokens/s against transformers' `DeepseekV3ForCausalLM` of the same configuration with AdamW, both in one precision
2. the optimizer's share of the step, MuonClip against AdamW
3. tracking attention maxima on and off; token utility on and off
4. 8, 16, 32, 64 experts with the same number active

    python tests/benchmarks/training/bench_train.py [--preset nano] [--rows 4] [--length 1024] [--threads 1 2]
        [--precision float32]

With several numbers of threads, the first comparison is made with each, and the others with the last.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import get_args

import torch
from torch import Tensor

from rephrase.models.precision import fast_precision
from training.data.batch import Batch
from training.data.boundaries import Boundaries
from training.data.texts import Stream
from training.huggingface import to_hf
from training.loop.trainer import Precision
from training.model.decoder import Decoder
from training.model.presets import PRESETS, preset
from training.optimizer.muon_clip import MuonClip
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import QKClip, latent_attention_layers
from training.parallel import Ranks
from training.utility.tracker import UtilityConfig, UtilityTracker

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Step = Callable[[], None]
precision = fast_precision()


def interleave(steps: dict[str, Step], n_rounds: int) -> dict[str, float]:
    """Median seconds of each, after one warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(n_rounds + 1):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()
            if round_:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def autocast() -> AbstractContextManager[None]:
    if precision == "float32":
        return nullcontext()
    return torch.autocast(DEVICE.type, getattr(torch, precision))


def gradients(model: Decoder, tokens: Tensor, targets: Tensor) -> None:
    """Forward and backward of our decoder over whole rows."""
    weights = torch.full(tokens.shape, 1.0 / tokens.numel(), device=DEVICE)
    with autocast():
        loss = model.loss(tokens, targets, weights, Boundaries.whole_rows(*tokens.shape, device=DEVICE), 1e-4)
    loss.total.backward()


def muon_clip(model: Decoder) -> MuonClip:
    clip = QKClip(latent_attention_layers(model))
    dtype = getattr(torch, precision)
    return MuonClip(model.named_parameters(), deepseek_rules(model.config), clip=clip, dtype=dtype)


def adamw(model: torch.nn.Module) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=2e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)


def against_transformers(model: Decoder, tokens: Tensor, targets: Tensor, n_rounds: int) -> None:
    theirs = to_hf(model).train().to(DEVICE)
    ours_adamw = Decoder(model.config).initialise(0).train().to(DEVICE)
    optimizers = {"theirs": adamw(theirs), "adamw": adamw(ours_adamw), "muon": muon_clip(model)}

    def step_theirs() -> None:
        with autocast():
            loss = theirs(input_ids=tokens, labels=tokens).loss
        loss.backward()
        finish("theirs")

    def step_ours(which: Decoder, optimizer: str) -> Step:
        def step() -> None:
            gradients(which, tokens, targets)
            finish(optimizer)

        return step

    def finish(name: str) -> None:
        began = time.perf_counter()
        optimizers[name].step()
        optimizers[name].zero_grad()
        in_optimizer.setdefault(name, []).append(time.perf_counter() - began)

    in_optimizer: dict[str, list[float]] = {}
    names = {"theirs": "transformers, AdamW", "adamw": "ours, AdamW", "muon": "ours, MuonClip"}
    steps = {"theirs": step_theirs, "adamw": step_ours(ours_adamw, "adamw"), "muon": step_ours(model, "muon")}
    times = interleave(steps, n_rounds)
    for name, seconds in times.items():
        share = statistics.median(in_optimizer[name][1:]) / seconds
        print(f"  {names[name]:20} {tokens.numel() / seconds:7.0f} tok/s   optimizer {share:5.1%} of the step")
    print(f"  ratio, ours with AdamW / transformers:    {times['theirs'] / times['adamw']:.2f}")
    print(f"  ratio, ours with MuonClip / transformers: {times['theirs'] / times['muon']:.2f}   (target 1.5)")


def tracking(model: Decoder, tokens: Tensor, targets: Tensor, n_rounds: int) -> None:
    def with_tracking(enabled: bool) -> Step:
        def step() -> None:
            for kept in model.logit_maxima():
                kept.enabled = enabled
            gradients(model, tokens, targets)
            model.zero_grad()

        return step

    times = interleave({"off": with_tracking(False), "on": with_tracking(True)}, n_rounds)
    for kept in model.logit_maxima():
        kept.enabled = True
    print(f"  maxima: {times['on'] / times['off'] - 1:+.1%} of forward and backward   (target under 5 %)")


def utility(model: Decoder, tokens: Tensor, targets: Tensor, n_rounds: int) -> None:
    zeros = torch.zeros_like(tokens, dtype=torch.int32)
    batch = Batch(tokens, targets, zeros, zeros, zeros, tokens)
    config = UtilityConfig()
    tracker = UtilityTracker(model, [Stream("a", "original", "original")], {0: batch}, config)

    def with_utility(step_number: int | None) -> Step:
        def step() -> None:
            if step_number is not None:
                tracker.begin_step(step_number, autocast)
            weights = torch.full(tokens.shape, 1.0 / tokens.numel(), device=DEVICE)
            with nullcontext() if step_number is None else tracker.forward_pass(), autocast():
                loss = model.loss(tokens, targets, weights, batch.boundaries, 1e-4)
            loss.total.backward()
            if step_number is not None:
                tracker.add_rows(batch, loss.tokens_BS, 1.0)
                tracker.end_step(Ranks())
            model.zero_grad()

        return step

    times = interleave({"off": with_utility(None), "ledger": with_utility(1), "aligned": with_utility(0)}, n_rounds)
    ledger, aligned = times["ledger"] / times["off"] - 1, times["aligned"] / times["off"] - 1
    total = ledger + (aligned - ledger) / config.align_every
    print(
        f"  utility: {ledger:+.1%} each step, {aligned:+.1%} every {config.align_every} steps: {total:+.1%} overall",
        end="",
    )
    print("   (target under 3 %)")


def experts(name: str, vocab_size: int, tokens: Tensor, targets: Tensor, n_rounds: int) -> None:
    steps: dict[str, Step] = {}
    for n_experts in (8, 16, 32, 64):
        model = Decoder(preset(name, vocab_size).replace(n_experts=n_experts)).initialise(0).train().to(DEVICE)

        def step(model: Decoder = model) -> None:
            gradients(model, tokens, targets)
            model.zero_grad()

        steps[str(n_experts)] = step
    times = interleave(steps, n_rounds)
    print("  " + "   ".join(f"{n} experts {seconds / times['8']:.2f}" for n, seconds in times.items()))


def main() -> None:
    global precision
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="nano", choices=PRESETS)
    parser.add_argument("--vocab-size", type=int)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--precision", choices=get_args(Precision)[:2], default=precision)
    options = parser.parse_args()
    precision = options.precision
    config = preset(options.preset, options.vocab_size)
    tokens, targets = torch.randint(0, config.vocab_size, (2, options.rows, options.length), device=DEVICE)
    model = Decoder(config).initialise(0).train().to(DEVICE)
    print(f"{options.preset}, {config.n_parameters() / 1e6:.1f} M parameters, vocabulary {config.vocab_size}, ", end="")
    print(f"{options.rows} rows of {options.length}, {DEVICE.type}, {precision}, {options.rounds} rounds")
    for n_threads in options.threads:
        torch.set_num_threads(n_threads)
        print(f"{n_threads} threads:" if n_threads > 1 else "1 thread:")
        against_transformers(model, tokens, targets, options.rounds)
    tracking(model, tokens, targets, 2 * options.rounds)
    utility(model, tokens, targets, options.rounds)
    print("forward and backward relative to 8 experts, the same number active:")
    experts(options.preset, config.vocab_size, tokens, targets, options.rounds)


if __name__ == "__main__":
    main()
