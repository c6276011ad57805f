"""K2's picture (arXiv 2507.20534, figures 2 and 3) at small scale: the same run with plain Muon and with QK-Clip.

Both read the same batches at a learning rate at which plain Muon's attention logits explode, with K2's schedule. OUT
gets a run's folder for each, `clip-logits.svg`, `clip-loss.svg` and `clip-share.svg` (the share of heads clipped, means
of 10 steps). An interrupted benchmark is continued by the same command; finished runs are only drawn.

    python tests/benchmarks/bench_clip.py DATA OUT [--lr 0.08] [--steps 300]
"""

import argparse
import statistics
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from common.small_run import Rows, SmallRun, read_data

from training.optimizer.qk_clip import THRESHOLD
from training.utility.line_chart import line_chart

N_SMOOTHED = 10
# Never clips, but still records the maxima.
NEVER = 1e30
THRESHOLDS = {"plain Muon": NEVER, "MuonClip": THRESHOLD}


def describe(name: str, rows: Rows) -> str:
    losses = [row["loss"] for row in rows]
    over = next((row["step"] for row in rows if row["max_logit"] > THRESHOLD), None)
    clipped = [row["step"] for row in rows if row["share_clipped"] > 0]
    return (
        f"{name:10}  largest logit {max(row['max_logit'] for row in rows):7.1f}, first above τ at step {over}; "
        f"largest rise of the loss {max(b - a for a, b in pairwise(losses)):.2f}; "
        f"loss of the last {N_SMOOTHED} steps {statistics.fmean(losses[-N_SMOOTHED:]):.3f}; "
        f"{len(clipped)} steps clipped, the last of them step {max(clipped, default=None)}"
    )


def smoothed(rows: Rows, key: str) -> list[tuple[float, float]]:
    groups = [rows[i : i + N_SMOOTHED] for i in range(0, len(rows), N_SMOOTHED)]
    return [(group[-1]["step"], statistics.fmean(row[key] for row in group)) for group in groups]


def draw(runs: Mapping[str, Rows], out: Path) -> None:
    logits = {name: [(row["step"], row["max_logit"]) for row in rows] for name, rows in runs.items()}
    losses = {name: smoothed(rows, "loss") for name, rows in runs.items()}
    shares = {"MuonClip": smoothed(runs["MuonClip"], "share_clipped")}
    charts = {
        "logits": line_chart("Largest attention logit", "step", "logit", logits, THRESHOLD),
        "loss": line_chart("Training loss", "step", "nats per token", losses),
        "share": line_chart("Share of heads clipped", "step", "share", shares),
    }
    for name, chart in charts.items():
        (out / f"clip-{name}.svg").write_text(chart)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--lr", type=float, default=0.08)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    data = read_data(options.data, options.out)
    runs = {}
    for name, threshold in THRESHOLDS.items():
        run = SmallRun(n_steps=options.steps, lr=options.lr, schedule="k2", n_warmup=10, threshold=threshold)
        runs[name] = run.metrics(data, options.out / name.replace(" ", "-").lower())
        print(describe(name, runs[name]), flush=True)
    draw(runs, options.out)


if __name__ == "__main__":
    main()
