"""The report of a training run: loss, attention logits, expert load, and token utility by stream."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from markupsafe import Markup

from flows.report import svg
from flows.report.html import render
from flows.results.display import duration
from training.evaluating.question_scores import SCORES, question_rows
from training.loop.telemetry import read_metrics

SECTIONS = (("training", "Training"), ("stability", "Stability"), ("utility", "Token utility"))
RUN_NAME = "run.json"
# More lines make a chart unreadable.
MAX_LINES = 7
MAX_STREAMS = 20
# Decay of the exponential moving average of the loss.
SMOOTHING = 0.9

Row = dict[str, Any]
Points = list[tuple[float, float]]


def training_report(run: Path, command: str) -> str:
    """The report page of the training run in a local folder.

    Raises:
        FileNotFoundError: the run has not taken a step yet.
    """
    options = json.loads((run / RUN_NAME).read_text("utf-8"))
    rows = list(read_metrics(run))
    steps = [row for row in rows if row["kind"] == "train"]
    if not steps:
        raise FileNotFoundError(f"{run} holds no figures yet: its metrics.jsonl records no step")
    held_out = [row for row in rows if row["kind"] == "held_out"]
    utility = pq.read_table(run / "utility.parquet").to_pylist() if (run / "utility.parquet").exists() else []
    last = steps[-1]
    return render(
        "training.html.j2",
        title=f"Palimpsest · {run.name}",
        sections=SECTIONS,
        command=command,
        name=run.name,
        headline=_headline(options, steps, held_out, utility),
        complete=last["step"] >= options["n_steps"],
        progress=f"step {last['step']:,} of {options['n_steps']:,}",
        made_with=(
            f"preset {options['preset']} · peak learning rate {options['lr']:g}, schedule {options['schedule']} · "
            f"QK-Clip at {options['clip_threshold']:g} · seed {options['seed']}"
        ),
        figures=_figures(steps, held_out),
        loss=_loss(steps, held_out),
        held_out=svg.line_chart(_held_out_lines(held_out), "step", "held-out loss in nats per token", width=svg.WIDE),
        lr=_line(steps, "lr", "learning rate", from_zero=True),
        speed=_line(steps, "tokens_per_s", "tokens per second", from_zero=True),
        grad_norm=_line(steps, "grad_norm", "gradient norm", from_zero=True),
        max_logits=_max_logits(steps, options["clip_threshold"]),
        clipped=svg.line_chart(
            {"share": [(row["step"], 100 * row["share_clipped"]) for row in steps]},
            "step",
            "share of heads clipped (%)",
            filled=True,
        ),
        expert_load=_line(steps, "expert_load", "load relative to the mean", limit=(1.0, "balanced")),
        value=_value(utility),
        repetition=_repetition(utility),
        plan=_plan(run),
        questions=_questions(question_rows(row for row in rows if row["kind"] == "questions")),
        utility=_utility_rows(utility),
    )


def _headline(options: Row, steps: Sequence[Row], held_out: Sequence[Row], utility: Sequence[Row]) -> str:
    n_tokens = sum(row["n_tokens"] for row in steps)
    text = f"{len(steps):,} steps on {n_tokens:,} tokens lowered the loss from {steps[0]['loss']:.2f} to "
    text += f"{_mean_of_last(steps):.2f} nats per token."
    largest = max((row["max_logit"] for row in steps if math.isfinite(row["max_logit"])), default=None)
    if largest is not None:
        n_clipped = sum(row["share_clipped"] > 0 for row in steps)
        text += f" The largest attention logit was {largest:.1f}; " + (
            f"heads were clipped in {n_clipped:,} steps." if n_clipped else "no head was clipped."
        )
    firsts = [row for row in utility if row["value"] is not None and row["repetition"] == 0]
    if firsts:
        best = max(firsts, key=lambda row: row["value"])
        text += f" The next token is worth most from {_stream(best)}."
    taught = [row for row in utility if row.get("taught") is not None]  # not in runs of version 0.1.0
    if taught:
        most = max(taught, key=lambda row: row["taught"])
        text += f" Over the whole run, {_stream(most)} taught most: {most['taught']:.0%} of all."
    return text


def _plan(run: Path) -> Row | None:
    """What the run was to read from each stream; None for a run of version 0.1.0, which did not say."""
    path = run / "token_plan.json"
    if not path.exists():
        return None
    plan = json.loads(path.read_text("utf-8"))
    ordered = sorted(plan["streams"], key=lambda row: -row["share"])
    return {
        "warnings": plan["warnings"],
        "held_out": f"{plan['n_held_out']:,} of {plan['n_documents']:,} texts are held out",
        "streams": [
            {
                "stream": row["stream"],
                "n_tokens": f"{row['n_tokens']:,}",
                "asked": f"{row['asked_share']:.1%}",
                "share": f"{row['share']:.1%}",
                "n_epochs": f"{row['n_epochs']:.2f}",
                "max_epochs": str(row["max_epochs"] or "–"),
            }
            for row in ordered
        ],
    }


def _questions(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The first, last and best value of each score of each group; of shares the highest is best, else the lowest."""
    found = []
    for group in dict.fromkeys(row["group"] for row in rows):
        for score in SCORES:
            values = [(row[score], row["step"]) for row in rows if row["group"] == group and row[score] is not None]
            if not values:
                continue
            is_share = score in ("exact", "first")
            best, step = (max if is_share else min)(values, key=lambda value: value[0])
            first, last, best_text = (
                f"{value:.0%}" if is_share else f"{value:.2f}" for value in (values[0][0], values[-1][0], best)
            )
            found.append(
                {"group": group, "score": score, "first": first, "last": last, "best": f"{best_text} at step {step:,}"}
            )
    return found


def _mean_of_last(steps: Sequence[Row]) -> float:
    last = steps[-max(1, len(steps) // 10) :]
    return sum(row["loss"] for row in last) / len(last)


def _figures(steps: Sequence[Row], held_out: Sequence[Row]) -> list[tuple[str, str, str]]:
    n_tokens = sum(row["n_tokens"] for row in steps)
    seconds = sum(row["n_tokens"] / row["tokens_per_s"] for row in steps if row["tokens_per_s"])
    means = [(row["step"], sum(losses.values()) / len(losses)) for row in held_out if (losses := _losses(row))]
    lowest = min(means, key=lambda mean: mean[1], default=None)
    mean = f"{means[-1][1]:.3f}" if means else "–"
    least = f"mean over streams; minimum {lowest[1]:.3f} at step {lowest[0]:,}" if lowest else "not evaluated"
    return [
        ("loss", f"{_mean_of_last(steps):.3f}", "nats per token, mean over the last 10% of the steps"),
        ("held-out loss", mean, least),
        ("tokens", f"{n_tokens:,}", f"in {duration(seconds)} of training steps"),
        ("speed", f"{n_tokens / seconds:,.0f}" if seconds else "–", "tokens per second"),
    ]


def _loss(steps: Sequence[Row], held_out: Sequence[Row]) -> Markup:
    smoothed: Points = []
    for row in steps:
        before = smoothed[-1][1] if smoothed else row["loss"]
        smoothed.append((row["step"], SMOOTHING * before + (1 - SMOOTHING) * row["loss"]))
    means = [(row["step"], sum(losses.values()) / len(losses)) for row in held_out if (losses := _losses(row))]
    lines = {"per step": [(row["step"], row["loss"]) for row in steps], "smoothed": smoothed, "held out": means}
    return svg.line_chart(lines, "step", "loss in nats per token", width=svg.WIDE)


def _losses(row: Row) -> dict[str, float]:
    """The losses of a held-out row, by stream."""
    return {name: value for name, value in row.items() if name not in ("step", "kind")}


def _held_out_lines(held_out: Sequence[Row]) -> dict[str, Points]:
    """One line for each stream; of too many, those with the highest and lowest final loss."""
    lines: dict[str, Points] = {}
    for row in held_out:
        for name, value in _losses(row).items():
            lines.setdefault(name, []).append((row["step"], value))
    ordered = sorted(lines.items(), key=lambda line: -line[1][-1][1])
    if len(ordered) > MAX_LINES:
        ordered = [*ordered[:3], *ordered[-3:]]
    return dict(ordered)


def _max_logits(steps: Sequence[Row], threshold: float) -> Markup:
    """The largest logit of each layer; of many layers, those with the highest peaks."""
    lines: dict[str, Points] = {}
    for row in steps:
        for layer, heads in enumerate(row["max_logits"]):
            lines.setdefault(f"layer {layer}", []).append((row["step"], max(heads)))
    highest = sorted(lines.items(), key=lambda line: -max(y for _, y in line[1]))[:MAX_LINES]
    return svg.line_chart(
        dict(sorted(highest)),
        "step",
        "largest attention logit",
        limit=(threshold, f"clipped above {threshold:g}"),
    )


def _line(
    steps: Sequence[Row], name: str, words: str, limit: svg.Limit | None = None, from_zero: bool = False
) -> Markup:
    points = [(row["step"], row[name]) for row in steps]
    return svg.line_chart({words: points}, "step", words, limit=limit, from_zero=from_zero)


def _value(utility: Sequence[Row]) -> Markup:
    """The value of each stream on the earliest exposure measured; in a long run first exposures may end too early."""
    earliest: dict[str, Row] = {}
    for row in sorted(utility, key=lambda row: row["repetition"]):
        if row["value"] is not None:
            earliest.setdefault(f"{row['style'] or row['recipe']} · {row['source']}", row)
    ordered = sorted(earliest.items(), key=lambda entry: -entry[1]["value"])
    if len(ordered) > MAX_STREAMS:
        ordered = [*ordered[: MAX_STREAMS // 2], *ordered[-MAX_STREAMS // 2 :]]
    return svg.whiskers(
        [
            (name + (f" ({row['repetition']}× seen)" if row["repetition"] else ""), row["value"], row["value_error"])
            for name, row in ordered
        ],
        "value of a token relative to the run's average",
        (1.0, "average"),
    )


def _repetition(utility: Sequence[Row]) -> Markup:
    """Loss by number of earlier exposures, over all tokens of a recipe."""
    lines: dict[str, Points] = {}
    ordered = sorted(utility, key=lambda row: (row["recipe"], row["repetition"]))
    for (recipe, repetition), group in groupby(ordered, key=lambda row: (row["recipe"], row["repetition"])):
        rows = list(group)
        loss = sum(row["loss"] * row["n_tokens"] for row in rows) / sum(row["n_tokens"] for row in rows)
        lines.setdefault(recipe, []).append((repetition, loss))
    return svg.line_chart(
        dict(list(lines.items())[:MAX_LINES]), "times seen before", "mean loss in nats per token", width=svg.WIDE
    )


def _utility_rows(utility: Sequence[Row]) -> list[dict[str, str]]:
    ordered = sorted(utility, key=lambda row: (-(row["value"] or -math.inf), row["repetition"]))
    return [
        {
            "source": row["source"],
            "recipe": row["recipe"],
            "style": row["style"],
            "repetition": str(row["repetition"]),
            "n_tokens": f"{row['n_tokens']:,}",
            "loss": f"{row['loss']:.3f}",
            "value": _with_error(row, "value"),
            "taught": "–" if row.get("taught") is None else f"{row['taught']:.1%}",
            "learning_speed": _with_error(row, "learning_speed"),
        }
        for row in ordered
    ]


def _stream(row: Mapping[str, Any]) -> str:
    return " · ".join(dict.fromkeys(part for part in (row["recipe"], row["style"], row["source"]) if part))


def _with_error(row: Row, name: str) -> str:
    value, error = row[name], row[f"{name}_error"]
    if value is None:
        return "–"
    return f"{value:.2f}" if error is None else f"{value:.2f} ± {error:.2f}"
