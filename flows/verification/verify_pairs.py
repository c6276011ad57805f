"""Verdicts on pairs of texts in files, or new ones on the chunks of a finished run, written to one Parquet file."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from fidelity.calibration.calibration import Calibration, load_calibration
from fidelity.embeddings.encoder import PACKAGED_ENCODER, PACKAGED_MULTILINGUAL, open_encoder
from fidelity.embeddings.vector_cache import CachedEncoder
from fidelity.judge import CHECK_FAILED, Judge
from fidelity.reader.opening import open_reader
from fidelity.verify import Asked, atomic_write, batched, scored_schema, verdict_rows
from flows.verification.config import VerifyConfig
from flows.verification.judge_model import open_review
from flows.verification.pair_reading import UNREADABLE, cast_row, count_pairs, list_pair_files, pair_columns, read_pairs
from flows.verification.run_pairs import RUN_COLUMNS, count_run_pairs, is_run, read_run_pairs
from rephrase.dataset.plan import load_plan
from rephrase.prompting.recipes import share_kept
from rephrase.storage.filesystem import is_same_file
from rephrase.storage.run_folder import require_no_data_of_a_run
from rephrase.storage.storage import Storage

SCORED = "scored.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The result. `n_seen` counts the pairs that each tier scored."""

    output: str
    n_pairs: int
    n_accepted: int
    n_unreadable: int
    reasons: dict[str, int]
    n_seen: dict[str, int]


def verify_pairs(config: VerifyConfig, on_rows: Callable[[int, int], None] = lambda done, total: None) -> Verification:
    """`on_rows` is called with the number of rows done and the total.

    Raises:
        ValueError, FileNotFoundError: the configuration is invalid.
    """
    rows, columns, n_rows, output = _open_input(config)
    calibration = load_calibration(config.calibration)
    judge = open_judge(config, calibration)
    schema = scored_schema(columns)
    counts = {"pairs": 0, "accepted": 0, "unreadable": 0}
    reasons: dict[str, int] = {}
    with (
        open_review(config.judge_endpoints, config.judge_model, calibration) as review,
        atomic_write(output) as path,
        pq.ParquetWriter(path, schema, compression="zstd") as writer,
    ):
        for batch in batched(rows, config.batch_rows):
            scored = verdict_rows(judge, [_asked(row, config) for row in batch], review)
            table = []
            for row, verdict in zip(batch, scored, strict=True):
                if UNREADABLE in row and len(row) == 1:
                    verdict |= {"reason": "invalid_row", "detail": row[UNREADABLE]}
                table.append({**cast_row(row, columns), **verdict})
                counts["pairs"] += 1
                counts["accepted"] += verdict["accepted"]
                counts["unreadable"] += verdict["probability"] is None and verdict["reason"] != CHECK_FAILED
                if verdict["reason"]:
                    reasons[verdict["reason"]] = reasons.get(verdict["reason"], 0) + 1
            writer.write_table(pa.Table.from_pylist(table, schema=schema))
            on_rows(counts["pairs"], n_rows)
    return Verification(
        output=output,
        n_pairs=counts["pairs"],
        n_accepted=counts["accepted"],
        n_unreadable=counts["unreadable"],
        reasons=dict(sorted(reasons.items(), key=lambda item: -item[1])),
        n_seen=dict(judge.n_seen + (review.n_seen if review else Counter())),
    )


def _asked(row: dict[str, Any], config: VerifyConfig) -> Asked:
    if config.is_run:
        return Asked(**{name: row[name] for name in ("source", "rewrite", "kind", "keeps", "form", "thresholds")})
    return Asked(
        source=row.get(config.source_field),
        rewrite=row.get(config.rewrite_field),
        kind=config.kind,
        keeps=share_kept(config.keeps),
    )


def _open_input(config: VerifyConfig) -> tuple[Iterator[dict[str, Any]], pa.Schema, int, str]:
    if config.is_run:
        storage = Storage(config.source)
        if not is_run(storage):
            raise FileNotFoundError(
                f"{config.source!r} holds no finished run (it has no plan.json); for pairs, give their fields with "
                "--source-field and --rewrite-field"
            )
        output = config.output or storage.path(SCORED)
        require_no_data_of_a_run(output)
        return read_run_pairs(storage, config.recipe_files), RUN_COLUMNS, count_run_pairs(storage), output
    files = list_pair_files(config.source)
    columns = pair_columns(files)
    for name in (config.source_field, config.rewrite_field):
        if name not in columns.names:
            raise ValueError(f"there is no field {name!r} in {config.source}; it has {', '.join(columns.names)}")
    if not config.output:
        raise ValueError("give the file to write with --out")
    require_no_data_of_a_run(config.output)
    if any(is_same_file(file.path, config.output) for file in files):
        raise ValueError(f"{config.output!r} is one of the files to read: name another file with --out")
    return read_pairs(files), columns, count_pairs(files), config.output


def open_judge(config: VerifyConfig, calibration: Calibration) -> Judge:
    """
    Raises:
        ValueError: a model cannot be loaded.
    """
    multilingual: list[CachedEncoder] = []
    plan = load_plan(Storage(config.source)) if config.is_run else None
    of_run = plan.config.get("fidelity", {}) if plan else {}

    def open_multilingual() -> CachedEncoder:
        if not multilingual:
            multilingual.append(CachedEncoder(open_encoder(_encoder(config, "multilingual_encoder", of_run))))
        return multilingual[0]

    return Judge(
        calibration,
        CachedEncoder(open_encoder(_encoder(config, "encoder", of_run))),
        open_multilingual,
        open_reader=open_reader,
        min_probability=config.min_probability,
    )


def _encoder(config: VerifyConfig, name: Literal["encoder", "multilingual_encoder"], of_run: Mapping[str, Any]) -> str:
    """The embedding model that the options name, else the one that checked the run, else the packaged one."""
    given: str | None = getattr(config, name) or of_run.get(name)
    return given or {"encoder": PACKAGED_ENCODER, "multilingual_encoder": PACKAGED_MULTILINGUAL}[name]
