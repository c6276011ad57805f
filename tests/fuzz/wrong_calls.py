"""Wrong calls of every command: each must end with a sentence, before anything is generated.

Each call runs the command in a forked process, in a folder of its own, with scripted models; where a run, a training or
a server would begin, it ends as accepted.
"""

import contextlib
import faulthandler
import importlib
import io
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["sentence", "accepted", "waiting", "traceback", "hang", "silence"]
FINE = ("sentence", "accepted", "waiting")

NUMBERS = (
    *("", "nan", "inf", "-inf", "1e309", "-1", "0", "0.0", "-0.5", "1e-320", str(2**31), str(2**63), str(2**64)),
    *("9" * 400, "1_0", "0x10", "٣", "1,5", "½", "abc", "--", "1e400", "true"),
)
TEXTS = (
    *("", " ", "none", "nowhere", "-", ".", "..", "/", "/dev/null", "/dev/zero", "/proc/self/mem", "fifo", "folder"),
    *("empty", "binary", "deep.json", "corpus.jsonl", "corpus.jsonl/x", "closed::x", "a" * 5000, "run", "file://"),
    *("s3://", "s3:///x", "gs://", "http://", "://", "::", "simplecache::", "zip://x::y", "nosuch://x", "~nobody/x"),
    *("*", "[", "{", "{}", "%s", "%00", "\x1b[31m", "\u202e", "\udcff", "\n", "a\nb", "é", "a.b[", "join(", "+", "a+"),
    *("http://localhost:99999/v1", "localhost:1", "http://user:secret@127.0.0.1:1/v1", "127.0.0.1", "0 3 * *"),
)

# The arguments with which each command works.
WORKING: dict[str, list[str]] = {
    "rephrase": ["corpus.jsonl", "new"],
    "plan": ["corpus.jsonl"],
    "inspect": ["run"],
    "check": ["run"],
    "report": ["run", "--no-links"],
    "verify": ["pairs.jsonl", "--source-field", "source", "--out", "scored.parquet"],
    "refilter": ["run", "refiltered"],
    "calibrate": ["pairs.jsonl", "--label-field", "ok", "--out", "weights.json"],
    "doctor": [],
    "serve": [],
    "recipes": [],
    "recipes show": ["rephrase", "--on", "corpus.jsonl"],
    "train": ["run", "trained", "--n-steps", "1"],
    "presets": [],
    "export": ["trained", "model"],
    "utility": ["trained"],
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call and what came of it."""

    arguments: tuple[str, ...]
    outcome: Outcome
    seconds: float
    output: str

    def __str__(self) -> str:
        shown = " ".join(f"{argument!r:.60}" for argument in self.arguments)
        return f"{self.outcome} after {self.seconds:.1f} s: {shown}\n{self.output[-1500:]}"


class AcceptedError(BaseException):
    """The options were accepted, and the work would begin."""


def wrong_calls() -> list[tuple[str, ...]]:
    """Every command with each of its parameters set to each odd value of its kind, and without its arguments."""
    import typer

    from flows.cli.app import app
    from training.__main__ import parser

    root: Any = typer.main.get_command(app)
    calls: list[tuple[str, ...]] = [("nosuch",), ("--nosuch",)]
    for name, working in WORKING.items():
        words = name.split()
        calls += [(*words,), (*words, "--nosuch"), (*words, *working, "one", "too", "many")]
        for i, _ in enumerate(working):
            if not working[i].startswith("-") and (i == 0 or not working[i - 1].startswith("-")):
                calls += [(*words, *working[:i], text, *working[i + 1 :]) for text in TEXTS]
        if name == "train":
            parameters = [
                (one.option_strings[-1], one.type in (int, float)) for one in parser()._actions if one.option_strings
            ]
        else:
            command: Any = root
            for word in words:
                command = command.commands[word]
            parameters = [
                (option.opts[0], option.bare_type() in (int, float))
                for option in command.params
                if option.param_type_name == "option" and not option.is_flag
            ]
        for option, is_number in parameters:
            values = NUMBERS if is_number else TEXTS
            calls += [(*words, *working, option, value) for value in values]
    return calls


def run_calls(calls: list[tuple[str, ...]], limit_s: float) -> Iterator[Call]:
    """Each call in a process of its own, which is ended at the limit."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="palimpsest-calls-") as base:
        template = Path(base) / "template"
        _write_files(template)
        for name in MODULES:  # so that each call starts at once
            importlib.import_module(name)
        for number, arguments in enumerate(calls):
            folder = Path(base) / f"{number}"
            shutil.copytree(template, folder, symlinks=True, copy_function=os.link, ignore=lambda *_: ["fifo"])
            os.mkfifo(folder / "fifo")
            log = Path(base) / f"{number}.txt"
            began = time.monotonic()
            process = context.Process(target=_call, args=(arguments, folder, log, limit_s))
            process.start()
            process.join(limit_s)
            hung = process.exitcode is None
            if hung:
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
            output = log.read_text("utf-8", errors="replace") if log.exists() else ""
            outcome = _outcome(process.exitcode or 0, hung, output)
            yield Call(arguments, outcome, time.monotonic() - began, output)
            shutil.rmtree(folder)


def _outcome(code: int, hung: bool, output: str) -> Outcome:
    if hung:
        return "waiting" if "waiting for" in output else "hang"
    if "Traceback (most recent call last)" in output or code < 0:
        return "traceback"
    if code == ACCEPTED or code == 0:
        return "accepted"
    return "sentence" if output.strip() else "silence"


ACCEPTED = 77


def _call(arguments: tuple[str, ...], folder: Path, log: Path, limit_s: float) -> None:
    os.chdir(folder)
    os.environ.update(
        {"COLUMNS": "200", "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "k", "AWS_EC2_METADATA_DISABLED": "1"}
    )
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), write_through=True)
    faulthandler.dump_traceback_later(limit_s - 1, exit=False)  # so that a hang says where
    code = 0
    try:
        _script_the_models()
        from flows.cli.app import main

        sys.argv = ["palimpsest", *arguments]
        main()
    except AcceptedError:
        code = ACCEPTED
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _accept(*_: object, **__: object) -> Any:
    raise AcceptedError


def _script_the_models() -> None:
    """Replace the models, and let what would take long begin and no more."""
    from scripted import BagOfWords, SilentReader

    import fidelity.fitting.score_cache
    import flows.local
    import flows.running.prefect_server
    import flows.serving.serve
    import flows.verification.refilter
    import flows.verification.verify_pairs
    from fidelity.calibration.calibration import load_calibration
    from fidelity.checker import Checker
    from fidelity.embeddings.encoder import PACKAGED_ENCODER, PACKAGED_MULTILINGUAL, open_encoder

    def encoder(name: str) -> object:
        return BagOfWords() if name in (PACKAGED_ENCODER, PACKAGED_MULTILINGUAL) else open_encoder(name)

    async def begin(config: Any, console: Any) -> Any:
        from flows.running.run_setup import plan_run
        from rephrase.progress import Progress
        from rephrase.storage.lock import locked
        from rephrase.storage.storage import Storage

        storage = Storage(config.output)
        with locked(storage):
            await (await plan_run(config, storage, Progress())).close()
        raise AcceptedError

    flows.local._run = begin
    flows.running.prefect_server.prefect_api = contextlib.nullcontext
    flows.serving.serve.run_serving = _accept
    flows.verification.verify_pairs.open_encoder = encoder  # type: ignore[assignment]
    flows.verification.verify_pairs.open_reader = SilentReader  # type: ignore[assignment,misc]
    flows.verification.refilter.open_checker = lambda config: Checker(
        encoder(config.encoder), config, calibration=load_calibration(config.calibration), open_reader=SilentReader
    )
    fidelity.fitting.score_cache.SentenceEncoder = BagOfWords  # type: ignore[assignment,misc]
    fidelity.fitting.score_cache.Reader = lambda *_: SilentReader()  # type: ignore[assignment,misc]


MODULES = (
    *("flows.cli.app", "flows.demo", "flows.doctor", "flows.local", "flows.rephrasing", "flows.report.writing"),
    *("flows.results.inspection", "flows.results.summary", "flows.running.run_setup", "flows.serving.serve"),
    *("flows.verification.calibrate_pairs", "flows.verification.refilter", "flows.verification.verify_pairs"),
    *("flows.running.prefect_server", "fidelity.fitting.score_cache", "training.__main__", "training.export"),
    *("rephrase.scheduling.estimate", "rich.progress", "scripted"),
)


def _write_files(folder: Path) -> None:
    from synthetic_run import documents, write_run

    folder.mkdir()
    write_run(folder / "run", documents(3))
    texts = [f"The bridge of town {i} was built in {1800 + i} by {i + 3} masons. It still stands." for i in range(4)]
    _write_lines(folder / "corpus.jsonl", [{"id": f"d{i}", "text": text} for i, text in enumerate(texts)])
    _write_lines(folder / "pairs.jsonl", [{"source": text, "rewrite": text, "ok": 1} for text in texts])
    (folder / "folder").mkdir()
    (folder / "empty").write_bytes(b"")
    (folder / "binary").write_bytes(bytes(range(256)))
    (folder / "deep.json").write_text("[" * 100_000)


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def sample(n: int, seed: int) -> list[tuple[str, ...]]:
    """`n` wrong calls, the same number of each command where it has so many."""
    rng = random.Random(seed)
    by_command: dict[str, list[tuple[str, ...]]] = {}
    for call in wrong_calls():
        by_command.setdefault(" ".join(call[:2]) if call[:2] == ("recipes", "show") else call[0], []).append(call)
    for calls in by_command.values():
        rng.shuffle(calls)
    rounds = itertools.zip_longest(*by_command.values())
    return [call for calls in rounds for call in calls if call is not None][:n]
