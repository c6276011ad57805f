"""K3's options beside K2's on a small model: per-head Muon, quantile balancing, and K3's cosine against WSD.

Each schedule is run at several learning rates, as the better one at one rate need not be the better one at its own.
The other options are compared at WSD's best, and quantile balancing also with a sign step for so short a run. An
interrupted benchmark is continued by the same command.

    python tests/benchmarks/training/bench_k3_options.py DATA OUT [--steps 150] [--seeds 1]
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

from small_run import Data, SmallRun, read_data
from training.loop.telemetry import read_metrics

LRS = (4e-3, 8e-3)
FIRST_STEPS = 30


def held_out_loss(name: str, run: SmallRun, data: Data, out: Path, n_seeds: int) -> float:
    """Train and print a line; the mean over seeds of the held-out loss."""
    losses, busiest, early, logits = [], [], [], []
    for seed in range(n_seeds):
        folder = out / f"{name.replace(' ', '-')}-{run.lr}-{seed}"
        rows = replace(run, seed=seed).metrics(data, folder)
        (held_out,) = [row for row in read_metrics(folder, "held_out") if row["step"] == run.n_steps]
        losses.append(statistics.fmean(value for key, value in held_out.items() if key not in ("step", "kind")))
        early.append(statistics.fmean(row["expert_load"] for row in rows[:FIRST_STEPS]))
        busiest.append(statistics.fmean(row["expert_load"] for row in rows[FIRST_STEPS:]))
        logits.append(max(row["max_logit"] for row in rows))
    print(
        f"{name:20} lr {run.lr:.0e}: held-out loss {', '.join(f'{loss:.4f}' for loss in losses)}; busiest expert "
        f"{statistics.fmean(early):.2f} × the mean in the first {FIRST_STEPS} steps, {statistics.fmean(busiest):.2f} "
        f"after; largest logit {statistics.fmean(logits):.0f}",
        flush=True,
    )
    return statistics.fmean(losses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    data = read_data(options.data, options.out)

    def loss(name: str, run: SmallRun) -> float:
        return held_out_loss(name, run, data, options.out, options.seeds)

    wsd = {lr: SmallRun(n_steps=options.steps, lr=lr, schedule="wsd", n_rows=4) for lr in LRS}
    losses = {lr: loss("WSD", run) for lr, run in wsd.items()}
    best = wsd[min(losses, key=losses.__getitem__)]
    loss("quantile balancing", replace(best, quantile_balancing=True))
    loss("tenfold sign step", replace(best, bias_speed=1e-2))
    loss("per-head Muon", replace(best, split_heads=True))
    for run in wsd.values():
        loss("K3's cosine", replace(run, schedule="k3"))


if __name__ == "__main__":
    main()
