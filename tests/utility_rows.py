"""The files that a training run leaves for the planner, with figures of the test's choice."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.utility.repetition import RepetitionDiscount
from training.utility.report import SCHEMA
from training.utility.worth import DISCOUNT_KEY


def utility_row(
    style: str,
    value: float | None,
    error: float | None,
    *,
    recipe: str = "rephrase",
    source: str = "a.jsonl",
    repetition: int = 0,
    n_tokens: int = 1000,
) -> dict[str, Any]:
    given = {"source": source, "recipe": recipe, "style": style, "repetition": repetition, "n_tokens": n_tokens}
    return {**dict.fromkeys(SCHEMA.names), **given, "value": value, "value_error": error}


def write_utility(
    run: Path,
    rows: Sequence[dict[str, Any]],
    discount: RepetitionDiscount | None = None,
    n_readings: float | None = None,
) -> None:
    """`n_readings` tokens of rewrites are read for each token of the originals, which are read once."""
    run.mkdir(parents=True, exist_ok=True)
    metadata = {DISCOUNT_KEY: json.dumps(asdict(discount))} if discount else None
    pq.write_table(pa.Table.from_pylist([*rows], schema=SCHEMA.with_metadata(metadata)), run / "utility.parquet")
    if n_readings is not None:
        share = n_readings / (1 + n_readings)
        streams = [
            {"stream": "a.jsonl · original · original", "n_tokens": 100, "share": 1 - share},
            {"stream": "a.jsonl · rephrase · faq", "n_tokens": 100, "share": share},
        ]
        (run / "token_plan.json").write_text(json.dumps({"n_tokens": 100 * (1 + n_readings), "streams": streams}))
