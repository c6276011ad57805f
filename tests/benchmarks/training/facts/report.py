"""Tables and charts of the results of all runs.

Scores of an arm are a matrix over seeds and people. Intervals are crossed: people and seeds are drawn with replacement,
each for itself, so that they hold for other people and for other seeds. Differences of two arms are of the same people
and seeds.

Shapes: S seeds, P people, R resamples.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from facts.arms import ARMS, TUNING_SEED
from facts.people import ATTRIBUTES
from facts.sizes import Sizes
from facts.world import N_VARIANTS, WRONG_SHARES, World
from result_rows import read_rows
from training.utility.line_chart import line_chart

Row = dict[str, Any]
N_RESAMPLES = 4000
PAIRS = (
    ("one", "raw"),
    ("K=16", "one"),
    ("K=16", "raw"),
    ("oracle", "K=16"),
    ("synonym", "raw"),
    ("K=16", "synonym"),
    ("K=4", "one"),
    ("mixed 70/30", "K=16"),
    ("stitched", "K=16"),
    ("same window", "K=16"),
    ("same window, no mask", "K=16"),
    *(("K=16", pool) for pool in WRONG_SHARES),
    *((f"{pool} gated", pool) for pool in WRONG_SHARES),
    ("wrong_20 verified", "wrong_20"),
    ("wrong_20 oracle gate", "wrong_20"),
    ("real", "K=2"),
    ("real", "one"),
    ("real verified", "real"),
    ("real oracle gate", "real"),
)
CLAIM = ("raw", "one", "K=16")


def read_results(path: Path, sizes: Sizes) -> list[Row]:
    """The rows of a results file of runs with these sizes; a last line that a kill cut off is left out."""
    return list(read_rows(path, asdict(sizes)))


def best_setting(rows: Iterable[Row]) -> tuple[float, float] | None:
    """Learning rate and weight decay of the grid with the most exact answers.

    Not those with the lowest loss of the right answers: that is lowest where a model has learnt too little to be sure.
    """
    grid = [row for row in rows if row["seed"] == TUNING_SEED and row["arm"] == "raw"]
    if not grid:
        return None
    best = max(grid, key=lambda row: _mean(row["exact"]["test"]))
    return best["lr"], best["weight_decay"]


def report(rows: Sequence[Row], world: World) -> tuple[str, dict[str, str]]:
    """The report as Markdown, and charts as SVG by file name."""
    setting = best_setting(rows)
    grid = [row for row in rows if row["seed"] == TUNING_SEED]
    grid.sort(key=lambda row: (row["arm"] != "raw", row["arm"], row["lr"], row["weight_decay"]))
    finals = [r for r in rows if r["seed"] != TUNING_SEED and (r["lr"], r["weight_decay"]) == setting]
    parts = ["# Facts laboratory", _head(rows, world)]
    if grid:
        parts += ["## Tuning raw × E, and the pilot", _grid(grid)]
    arms = {
        (architecture, name): chosen
        for architecture in ("dense", "moe")
        for name in ARMS
        if (chosen := [r for r in finals if (r["architecture"], r["arm"]) == (architecture, name)])
    }
    if not arms:
        return "\n\n".join([*parts, "No final run yet."]) + "\n", {}
    parts += ["## Arms", _arms(arms, world), "## By attribute", _attributes(arms), "## Differences", _differences(arms)]
    parts += ["## Claim", _claim(arms), "## Every run", _runs(finals)]
    return "\n\n".join(parts) + "\n", _charts(arms, world)


def interval(values_SP: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """The mean and its 95 % interval over people and seeds."""
    rng = np.random.default_rng(seed)
    n_seeds, n_people = values_SP.shape
    seeds_RS = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), N_RESAMPLES) / n_seeds
    people_RP = rng.multinomial(n_people, np.full(n_people, 1 / n_people), N_RESAMPLES) / n_people
    means_R = np.einsum("rs,sp,rp->r", seeds_RS, values_SP, people_RP, optimize=True)
    low, high = np.percentile(means_R, [2.5, 97.5])
    return float(values_SP.mean()), float(low), float(high)


def exact_matrix(rows: Sequence[Row], attributes: Sequence[str] = ATTRIBUTES, split: str = "test") -> np.ndarray:
    """(S, P): the share of the attributes answered exactly."""
    return np.array([np.mean([row["exact"][split][name] for name in attributes], axis=0) for row in rows])


def _head(rows: Sequence[Row], world: World) -> str:
    s = world.sizes
    tokens = world.n_rows * s.row_length
    devices = ", ".join(sorted({row["device"] for row in rows})) or "no run yet"
    counts = {(r["n_parameters"], r["n_active_parameters"], r["architecture"]) for r in rows}
    models = "; ".join(f"{name}: {n / 1e6:.2f} M parameters, {a / 1e6:.2f} M active" for n, a, name in sorted(counts))
    return (
        f"{s.n_people} people with {len(ATTRIBUTES)} attributes, each read about {s.n_exposures} times (E) in a run of "
        f"{tokens:,} tokens; rewrites are {s.fact_share:.0%} of them or less, the rest is background. {models}. "
        f"All texts about people are made by templates, but those of the arms `real`. Run on: {devices}."
    )


def _grid(grid: Sequence[Row]) -> str:
    header = (
        "arm",
        "learning rate",
        "weight decay",
        "exact, test",
        "tuned on",
        "loss of answers",
        "background loss",
        "s",
    )
    lines = [
        (
            row["arm"],
            f"{row['lr']:g}",
            f"{row['weight_decay']:g}",
            f"{_mean(row['exact']['test']):.1%}",
            f"{_mean(row['exact']['tune']):.1%}",
            f"{_mean(row['tuned']['loss']):.3f}",
            f"{row['background_loss']:.3f}",
            f"{row['seconds']:.0f}",
        )
        for row in grid
    ]
    best = best_setting(grid)
    assert best is not None
    return f"{_table(header, lines)}\n\nBest: learning rate {best[0]:g}, weight decay {best[1]:g}; all arms use it."


def _arms(arms: Mapping[tuple[str, str], list[Row]], world: World) -> str:
    header = ("arm", "seeds", "exact, 95 % interval", "reversed", "controls", "tuned on", "loss untuned, tuned")
    header += ("first of 8 untuned, tuned", "planted value", "background loss", "tokens generated per person")
    lines = []
    for (architecture, name), rows in arms.items():
        mean, low, high = interval(exact_matrix(rows))
        planted = [row["planted"] for row in rows if row["planted"] is not None]
        lines.append(
            (
                _name(architecture, name),
                str(len(rows)),
                f"{mean:.1%} ({low:.1%} to {high:.1%})",
                f"{exact_matrix(rows, ['reversed']).mean():.1%}",
                f"{exact_matrix(rows, split='control').mean():.1%}",
                f"{exact_matrix(rows, split='tune').mean():.1%}",
                ", ".join(
                    f"{np.mean([_mean(row[when]['loss']) for row in rows]):.2f}" for when in ("untuned", "tuned")
                ),
                ", ".join(
                    f"{np.mean([_mean(row[when]['first']) for row in rows]):.0%}" for when in ("untuned", "tuned")
                ),
                f"{np.mean(planted):.1%}" if planted else "",
                f"{np.mean([row['background_loss'] for row in rows]):.3f}",
                f"{generated_tokens(name, world):,.0f}",
            )
        )
    return _table(header, lines)


def _before_and_after(rows: Sequence[Row], score: str, form: str) -> str:
    means = (np.mean([_mean(row[when][score]) for row in rows]) for when in ("untuned", "tuned"))
    return ", ".join(format(mean, form) for mean in means)


def generated_tokens(name: str, world: World) -> float:
    """What the rewrites of an arm cost: generated tokens per person."""
    arm = ARMS[name]
    if arm.pool in (None, "raw") or arm.pool not in world.pools:
        return 0.0
    pool = world.pools[arm.pool]
    return min(arm.n_variants, len(pool.ends) / world.sizes.n_people) * pool.mean_length


def _attributes(arms: Mapping[tuple[str, str], list[Row]]) -> str:
    header = ("arm", *(name.replace("_", " ") for name in ATTRIBUTES))
    lines = [
        (_name(*key), *(f"{exact_matrix(rows, [name]).mean():.0%}" for name in ATTRIBUTES))
        for key, rows in arms.items()
    ]
    return _table(header, lines)


def _differences(arms: Mapping[tuple[str, str], list[Row]]) -> str:
    lines = []
    for architecture in ("dense", "moe"):
        for more, less in PAIRS:
            first, second = ({r["seed"]: r for r in arms.get((architecture, name), [])} for name in (more, less))
            seeds = sorted(first.keys() & second.keys())
            if not seeds:
                continue
            a, b = (exact_matrix([rows[seed] for seed in seeds]) for rows in (first, second))
            mean, low, high = interval(a - b)
            name = f"{_name(architecture, more)} − {less}"
            lines.append((name, str(len(seeds)), f"{100 * mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"))
    return _table(("same people and seeds", "seeds", "exact answers, percentage points"), lines)


def _claim(arms: Mapping[tuple[str, str], list[Row]]) -> str:
    """Whether raw × E < one rewrite × E < 16 rewrites, with disjoint intervals."""
    missing = [name for name in CLAIM if ("dense", name) not in arms]
    if missing:
        return f"Not decided: no final run of {', '.join(missing)}."
    found = [interval(exact_matrix(arms["dense", name])) for name in CLAIM]
    said = " < ".join(
        f"{name} {mean:.1%} ({low:.1%} to {high:.1%})" for name, (mean, low, high) in zip(CLAIM, found, strict=True)
    )
    steps = [
        f"{less} below {more}: {'shown' if below[2] < above[1] else 'not shown'}"
        for (less, below), (more, above) in zip(
            zip(CLAIM, found, strict=True), list(zip(CLAIM, found, strict=True))[1:], strict=False
        )
    ]
    return f"{said}: {'; '.join(steps)} (95 % intervals are disjoint or not)."


def _runs(finals: Sequence[Row]) -> str:
    header = ("run", "exact", "reversed", "controls", "background loss", "about people", "s")
    lines = [
        (
            row["key"],
            f"{exact_matrix([row]).mean():.1%}",
            f"{exact_matrix([row], ['reversed']).mean():.1%}",
            f"{exact_matrix([row], split='control').mean():.1%}",
            f"{row['background_loss']:.3f}",
            f"{row['share_about_people']:.1%}",
            f"{row['seconds']:.0f}",
        )
        for row in finals
    ]
    return _table(header, lines)


def _charts(arms: Mapping[tuple[str, str], list[Row]], world: World) -> dict[str, str]:
    """Exact answers by the number of rewrites, and by the share of wrong facts in them."""
    charts = {}
    ks = {"one": 1, "K=2": 2, "K=4": 4, "K=8": 8, "K=16": 16, "oracle": world.sizes.n_exposures}
    lines: dict[str, list[tuple[float, float]]] = {}
    for architecture in ("dense", "moe"):
        names = [name for name in ks if (architecture, name) in arms]
        found = [(float(np.log2(ks[name])), interval(exact_matrix(arms[architecture, name]))) for name in names]
        if len(found) > 1:
            lines[architecture] = [(x, 100 * mean) for x, (mean, _, _) in found]
            lines[f"{architecture}, 95 % low"] = [(x, 100 * low) for x, (_, low, _) in found]
            lines[f"{architecture}, 95 % high"] = [(x, 100 * high) for x, (_, _, high) in found]
    if lines:
        limit = 100 * float(exact_matrix(arms["dense", "raw"]).mean()) if ("dense", "raw") in arms else None
        title = "Exact answers; dotted: the raw text, read as often"
        charts["rewrites.svg"] = line_chart(title, "log2 of the rewrites per person", "exact, %", lines, limit)
    price = {}
    for label, ending in (("as written", ""), ("after the gate", " gated")):
        points = [(0.0, 100 * float(exact_matrix(arms["dense", "K=16"]).mean()))] if ("dense", "K=16") in arms else []
        points += [
            (100 * share, 100 * float(exact_matrix(arms["dense", pool + ending]).mean()))
            for pool, share in WRONG_SHARES.items()
            if ("dense", pool + ending) in arms
        ]
        if len(points) > 1:
            price[label] = points
    if price:
        title = f"The price of wrong facts, {N_VARIANTS} rewrites"
        charts["infidelity.svg"] = line_chart(title, "wrong facts, %", "exact, %", price)
    return charts


def _mean(by_attribute: Mapping[str, Sequence[float]]) -> float:
    return float(np.mean([by_attribute[name] for name in ATTRIBUTES]))


def _name(architecture: str, arm: str) -> str:
    return arm if architecture == "dense" else f"{arm} ({architecture})"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
