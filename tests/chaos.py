"""Start the scripted command repeatedly, kill it, and check what it left behind.

The processes are forked from one that has imported everything, and share one Prefect API, so that a run takes a second
instead of ten; otherwise they are the command as a user starts it.
"""

import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path

from served import migrated_database

from flows.running.prefect_server import READY
from rephrase.dataset.audit import Audit, audit
from rephrase.dataset.journal import Journal
from rephrase.dataset.shards import read_commits, read_rejects, read_rewrites
from rephrase.storage.storage import Storage

TESTS = Path(__file__).parent
# Of a run that will be killed: fewer than half of those that the smallest corpus needs.
N_ANSWERS = 40


@contextlib.contextmanager
def prefect_api() -> Iterator[dict[str, str]]:
    """A Prefect server with a database of its own. Yields the environment of processes that use it."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-chaos-") as home:
        path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        shutil.copy(migrated_database(), home)
        settings = {"PREFECT_HOME": home, "PREFECT_LOGGING_LEVEL": "CRITICAL", "PYTHONPATH": path}
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.running.prefect_server"],
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert server.stdout
        try:
            url = next(line for line in server.stdout if line.startswith(READY))[len(READY) :].strip()
            yield {**settings, "PREFECT_API_URL": url}
        finally:
            server.kill()  # nobody needs what it would write within the next seconds
            server.wait()


@contextlib.contextmanager
def command_server(settings: dict[str, str]) -> Iterator[None]:
    """Within this context, `Command` starts fast, with these environment variables."""
    # One that another test has started has neither this environment nor these modules.
    forkserver._forkserver._stop()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["run_scripted", "flows.cli.app", "flows.running.prefect_server", "warmed"])
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        context.Process(target=int).start()  # starts the fork server, which keeps this environment
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    try:
        yield
    finally:
        forkserver._forkserver._stop()


class Command:
    """One process of the scripted command."""

    def __init__(
        self,
        *arguments: object,
        folder: Path,
        environment: dict[str, object] | None = None,
        working_directory: Path | None = None,
    ) -> None:
        name = f"{time.monotonic_ns()}"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        values = {name: str(value) for name, value in (environment or {}).items()}
        self.process = multiprocessing.get_context("forkserver").Process(
            target=_run, args=([*map(str, arguments)], values, str(self._out), str(self._err), working_directory)
        )
        self.process.start()

    def wait(self, timeout_s: float = 600) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        self.process.join(timeout_s)
        assert self.process.exitcode is not None, f"still running after {timeout_s} s: {self._err.read_text()}"
        return self.process.exitcode, self._out.read_text("utf-8"), self._err.read_text("utf-8")

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        assert self.process.pid
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def _run(arguments: list[str], environment: dict[str, str], out: str, err: str, working_directory: Path | None) -> None:
    if working_directory:
        os.chdir(working_directory)
    os.environ.update({"COLUMNS": "200", **environment})
    for path, stream in ((out, 1), (err, 2)):
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so these would
    import run_scripted

    try:
        run_scripted.main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def write_corpus(path: Path, n_documents: int) -> None:
    """Documents of one to seven chunks, one with a duplicate id, and one without text."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(n_documents):
            text = " ".join(f"Sentence {j} of document {i} says something new." for j in range(12 + 40 * (i % 5)))
            file.write(json.dumps({"id": f"d{i}", "title": f"Title {i}", "text": text}) + "\n")
        file.write('{"id": "d0", "text": "a second d0"}\n{"id": "empty", "text": ""}\n')


def finished_documents(storage: Storage) -> set[str]:
    """The ids of the documents that are in the journal or committed, in a corpus of documents numbered in order."""
    found = {
        row["document_id"] for table in read_rewrites(storage) for row in table.select(["document_id"]).to_pylist()
    }
    for part in storage.names("journal"):
        entries = Journal(storage, int(part.removeprefix("part-"))).read()
        found |= {entry.rewrite["document_id"] for entry in entries.values() if entry.rewrite}
    return found


@dataclass(slots=True)
class Ledger:
    """Tokens generated in total, in flight at each kill, and generated again."""

    log: Path
    n_kills: int = 0
    n_in_flight: int = 0
    n_generated: int = 0
    _sent: set[tuple[str, str]] = field(default_factory=set)  # document and seed of each request
    _n_needed: int = 0
    _n_lines: int = 0

    def killed(self, storage: Storage) -> None:
        """Call just after a kill: counts the tokens requested in this session for unfinished documents."""
        finished = finished_documents(storage)
        self.n_kills += 1
        self.n_in_flight += sum(n_tokens for document, n_tokens in self.read() if f"d{document}" not in finished)

    def read(self) -> list[tuple[str, int]]:
        """The document and the tokens of each request since the last call."""
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        new, self._n_lines = lines[self._n_lines :], len(lines)
        found = []
        for line in new:
            document, seed, n_tokens = line.split("\t")
            found.append((document, int(n_tokens)))
            self.n_generated += int(n_tokens)
            if (document, seed) not in self._sent:
                self._sent.add((document, seed))
                self._n_needed += int(n_tokens)
        return found

    @property
    def n_bytes(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def wait_for_request(self, run: Command, n_bytes: int) -> None:
        """Wait for a request after those of the first `n_bytes`."""
        while run.process.exitcode is None and self.n_bytes == n_bytes:
            time.sleep(0.02)

    @property
    def n_repeated(self) -> int:
        return self.n_generated - self._n_needed

    def __str__(self) -> str:
        share = self.n_repeated / max(1, self.n_in_flight)
        return (
            f"{self.n_kills} kills: {self.n_generated:,} tokens generated, {self.n_in_flight:,} in flight when killed, "
            f"{self.n_repeated:,} repeated; repeated / in flight = {share:.2f}"
        )


def checked(storage: Storage) -> Audit:
    """The audit of a folder, which must find no problems."""
    found = audit(storage)
    assert found.problems == []
    assert found.n_accepted + found.n_rejected + found.n_to_do == found.n_input
    return found


def check_complete(storage: Storage, n_documents: int, rejected: dict[str, str] | None = None) -> None:
    """Check that nothing is lost or duplicated, and that every rewrite has the words of its own document.

    `rejected` maps the ids of rejected documents to their reject reasons.
    """
    rejected = rejected or {}
    found = checked(storage)
    assert found.notes == []
    n_rejected = 2 + len(rejected)
    assert (found.n_accepted, found.n_rejected, found.n_to_do) == (n_documents + 2 - n_rejected, n_rejected, 0)
    rows = [row for table in read_rewrites(storage) for row in table.to_pylist()]
    assert [row["document_id"] for row in rows] == [f"d{i}" for i in range(n_documents) if f"d{i}" not in rejected]
    for row in rows:
        assert sorted(row["text"].replace(".", " ").split()) == sorted(row["source_text"].replace(".", " ").split())
    rejects = [row for table in read_rejects(storage, ["document_id", "reason"]) for row in table.to_pylist()]
    expected = {**rejected, "d0": "duplicate_id", "empty": "empty_text"}
    assert {row["document_id"]: row["reason"] for row in rejects} == expected
    assert all(commit["n_records"] for commit in read_commits(storage).values())


def kill_and_resume(
    corpus: str | Path,
    out: str | Path,
    folder: Path,
    *,
    n_kills: int,
    seed: int = 0,
    **environment: object,
) -> Ledger:
    """Kill one run `n_kills` times, then let it finish.

    One kill of three comes at a random moment after the start of the process, the others after its first request.
    """
    rng = random.Random(seed)
    storage = Storage(out)
    ledger = Ledger(folder / "requests.log")
    environment = {"SCRIPTED_DELAY_S": 0.1, "SCRIPTED_LOG": ledger.log, **environment}
    arguments = ("rephrase", corpus, out, "--part-bytes", 20_000, "--json")
    while ledger.n_kills < n_kills:
        n_bytes = ledger.n_bytes
        # It must not end while this process waits for its turn.
        run = Command(*arguments, folder=folder, environment={**environment, "SCRIPTED_N_ANSWERS": N_ANSWERS})
        if rng.random() < 2 / 3:
            ledger.wait_for_request(run, n_bytes)
        run.process.join(rng.uniform(0, 1.5))
        if run.process.exitcode is not None:
            raise AssertionError(f"it ended after {ledger.n_kills} kills: {run.wait()}; take a larger corpus")
        run.kill()
        if storage.exists("plan.json"):
            checked(storage)
            ledger.killed(storage)
    last = Command(*arguments, folder=folder, environment={**environment, "SCRIPTED_DELAY_S": 0})
    code, stdout, err = last.wait(timeout_s=600)
    assert code == 0, err
    assert json.loads(stdout)["n_to_do"] == 0
    ledger.read()
    return ledger
