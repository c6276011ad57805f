"""Verdicts on pairs of texts from any origin: rows in, the same rows with scores out."""

import contextlib
import dataclasses
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from fidelity.calibration.calibration import Kind
from fidelity.checks.form import FORM_CHECKS
from fidelity.checks.language_judge import JUDGE_SCORES
from fidelity.checks.time_limit import LIMIT_S, TooSlowError, time_limit
from fidelity.judge import CHECK_TOO_SLOW, EVERYTHING, SCORES, Judge, Pair
from rephrase.dataset.schema import DISCREPANCIES, PROBABILITIES, discrepancy_row, probability_row
from rephrase.records import Question, Verdict

_UNWRITABLE = re.compile("[\ud800-\udfff]")  # JSON can encode a lone surrogate, which UTF-8 cannot

# A second verdict on accepted pairs: see `fidelity.checks.language_judge`.
Review = Callable[[Sequence[tuple[Pair, Verdict]]], Sequence[Verdict]]

# Columns added to those of the input. An input column with the same name is replaced.
VERDICT_COLUMNS: tuple[pa.Field, ...] = (
    # Null where the pair could not be compared.
    *(pa.field(name, kind) for name, kind in PROBABILITIES),
    pa.field("accepted", pa.bool_()),
    pa.field("reason", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("discrepancies", DISCREPANCIES),
    *(pa.field(f"score_{name}", pa.float64()) for name in (*SCORES, *JUDGE_SCORES)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A pair as read from a file, whatever the types of its values, and what is required of it; see `Pair`."""

    source: Any
    rewrite: Any
    kind: Kind = "knowledge"
    keeps: float = EVERYTHING
    form: str | None = None
    thresholds: Mapping[Question, float] = field(default_factory=dict)


def verdict_rows(judge: Judge, pairs: Sequence[Asked], review: Review | None = None) -> list[dict[str, Any]]:
    """The added columns for each pair.

    The form is checked too, except for truncation and copying from the source: a claim may do either. What all checks
    accept is reviewed.
    """
    rows: list[dict[str, Any]] = [_unjudged_row(pair.source, pair.rewrite) for pair in pairs]
    readable = [i for i, row in enumerate(rows) if row["reason"] is None]
    judged = [
        Pair(
            source=asked.source,
            rewrite=asked.rewrite,
            kind=asked.kind,
            keeps=asked.keeps,
            form=asked.form,
            thresholds=asked.thresholds,
        )
        for asked in (pairs[i] for i in readable)
    ]
    verdicts = [_with_form(verdict, pair) for pair, verdict in zip(judged, judge.judge(judged), strict=True)]
    if review:
        accepted = [i for i, verdict in enumerate(verdicts) if verdict.accepted]
        reviewed = review([(judged[i], verdicts[i]) for i in accepted])
        for i, verdict in zip(accepted, reviewed, strict=True):
            verdicts[i] = verdict
    for i, verdict in zip(readable, verdicts, strict=True):
        rows[i] = _columns(verdict)
    return rows


def _with_form(verdict: Verdict, pair: Pair) -> Verdict:
    try:
        with time_limit(LIMIT_S):
            found = next((found for check in FORM_CHECKS if (found := check(pair.source, pair.rewrite))), None)
    except TooSlowError as error:
        found = CHECK_TOO_SLOW, f"the checks of form were {error}"
    return dataclasses.replace(verdict, accepted=False, reason=found[0], detail=found[1]) if found else verdict


def _unjudged_row(source: Any, rewrite: Any) -> dict[str, Any]:
    """A row without scores; its reason says why the pair cannot be judged, or is None if it can."""
    reason, detail = None, ""
    for name, value in (("source", source), ("rewrite", rewrite)):
        if value is None:
            reason, detail = f"missing_{name}", f"the {name} is missing"
        elif not isinstance(value, str):
            reason, detail = f"{name}_not_text", f"the {name} is a {type(value).__name__}"
        elif not value.isascii() and _UNWRITABLE.search(value):
            reason, detail = "invalid_unicode", f"the {name} contains a lone surrogate"
        elif not value.strip():
            reason, detail = f"empty_{name}", f"the {name} is empty"
        if reason:
            break
    return _columns(Verdict(accepted=False, reason=reason, detail=detail))


def _columns(verdict: Verdict) -> dict[str, Any]:
    return {
        **probability_row(verdict),
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "discrepancies": [discrepancy_row(found) for found in verdict.discrepancies],
        **{f"score_{name}": verdict.scores.get(name) for name in (*SCORES, *JUDGE_SCORES)},
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
