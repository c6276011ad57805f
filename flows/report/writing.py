"""Generate the report of the run in a folder, of either kind, and write it to a file."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fidelity.embeddings.encoder import Encoder, open_encoder
from flows.report.run_report import run_report
from flows.report.training_report import RUN_NAME, training_report
from flows.results.data_card import write_data_card
from flows.results.summary import summarize
from rephrase.dataset.plan import load_plan
from rephrase.storage.filesystem import filesystem_of
from rephrase.storage.run_folder import PLAN_NAME, require_no_data_of_a_run
from rephrase.storage.storage import Storage

REPORT_NAME = "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """Where a report was written, and how many of the run's rows its reader shows."""

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
    notify: Callable[[str], None],
) -> WrittenReport:
    """Write the report of the run in `folder` to `out`, or to the folder itself, where it also updates the data card.

    Args:
        encoder: the embedding model that links sentences; by default the one that checked the run. If that cannot be
            loaded, sentences are linked by shared words.
        notify: receives a message before each slow step.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: the given embedding model cannot be loaded.
    """
    storage = Storage(folder)
    if not storage.exists(PLAN_NAME):
        if not storage.is_local or not storage.exists(RUN_NAME):
            raise FileNotFoundError(
                f"{folder} holds no run: it contains neither the {PLAN_NAME} of a rewriting run nor the {RUN_NAME} of "
                "a training run"
            )
        html = training_report(Path(storage.root), _command()).encode()
        return WrittenReport(path=_save(html, out, storage), n_bytes=len(html), n_shown=0, n_rows=0)

    def find_encoder(name: str) -> Encoder | None:
        if not links:
            return None
        try:
            return open_encoder(encoder or name)
        except ValueError as error:
            if encoder:
                raise
            notify(f"linking sentences by shared words instead: {error}")
            return None

    page = run_report(
        storage, n_sample=n_sample, seed=seed, find_encoder=find_encoder, command=_command(), notify=notify
    )
    html = page.html.encode()
    if out is None and (plan := load_plan(storage)):
        write_data_card(storage, plan, summarize(storage))
    return WrittenReport(path=_save(html, out, storage), n_bytes=len(html), n_shown=page.n_shown, n_rows=page.n_rows)


def _command() -> str:
    return shlex.join(["palimpsest", *sys.argv[1:]])


def _save(html: bytes, out: str | None, run: Storage) -> str:
    if out is None:
        storage, name = run, REPORT_NAME
    else:
        require_no_data_of_a_run(out)
        fs, path = filesystem_of(out)
        parent, _, name = out.rstrip("/").rpartition("/")
        storage, name = (Storage(out), REPORT_NAME) if fs.isdir(path) else (Storage(parent or "."), name)
    storage.write(name, html)
    return f"{storage.url}/{name}"
