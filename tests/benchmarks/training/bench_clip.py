"""K2's picture (arXiv 2507.20534, figures 2 and 3) at small scale: the same run with plain Muon and with QK-Clip.

Both read the same batches at a learning rate at which plain Muon's attention logits explode, with K2's schedule; a
third run has the clip and a lower rate. OUT gets a folder for each, `clip-logits.svg`, `clip-loss.svg` and
`clip-share.svg` (the share of heads clipped; both means of 10 steps). An interrupted benchmark is continued by the same
command; finished runs are only drawn.

    python tests/benchmarks/training/bench_clip.py DATA OUT [--lr 0.08] [--lower-lr 0.03] [--steps 300]
"""

import argparse
import statistics
from itertools import pairwise
from pathlib import Path

from small_run import Rows, SmallRun, read_data
from training.optimizer.qk_clip import THRESHOLD
from training.utility.line_chart import line_chart

N_SMOOTHED = 10
# Never clips, but still records the maxima.
NEVER = 1e30


def describe(rows: Rows) -> str:
    losses = [row["loss"] for row in rows]
    over = next((row["step"] for row in rows if row["max_logit"] > THRESHOLD), None)
    shares = [share for _, share in smoothed(rows, "share_clipped")]
    return (
        f"largest logit {max(row['max_logit'] for row in rows):.0f}, first above τ at step {over}; "
        f"largest rise of the loss after it {max(b - a for a, b in pairwise(losses[over:])):.2f}; "
        f"loss of the last {N_SMOOTHED} steps {statistics.fmean(losses[-N_SMOOTHED:]):.3f}; "
        f"share of heads clipped: at most {max(shares):.3f}, at the end {shares[-1]:.3f}"
    )


def smoothed(rows: Rows, key: str) -> list[tuple[float, float]]:
    groups = [rows[i : i + N_SMOOTHED] for i in range(0, len(rows), N_SMOOTHED)]
    return [(group[-1]["step"], statistics.fmean(row[key] for row in group)) for group in groups]


def draw(plain: Rows, clipped: Rows, lower: Rows, rates: tuple[float, float], out: Path) -> None:
    both = {"plain Muon": plain, "MuonClip": clipped}
    logits = {name: [(row["step"], row["max_logit"]) for row in rows] for name, rows in both.items()}
    losses = {name: smoothed(rows, "loss") for name, rows in both.items()}
    shares = {
        f"rate {rate:g}": smoothed(rows, "share_clipped") for rate, rows in zip(rates, (clipped, lower), strict=True)
    }
    charts = {
        "logits": line_chart(f"Largest attention logit at rate {rates[0]:g}", "step", "logit", logits, THRESHOLD),
        "loss": line_chart(f"Training loss at rate {rates[0]:g}", "step", "nats per token", losses),
        "share": line_chart("Share of heads clipped", "step", "share", shares),
    }
    for name, chart in charts.items():
        (out / f"clip-{name}.svg").write_text(chart)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--lr", type=float, default=0.08)
    parser.add_argument("--lower-lr", type=float, default=0.03)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    data = read_data(options.data, options.out)

    def train(name: str, lr: float, threshold: float = THRESHOLD) -> Rows:
        run = SmallRun(n_steps=options.steps, lr=lr, schedule="k2", n_warmup=10, threshold=threshold)
        rows = run.metrics(data, options.out / f"{name}-{lr:g}")
        print(f"{name:5} at rate {lr:g}: {describe(rows)}", flush=True)
        return rows

    plain, clipped = train("plain", options.lr, NEVER), train("clip", options.lr)
    draw(plain, clipped, train("clip", options.lower_lr), (options.lr, options.lower_lr), options.out)


if __name__ == "__main__":
    main()
