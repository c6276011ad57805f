"""Sparsity (experts in all / experts per token) against loss at equal training FLOPs and equal active parameters.

Kimi K2 (arXiv 2507.20534, section 2.3) reports that at the same loss a sparsity of 48 needs 1.69, 1.39 and 1.15 times
fewer FLOPs than 8, 16 and 32. Here the model is small: 4 of 8 to 4 of 128 experts. Each point is a complete run with a
schedule of its own, so that a curve is not one run seen at several times. Every run is a line of OUT/sparsity.jsonl as
soon as it ends, and is not repeated; several processes may share the file, each with its own --seeds.

    python tests/benchmarks/training/bench_sparsity.py DATA OUT [--device cuda] [--limit-minutes 6] [--report]

Needs torch, numpy and tokenizers beside `training` and `rephrase.models.precision`. DATA is a folder of JSON Lines with
a `text` or SQuAD's `paragraphs`. Where a budget reads the text more than a few times, sparse models have more to
memorise it with: the number of epochs is in every line.
"""

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from rephrase.models.precision import fast_precision
from training.data.boundaries import Boundaries
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.model.presets import nano
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import QKClip, latent_attention_layers
from training.optimizer.schedule import wsd
from training.utility.line_chart import line_chart

SPARSITIES, N_ACTIVE = (2, 4, 8, 16, 32), 4
ROW_LENGTH, ROWS = 256, 16
N_HELD_OUT_ROWS = 128
RESULTS = "sparsity.jsonl"


def shape(sparsity: int, vocab_size: int) -> ModelConfig:
    """2.0 M active parameters beside the vocabulary, and up to 3 % more in the gates of many experts.

    The sizes of heads are powers of two, which FlexAttention takes on every GPU.
    """
    return nano(vocab_size).replace(
        nope_head_dim=48,
        v_head_dim=64,
        dense_ffn_size=640,
        n_experts=sparsity * N_ACTIVE,
        n_active_experts=N_ACTIVE,
        context_length=ROW_LENGTH,
    )


def read_texts(folder: Path) -> list[str]:
    """The texts of all JSON Lines files, in an order that does not depend on the folder."""
    texts = []
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            texts.append(row.get("text") or "\n\n".join(p["context"] for p in row.get("paragraphs", [])))
    if not any(texts):
        sys.exit(f"no data: {folder} holds no JSON Lines files with a `text`")
    texts = [text for text in texts if text]
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))]


def pack(texts: list[str], vocab_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Training rows, and held-out rows of the last documents, with a tokenizer trained on the others."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=["<end>"], initial_alphabet=alphabet)
    trainer.show_progress = False
    n_held_out = max(1, len(texts) // 12)
    tokenizer.train_from_iterator(texts[:-n_held_out], trainer)
    documents = [np.array([0, *encoded.ids]) for encoded in tokenizer.encode_batch(texts)]
    return _rows(documents[:-n_held_out]), _rows(documents[-n_held_out:])[:N_HELD_OUT_ROWS]


def _rows(documents: list[np.ndarray]) -> torch.Tensor:
    """Rows that share their border token: the last target of one is the first token of the next (N, S + 1)."""
    tokens = torch.from_numpy(np.concatenate(documents))
    return tokens.unfold(0, ROW_LENGTH + 1, ROW_LENGTH)


def row_order(n_rows: int, n_steps: int, seed: int) -> tuple[torch.Tensor, float]:
    """The rows of each step (steps, ROWS), each epoch in another order, and the number of epochs."""
    n_epochs = n_steps * ROWS / n_rows
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(n_rows, generator=generator) for _ in range(int(n_epochs) + 1)])
    return order[: n_steps * ROWS].view(n_steps, ROWS), n_epochs


def precision(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where the device has units for it."""
    return torch.autocast(device.type, torch.bfloat16) if fast_precision() == "bfloat16" else nullcontext()


def run(
    config: ModelConfig, train: torch.Tensor, held_out: torch.Tensor, n_steps: int, lr: float, seed: int
) -> dict[str, Any]:
    """A complete run; its losses in nats per token."""
    device, began = train.device, time.perf_counter()
    model = Decoder(config).initialise(seed).to(device).train()
    optimizer = MuonClip(
        model.named_parameters(),
        deepseek_rules(config),
        MuonClipConfig(lr=lr, momentum=0.85),
        QKClip(latent_attention_layers(model)),
        dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
    )
    schedule = wsd(n_steps, n_warmup=max(1, n_steps // 20), decay_share=0.4)
    order, n_epochs = row_order(len(train), n_steps, seed)
    weights = torch.full((ROWS, ROW_LENGTH), 1.0 / (ROWS * ROW_LENGTH), device=device)
    # Documents of one row see each other: one mask for all steps, where a GPU would build one for each.
    boundaries = Boundaries.whole_rows(ROWS, ROW_LENGTH, device)
    for step, rows in enumerate(order.to(device)):
        for group in optimizer.param_groups:
            group["lr"] = lr * schedule.factor(step)
        batch = train[rows]
        with precision(device):
            loss = model.loss(batch[:, :-1], batch[:, 1:], weights, boundaries, 1e-4)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        for gate in model.gates():
            gate.update_bias(1e-2)
    n_tokens = n_steps * ROWS * ROW_LENGTH
    return {
        "n_steps": n_steps,
        "n_tokens": n_tokens,
        "n_epochs": round(n_epochs, 2),
        "flops": config.flops_per_token(ROW_LENGTH) * n_tokens,
        "n_parameters": config.n_parameters(),
        "n_active_parameters": config.n_active_parameters(),
        "train_loss": float(loss.tokens_BS.mean()),
        "held_out_loss": held_out_loss(model, held_out),
        "seconds": round(time.perf_counter() - began, 1),
    }


@torch.no_grad()
def held_out_loss(model: Decoder, held_out: torch.Tensor) -> float:
    model.eval()
    losses = []
    for rows in held_out.split(ROWS):
        inputs, targets = rows[:, :-1], rows[:, 1:]
        boundaries = Boundaries.whole_rows(len(rows), ROW_LENGTH, rows.device)
        with precision(rows.device):
            losses.append(model.loss(inputs, targets, torch.ones_like(inputs) * 1.0, boundaries).tokens_BS.flatten())
    return float(torch.cat(losses).mean())


def read_results(out: Path) -> list[dict[str, Any]]:
    path = out / RESULTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("sparsity", "n_steps", "lr", "seed", "vocab_size"))


def curves(results: list[dict[str, Any]]) -> dict[int, list[tuple[float, float]]]:
    """By sparsity, (FLOPs, mean held-out loss over seeds at the best learning rate), by FLOPs."""
    losses: defaultdict[tuple[int, int, float], list[dict[str, Any]]] = defaultdict(list)
    for row in results:
        losses[row["sparsity"], row["n_steps"], row["lr"]].append(row)
    best: dict[tuple[int, int], tuple[float, float]] = {}
    for (sparsity, n_steps, _), rows in losses.items():
        loss = statistics.fmean(row["held_out_loss"] for row in rows)
        if (sparsity, n_steps) not in best or loss < best[sparsity, n_steps][1]:
            best[sparsity, n_steps] = (rows[0]["flops"], loss)
    found: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for (sparsity, _), point in sorted(best.items()):
        found[sparsity].append(point)
    return dict(found)


def flops_saved(curve: list[tuple[float, float]], base: list[tuple[float, float]]) -> float | None:
    """How many times fewer FLOPs than `base` a curve needs for the loss that `base` ends with.

    Between points, the loss is linear in the logarithm of the FLOPs. None if the curve does not reach that loss; at
    least the result if its first point is already below.
    """
    flops, target = base[-1]
    xs, losses = np.log([x for x, _ in curve]), np.array([loss for _, loss in curve])
    if losses.min() > target:
        return None
    first = int(np.argmax(losses <= target))
    if first == 0:
        return float(flops / np.exp(xs[0]))
    share = (losses[first - 1] - target) / (losses[first - 1] - losses[first])
    return float(flops / np.exp(xs[first - 1] + share * (xs[first] - xs[first - 1])))


def report(out: Path) -> Iterator[str]:
    """A table by sparsity, best learning rate of each point; writes the plot."""
    results = read_results(out)
    by_sparsity = curves(results)
    if not by_sparsity:
        yield "no results yet"
        return
    every = sorted({row["n_steps"] for row in results})
    yield f"{len(results)} runs; held-out loss, mean over seeds at the best learning rate of each point"
    yield "| sparsity | parameters | " + " | ".join(f"{n:,} steps" for n in every) + " | FLOPs saved against 2 | 8 |"
    yield "|---:|---:|" + "---:|" * (len(every) + 2)
    for sparsity, curve in sorted(by_sparsity.items()):
        rows = [row for row in results if row["sparsity"] == sparsity]
        at = dict(zip(sorted({row["n_steps"] for row in rows}), (loss for _, loss in curve), strict=True))
        saved = [
            flops_saved(curve, by_sparsity[base]) if base in by_sparsity and sparsity > base else None
            for base in (2, 8)
        ]
        yield (
            f"| {sparsity} | {rows[0]['n_parameters'] / 1e6:.1f} M | "
            + " | ".join(f"{at[n]:.4f}" if n in at else "–" for n in every)
            + " | "
            + " | ".join("–" if x is None else f"{x:.2f}×" for x in saved)
            + " |"
        )
    lines = {f"sparsity {s}": [(float(np.log10(x)), loss) for x, loss in c] for s, c in sorted(by_sparsity.items())}
    chart = line_chart("Loss at equal active parameters", "log10 of training FLOPs", "held-out nats per token", lines)
    (out / "sparsity.svg").write_text(chart)
    yield f"plot: {out / 'sparsity.svg'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--limit-minutes", type=float, default=60, help="start no run after this time")
    parser.add_argument("--sparsities", type=int, nargs="+", default=SPARSITIES)
    parser.add_argument("--steps", type=int, nargs="+", default=(100, 200, 400, 800), help="lengths of the runs")
    parser.add_argument("--lrs", type=float, nargs="+", default=(4e-3, 8e-3), help="the best counts at each point")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0,))
    parser.add_argument("--vocab-size", type=int, default=2048)
    parser.add_argument("--report", action="store_true", help="only print the table and write the plot")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.report:
        measure(options)
    for line in report(options.out):
        print(line)


def measure(options: argparse.Namespace) -> None:
    """Take the runs that are not in the results yet, shortest first, until the time is over."""
    began, device = time.monotonic(), torch.device(options.device)
    train, held_out = (rows.to(device) for rows in pack(read_texts(options.data), options.vocab_size))
    print(f"{len(train) * ROW_LENGTH:,} tokens, {len(held_out) * ROW_LENGTH:,} held out, on {device}", flush=True)
    done = {key(row) for row in read_results(options.out)}
    todo = [
        {"sparsity": sparsity, "n_steps": n_steps, "lr": lr, "seed": seed, "vocab_size": options.vocab_size}
        for seed in options.seeds
        for n_steps in sorted(options.steps)
        for lr in options.lrs
        for sparsity in options.sparsities
    ]
    todo = [point for point in todo if key(point) not in done]
    for number, point in enumerate(todo, 1):
        if time.monotonic() - began > 60 * options.limit_minutes:
            print(f"time is over: {len(todo) - number + 1} of {len(todo)} runs are left for another call")
            return
        config = shape(point["sparsity"], options.vocab_size)
        row = {**point, **run(config, train, held_out, point["n_steps"], point["lr"], point["seed"])}
        with (options.out / RESULTS).open("a") as file:
            file.write(json.dumps({**row, "device": str(device), "torch": torch.__version__}) + "\n")
        print(
            f"{number}/{len(todo)}: sparsity {point['sparsity']}, {point['n_steps']} steps, lr {point['lr']:g}, seed "
            f"{point['seed']}: {row['held_out_loss']:.4f} ({row['seconds']} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
