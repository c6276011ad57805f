"""Reports of a run's ledger: a Markdown table, a Parquet file, loss curves, and a mixture for the next run."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rephrase.markdown import inline
from rephrase.storage.storage import Storage
from training.data.texts import ORIGINAL, Stream
from training.optimizer.schedule import Schedule
from training.utility.learning_speed import learning_speed
from training.utility.ledger import N_REPETITIONS, UtilityLedger
from training.utility.line_chart import line_chart
from training.utility.recommend import recommend_mixture
from training.utility.repetition import max_useful_epochs
from training.utility.value import TokenValues, token_values
from training.utility.worth import ACROSS_RUNS, DISCOUNT_KEY

SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("recipe", pa.string()),
        ("style", pa.string()),
        ("repetition", pa.int32()),  # 0 is the first exposure; the last also covers all later ones
        ("n_tokens", pa.int64()),
        ("loss", pa.float64()),  # mean over the run, nats per token
        ("last_loss", pa.float64()),  # mean over the last time bin in which the stream was seen
        ("value", pa.float64()),  # alignment of the next token relative to the average token; null if not measured
        ("value_error", pa.float64()),  # standard error within the run
        ("taught", pa.float64()),  # share of all that the run taught about held-out text; null if not measured
        ("learning_speed", pa.float64()),  # nats per million tokens, at full learning rate; only for first exposures
        ("learning_speed_error", pa.float64()),
    ]
)
MILLION = 1e6
# Time bins whose mean learning rate is at least this share of the largest count as being at full rate.
FULL_RATE = 0.9


@dataclass(frozen=True, slots=True)
class RepeatOrRephrase:
    """For one recipe of one source: the value of another epoch against that of another rephrasing."""

    source: str
    recipe: str
    epoch_value: float
    rephrasing_value: float
    confidence: float

    @property
    def recommendation(self) -> str:
        return "another rephrasing" if self.rephrasing_value > self.epoch_value else "another epoch"


def mean_rates(ledger: UtilityLedger, schedule: Schedule, first_step: int = 0) -> NDArray[np.float64]:
    """The mean multiple of the peak learning rate in each time bin (T,); 0 in those that have not begun.

    `first_step` is the step that the run began at.
    """
    n_bins = ledger.tokens_KRT.shape[2]
    factors = np.zeros(ledger.bin_steps * n_bins)
    factors[: ledger.n_steps] = [schedule.factor(first_step + step) for step in range(ledger.n_steps)]
    n_steps_T = np.clip(ledger.n_steps - ledger.bin_steps * np.arange(n_bins), 1, ledger.bin_steps)
    return factors.reshape(n_bins, ledger.bin_steps).sum(axis=1) / n_steps_T


def utility_rows(
    ledger: UtilityLedger, streams: Sequence[Stream], measured: TokenValues, rate_T: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """A row of `SCHEMA` per stream and repetition that was trained on."""
    is_full_T = rate_T >= FULL_RATE * rate_T.max()
    tokens, loss = ledger.tokens_KRT.numpy(), ledger.loss_KRT.numpy()
    at_T = ledger.bin_middles().numpy()
    rows = []
    for k, stream in enumerate(streams):
        for r in range(N_REPETITIONS):
            seen = np.flatnonzero(tokens[k, r] > 0)
            if not len(seen):
                continue
            loss_T = loss[k, r, seen] / tokens[k, r, seen]
            full = is_full_T[seen]
            speed = learning_speed(at_T[seen][full], loss_T[full], tokens[k, r, seen][full]) if r == 0 else None
            rows.append(
                {
                    **stream._asdict(),
                    "repetition": r,
                    "n_tokens": int(tokens[k, r].sum()),
                    "loss": float(loss[k, r].sum() / tokens[k, r].sum()),
                    "last_loss": float(loss_T[-1]),
                    "value": _number(measured.value_KR[k, r]),
                    "value_error": _number(measured.error_KR[k, r]),
                    "taught": _number(measured.taught_KR[k, r]),
                    "learning_speed": _number(speed[0] * MILLION) if speed else None,
                    "learning_speed_error": _number(speed[1] * MILLION) if speed else None,
                }
            )
    return rows


def repeat_or_rephrase(
    ledger: UtilityLedger, streams: Sequence[Stream], measured: TokenValues
) -> list[RepeatOrRephrase]:
    """For each source and recipe: the value of its next epoch against that of a fresh rephrasing.

    A fresh rephrasing is assumed to be worth the recent value of the recipe's first exposures, or where there were none
    any more, that of its earliest repetitions divided by their discount; the next epoch, that value times the discount
    of the next repetition. The confidence is that of the sign of the difference, with normal errors across runs. A
    value without an error was measured once and does not count.
    """
    tokens_KR = ledger.tokens_KRT.sum(dim=2).numpy()
    found = []
    for source, recipe in sorted({(s.source, s.recipe) for s in streams if s.recipe != ORIGINAL}):
        members = [k for k, s in enumerate(streams) if (s.source, s.recipe) == (source, recipe)]
        earliest_K = np.isfinite(measured.error_KR[members]).argmax(axis=1)
        worth_K = np.array([measured.discount.worth(int(r)) for r in earliest_K])
        first_K, error_K = (of[members, earliest_K] / worth_K for of in (measured.value_KR, measured.error_KR))
        weights = tokens_KR[members, earliest_K] * np.isfinite(error_K)
        if not weights.sum():
            continue
        weights = weights / weights.sum()
        fresh = float(weights @ np.nan_to_num(first_K))
        fresh_error = float(np.sqrt(weights**2 @ np.nan_to_num(error_K) ** 2))
        next_repetition = 1 + int(np.flatnonzero(tokens_KR[members].sum(axis=0)).max())
        d = measured.discount
        lost = 1 - d.worth(next_repetition)
        lost_error = abs(math.exp(-next_repetition / d.high) - math.exp(-next_repetition / d.low)) / 2
        difference, error = fresh * lost, ACROSS_RUNS * math.hypot(fresh_error * lost, fresh * lost_error)
        confidence = 0.5 * (1 + math.erf(abs(difference) / (error * math.sqrt(2)))) if error else 1.0
        found.append(RepeatOrRephrase(source, recipe, fresh * (1 - lost), fresh, confidence))
    return found


def write_report(
    run: Path, ledger: UtilityLedger, streams: Sequence[Stream], schedule: Schedule, first_step: int = 0
) -> None:
    """Write `utility.parquet`, `utility.md`, `utility.svg` and `mixture.json` to the run's folder.

    Args:
        first_step: the step of the schedule that the run began at: that of another run's checkpoint, or 0.
    """
    rate_T = mean_rates(ledger, schedule, first_step)
    measured = token_values(ledger, rate_T)
    rows = utility_rows(ledger, streams, measured, rate_T)
    sink = pa.BufferOutputStream()
    schema = SCHEMA.with_metadata({DISCOUNT_KEY: json.dumps(asdict(measured.discount))})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    storage = Storage(run)
    storage.write("utility.parquet", bytes(sink.getvalue()))
    tokens_K = ledger.tokens_KRT.sum(dim=(1, 2)).numpy()
    share_K = tokens_K / max(1.0, tokens_K.sum())
    recommended = recommend_mixture(streams, share_K, measured.current_K, measured.discount)
    storage.write_json("mixture.json", recommended.to_json())
    storage.write("utility.md", markdown(rows, repeat_or_rephrase(ledger, streams, measured), measured).encode())
    storage.write("utility.svg", loss_curves(ledger, streams).encode())


def loss_curves(ledger: UtilityLedger, streams: Sequence[Stream]) -> str:
    """The loss of each recipe and style over the tokens of the run, all sources together.

    First exposures and repetitions are separate lines.
    """
    tokens, loss, at_T = ledger.tokens_KRT.numpy(), ledger.loss_KRT.numpy(), ledger.bin_middles().numpy()
    lines = {}
    for recipe, style in dict.fromkeys((stream.recipe, stream.style) for stream in streams):
        members = [k for k, stream in enumerate(streams) if (stream.recipe, stream.style) == (recipe, style)]
        for name, exposures in (("", slice(0, 1)), (", repeated", slice(1, None))):
            n_T, loss_T = (of[members, exposures].sum(axis=(0, 1)) for of in (tokens, loss))
            seen = np.flatnonzero(n_T > 0)
            if len(seen):
                lines[f"{recipe}/{style}{name}"] = [(at_T[t], loss_T[t] / n_T[t]) for t in seen]
    return line_chart("Training loss by recipe and style", "tokens of the run", "nats per token", lines)


def markdown(rows: Sequence[dict[str, Any]], found: Sequence[RepeatOrRephrase], measured: TokenValues) -> str:
    """The table, most valuable rows first, followed by the recommendations."""
    ordered = sorted(rows, key=lambda row: -(row["value"] if row["value"] is not None else -math.inf))
    lines = [
        "# Token utility",
        "",
        "Value is what the next token is worth: the pull of its gradient towards held-out text in the later half of "
        "the run, relative to the average. Taught is a stream's share of all that the whole run taught about "
        "held-out text. Learning speed is given for the full learning rate.",
        "",
        f"± is one standard error within this run. Another run, with other weights and another order of documents, "
        f"differs by up to {ACROSS_RUNS} times as much; only differences beyond that come from the text.",
        "",
        "| source | recipe | style | repetition | tokens | loss | value | taught | learning speed (nats per M) |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in ordered:
        value, speed = (_with_error(row[name], row[f"{name}_error"]) for name in ("value", "learning_speed"))
        taught = "–" if row["taught"] is None else f"{row['taught']:.1%}"
        lines.append(
            f"| {inline(row['source'])} | {inline(row['recipe'])} | {inline(row['style'])} | {row['repetition']} "
            f"| {row['n_tokens']} | {row['loss']:.3f} | {value} | {taught} | {speed} |"
        )
    d = measured.discount
    origin = (
        f"between {d.low:.1f} and {d.high:.1f}"
        if d.measured
        else "published value; in no step of this run were first and later readings of one stream both scored"
    )
    lines += [
        "",
        f"Repetition: the r-th repetition of a token is worth e^(-r/R*) of its first exposure, with R* = "
        f"{d.r_star:.1f} ({origin}); beyond {max_useful_epochs(d)} epochs it is worth less than half.",
    ]
    for decision in found:
        lines += [
            "",
            f"For the next million tokens of {inline(decision.source)}, {inline(decision.recipe)}: "
            f"{decision.recommendation} ({decision.rephrasing_value:.2f} for a fresh token against "
            f"{decision.epoch_value:.2f} for a repeated one; confidence {decision.confidence:.0%}).",
        ]
    return "\n".join(lines) + "\n"


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if error is None else f"{value:.2f} ± {error:.2f}"
