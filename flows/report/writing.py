"""Make the report of whatever run a folder holds, and write it where it is wanted."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec

from fidelity.checks.encoder import Encoder, open_encoder
from flows.report.run_report import run_report
from flows.report.training_report import RUN_NAME, training_report
from flows.results.data_card import write_data_card
from flows.results.summary import summarize
from rephrase.dataset.plan import PLAN_NAME, load_plan
from rephrase.storage.storage import Storage

REPORT_NAME = "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where a report is, and how much of the run its reader shows."""

    path: str
    n_bytes: int
    n_shown: int
    n_rows: int


def write_report(
    folder: str,
    out: str | None,
    *,
    n_sample: int,
    seed: int,
    links: bool,
    encoder: str | None,
    note: Callable[[str], None],
) -> Written:
    """Write the report of the run in `folder` to `out`, or into the folder itself, and renew the data card there.

    Args:
        encoder: the embedding model that links sentences; by default the one that checked the run, and where that
            cannot be loaded the words that sentences share.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: the embedding model that was named cannot be loaded.
    """
    storage = Storage(folder)
    if not storage.exists(PLAN_NAME):
        if not storage.is_local or not storage.exists(RUN_NAME):
            raise FileNotFoundError(
                f"{folder} holds no run: neither the {PLAN_NAME} of a rewriting run nor the {RUN_NAME} of a training "
                "run is in it"
            )
        html = training_report(Path(storage.root), _command()).encode()
        return Written(path=_save(html, out, storage), n_bytes=len(html), n_shown=0, n_rows=0)

    def find_encoder(name: str) -> Encoder | None:
        if not links:
            return None
        try:
            return open_encoder(encoder or name)
        except ValueError as error:
            if encoder:
                raise
            note(f"sentences are linked by the words they share: {error}")
            return None

    page = run_report(storage, n_sample=n_sample, seed=seed, find_encoder=find_encoder, command=_command(), note=note)
    html = page.html.encode()
    if out is None and (plan := load_plan(storage)):
        write_data_card(storage, plan, summarize(storage))
    return Written(path=_save(html, out, storage), n_bytes=len(html), n_shown=page.n_shown, n_rows=page.n_rows)


def _command() -> str:
    return shlex.join(["palimpsest", *sys.argv[1:]])


def _save(html: bytes, out: str | None, run: Storage) -> str:
    if out is None:
        storage, name = run, REPORT_NAME
    else:
        fs, path = fsspec.core.url_to_fs(out)
        parent, _, name = out.rstrip("/").rpartition("/")
        storage, name = (Storage(out), REPORT_NAME) if fs.isdir(path) else (Storage(parent or "."), name)
    storage.write(name, html)
    return f"{storage.url}/{name}"
