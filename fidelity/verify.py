"""Verdicts on pairs of texts from any origin: rows in, the same rows with scores out."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from fidelity.calibration.calibration import Kind
from fidelity.checks.finding import Finding
from fidelity.checks.form import FORM_CHECKS
from fidelity.judge import BASE_SCORES, TIER_SCORES, Judge, Pair
from rephrase.dataset.schema import DISCREPANCIES, discrepancy_row
from rephrase.records import Discrepancy, Verdict

# All scores that a row may have; the scores of a tier that did not run are null.
SCORE_NAMES = (*BASE_SCORES, *(name for names in TIER_SCORES.values() for name in names))

# Columns added to those of the input. An input column with the same name is replaced.
VERDICT_COLUMNS: tuple[pa.Field, ...] = (
    pa.field("probability", pa.float64()),  # of being faithful; null where the pair could not be compared
    pa.field("accepted", pa.bool_()),
    pa.field("reason", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("tiers", pa.list_(pa.string())),  # that ran besides embeddings and facts
    pa.field("discrepancies", DISCREPANCIES),
    *(pa.field(f"score_{name}", pa.float64()) for name in SCORE_NAMES),
)


def verdict_rows(
    judge: Judge, pairs: Sequence[tuple[Any, Any]], kind: Kind | Sequence[Kind] = "knowledge"
) -> list[dict[str, Any]]:
    """The added columns for (source, rewrite) values as read from a file, whatever their types.

    The form is checked too, except for truncation and copying from the source: a claim may do either.
    """
    kinds = [kind] * len(pairs) if isinstance(kind, str) else list(kind)
    rows: list[dict[str, Any]] = [_unjudged_row(source, rewrite) for source, rewrite in pairs]
    readable = [i for i, row in enumerate(rows) if row["reason"] is None]
    judged = [Pair(source=pairs[i][0], rewrite=pairs[i][1], kind=kinds[i]) for i in readable]
    for i, pair, verdict in zip(readable, judged, judge.judge(judged), strict=True):
        rows[i] = _row(verdict, _form(pair))
    return rows


def _form(pair: Pair) -> Finding | None:
    return next((found for check in FORM_CHECKS if (found := check(pair.source, pair.rewrite))), None)


def _unjudged_row(source: Any, rewrite: Any) -> dict[str, Any]:
    """A row without scores; its reason says why the pair cannot be judged, or is None if it can."""
    reason, detail = None, ""
    for name, value in (("source", source), ("rewrite", rewrite)):
        if value is None:
            reason, detail = f"missing_{name}", f"the {name} is missing"
        elif not isinstance(value, str):
            reason, detail = f"{name}_not_text", f"the {name} is a {type(value).__name__}"
        elif not value.strip():
            reason, detail = f"empty_{name}", f"the {name} is empty"
        if reason:
            break
    return _columns(None, False, reason, detail)


def _row(verdict: Verdict, form: Finding | None) -> dict[str, Any]:
    accepted, reason, detail = verdict.accepted, verdict.reason, verdict.detail
    if form:
        accepted, (reason, detail) = False, form
    tiers = [tier for tier, names in TIER_SCORES.items() if names[0] in verdict.scores]
    return _columns(verdict.probability, accepted, reason, detail, tiers, verdict.discrepancies, verdict.scores)


def _columns(
    probability: float | None,
    accepted: bool,
    reason: str | None,
    detail: str,
    tiers: Sequence[str] = (),
    discrepancies: Iterable[Discrepancy] = (),
    scores: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    scores = scores or {}
    return {
        "probability": probability,
        "accepted": accepted,
        "reason": reason,
        "detail": detail,
        "tiers": list(tiers),
        "discrepancies": [discrepancy_row(found) for found in discrepancies],
        **{f"score_{name}": scores.get(name) for name in SCORE_NAMES},
    }


def scored_schema(columns: pa.Schema) -> pa.Schema:
    """The columns of the input followed by the added ones."""
    added = {field.name for field in VERDICT_COLUMNS}
    return pa.schema([*(field for field in columns if field.name not in added), *VERDICT_COLUMNS])


def batched(rows: Iterable[Any], n_rows: int) -> Iterator[list[Any]]:
    """Lists of at most `n_rows`."""
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == n_rows:
            yield batch
            batch = []
    if batch:
        yield batch


@contextlib.contextmanager
def atomic_write(path: str) -> Iterator[str]:
    """Yields a local path to write to; on success the file appears at `path`, on any filesystem, atomically."""
    fs, target = fsspec.core.url_to_fs(path)
    local = isinstance(fs, LocalFileSystem)
    folder = Path(target).parent if local else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".scored-", suffix=".tmp", dir=folder)
    os.close(handle)
    try:
        yield temporary
        if local:
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target)
        else:
            fs.put_file(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)
