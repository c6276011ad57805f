"""Tables and charts of the results of all seeds; intervals are Student's, over seeds."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from scipy.stats import t

from cycle.rounds import Row, Sizes
from cycle.styles import DECOY, NOISE, STYLES, USEFUL
from result_rows import read_rows
from training.utility.line_chart import line_chart

EQUAL = 1 / len(STYLES)
Seeds = list[dict[str, Row]]


def read_results(path: Path, sizes: Sizes) -> dict[int, dict[str, Row]]:
    """The runs of each seed by name, of those with these sizes; a last line that a kill cut off is left out."""
    found: defaultdict[int, dict[str, Row]] = defaultdict(dict)
    for row in read_rows(path, asdict(sizes)):
        found[row["seed"]][row["run"]] = row
    return dict(found)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean and its 95 % interval, infinite for a single value."""
    mean, n = statistics.fmean(values), len(values)
    half = float(t.ppf(0.975, n - 1)) * statistics.stdev(values) / math.sqrt(n) if n > 1 else math.inf
    return mean, mean - half, mean + half


def shares_by_round(seeds: Seeds, n_rounds: int) -> list[dict[str, list[float]]]:
    """For each round, and for what the last one decided, the share with which each style is drawn, by seed."""
    drawn = [{style: [EQUAL] * len(seeds) for style in STYLES}]
    for number in range(1, n_rounds + 1):
        drawn.append({style: [runs[f"round-{number}"]["next"][style] for runs in seeds] for style in STYLES})
    return drawn


def differences(seeds: Seeds, arm: str, other: str) -> list[float]:
    return [runs[arm]["test_loss"] - runs[other]["test_loss"] for runs in seeds]


def report(results: Mapping[int, Mapping[str, Row]], sizes: Sizes) -> tuple[str, dict[str, str]]:
    """Markdown, and charts by file name, of the seeds of which all runs have ended."""
    rounds = [f"round-{number}" for number in range(1, sizes.n_rounds + 1)]
    seeds = [dict(runs) for _, runs in sorted(results.items()) if {*rounds, "decided", "uniform"} <= set(runs)]
    if not seeds:
        return "No seed is finished.\n", {}
    drawn = shares_by_round(seeds, sizes.n_rounds)
    useful = [[sum(shares[style][i] for style in USEFUL) for i in range(len(seeds))] for shares in drawn]
    heads = [*rounds, "decided"]
    lines = [
        f"# The cycle on planted rewrites: {len(seeds)} seeds, {seeds[0]['decided']['n_tokens']:,} tokens a run",
        "",
        f"Share of each style among the rewrites, mean and 95 % interval over seeds; an equal one is {EQUAL:.1%}.",
        "",
        f"| style | {' | '.join(heads)} | worth in {rounds[-1]} |",
        f"|---|{'---:|' * (len(heads) + 1)}",
        f"| **useful together** | {' | '.join(_percent(shares) for shares in useful)} | |",
    ]
    for style in STYLES:
        worths = [runs[rounds[-1]]["worth"][style] for runs in seeds]
        worth = statistics.fmean(w[0] for w in worths if w) if any(worths) else math.nan
        cells = " | ".join(_percent(shares[style]) for shares in drawn)
        lines.append(f"| {style} | {cells} | {worth:.2f} |")
    lines += ["", "| arm | test loss | useful tokens | decided, less this | lower in |", "|---|---:|---:|---:|---:|"]
    for arm, name in {"decided": "decided", "uniform": "uniform", "round-1": "natural", rounds[-1]: rounds[-1]}.items():
        loss = statistics.fmean(runs[arm]["test_loss"] for runs in seeds)
        read = statistics.fmean(sum(runs[arm]["read"].get(style, 0.0) for style in USEFUL) for runs in seeds)
        mine = differences(seeds, "decided", arm)
        compared = "| " if arm == "decided" else f"{_signed(mine)} | {sum(d < 0 for d in mine)} of {len(mine)}"
        lines.append(f"| {name} | {loss:.4f} | {read:.1%} | {compared} |")
    lines += ["", f"{rounds[-1]}, less natural: {_signed(differences(seeds, rounds[-1], 'round-1'))}"]
    lines += ["", *(f"- {'yes' if holds else 'NO'}: {claim}" for claim, holds in claims(seeds, drawn, useful).items())]
    lines += ["", f"{sum(row['cpu_seconds'] for runs in seeds for row in runs.values()):.0f} s of processor time"]
    charts = {
        "cycle-shares.svg": line_chart(
            f"Share of each planted style, mean of {len(seeds)} seeds",
            f"round ({len(drawn)}: as the last one decided)",
            "share of the rewrites",
            {style: [(i, statistics.fmean(s[style])) for i, s in enumerate(drawn, 1)] for style in STYLES},
            EQUAL,
        )
    }
    return "\n".join(lines) + "\n", charts


def claims(seeds: Seeds, drawn: list[dict[str, list[float]]], useful: list[list[float]]) -> dict[str, bool]:
    """The rule of bench_cycle.py, and what of it holds."""
    equal = len(USEFUL) * EQUAL
    found = {f"the useful styles are drawn more often than {equal:.0%} in the end": interval(useful[-1])[1] > equal}
    for other, name in (("uniform", "uniform"), ("round-1", "natural")):
        high = interval(differences(seeds, "decided", other))[2]
        found[f"the test loss of decided shares is below that of {name} ones"] = high < 0
    for style in (DECOY, NOISE):
        is_best = any(max(STYLES, key=lambda name: drawn[-1][name][i]) == style for i in range(len(seeds)))
        holds = interval(drawn[-1][style])[2] < EQUAL and not is_best
        found[f"{style} is drawn less often than {EQUAL:.1%} in the end, and most often for no seed"] = holds
    return found


def _percent(values: Sequence[float]) -> str:
    mean, _, high = interval(values)
    return f"{mean:.1%} ± {high - mean:.1%}"


def _signed(values: Sequence[float]) -> str:
    mean, low, high = interval(values)
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
