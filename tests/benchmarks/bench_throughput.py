"""How close the whole flow comes to the bare engine, and to datatrove's inference runner on the same server.

    python tests/benchmarks/bench_throughput.py DATA [--documents 128] [--characters 600] [--legs bare,flow] [--quick]

DATA has documents/*.jsonl. Each leg generates with the packaged model on the same texts, cut to between one and five
chunks:

    bare       vLLM in this process, with all requests of the flow at once: the upper limit
    flow       palimpsest rephrase: autoregressive, Parquet, Prefect; every rewrite is accepted without checks
    checked    the same with all checks
    server     the flow on a vLLM server on the loopback interface
    datatrove  datatrove's InferenceRunner on such a server, with the same chains of prompts

The legs with an engine in the process run in turns of some seconds, and so do those with a server, each with its own:
on a shared machine, changes in speed affect all of them equally. The separate leg `speeds` prints the engine's speed by
the number of concurrent requests. `--quick` compares `flow` with `bare` on a third of the documents and ends within ten
minutes. When it is stopped, no process is left behind.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from common.generation import RECIPE, read_documents, requests_of
from common.turns import clock, end_with_parent, take_turns
from rich.console import Console

import fidelity.checker
import flows.rephrasing
import flows.running.run_setup
import rephrase.parts
from flows.local import run_locally
from rephrase.corpus.chunking import chunk_document
from rephrase.dataset.journal import Journal
from rephrase.engines.engine import EngineInfo
from rephrase.engines.vllm_engine import CPU_BLOCK_TOKENS, MAX_NUM_SEQS_CPU, VLLMEngine
from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
from rephrase.models.tokenizer import HubTokenizer
from rephrase.prompting.recipes import draw_variants
from rephrase.records import Completion, Document, Prompt, Sampling, Verdict
from rephrase.rewriting import RewriteTools, rewrite_document

LEGS = ("bare", "flow", "checked", "server", "datatrove")
CONTEXT_TOKENS = 2048
SPEED_S = 8.0  # for each number of concurrent requests
DATATROVE = "datatrove==0.10.1"
# Further packages that its checkpoints need.
DATATROVE_EXTRAS = ("aiofiles", "aiosqlite")


@dataclass
class Measured:
    """Figures of one leg. The seconds of a stage are the time it was at work, on any thread."""

    n_tokens: int = 0
    n_prompt_tokens: int = 0
    n_cached_tokens: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0  # of this process and its children
    batches: list[tuple[float, int]] = field(default_factory=list)  # seconds, running requests
    stages_s: dict[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        seconds, running = np.array([b[0] for b in self.batches]), np.array([b[1] for b in self.batches])
        order = np.argsort(running)
        below = np.cumsum(seconds[order]) / max(seconds.sum(), 1e-9)
        return {
            "tokens": self.n_tokens,
            "seconds": self.seconds,
            "tokens_per_s": self.n_tokens / self.seconds,
            "tokens_per_cpu_s": self.n_tokens / self.cpu_s,
            "batch_mean": float((seconds * running).sum() / max(seconds.sum(), 1e-9)),
            "batch_p10": int(running[order][np.searchsorted(below, 0.1)]) if len(running) else 0,
            "prefix_hits": self.n_cached_tokens / max(self.n_prompt_tokens, 1),
            "stages": {name: s / self.seconds for name, s in sorted(self.stages_s.items())},
        }


class Watch:
    """Counts the work of an engine, and the time of the stages around it."""

    def __init__(self) -> None:
        self.measured = Measured()
        self._lock = threading.Lock()
        self._first_s = self._others_s = self._own_s = 0.0

    def watch_engine(self, engine: Any) -> None:
        """Count the tokens of its answers; the clock runs from the first request to `stop`."""
        complete = engine.complete

        async def counted(prompt: Prompt, sampling: Sampling) -> Completion:
            if not self._first_s:
                self.start()
            completion = await complete(prompt, sampling)
            self.measured.n_tokens += completion.n_completion_tokens
            self.measured.n_prompt_tokens += completion.n_prompt_tokens
            self.measured.n_cached_tokens += completion.n_cached_tokens
            return completion

        engine.complete = counted
        if isinstance(engine, VLLMEngine):
            step = engine._engine.step

            def timed() -> Any:
                began = clock()
                outputs = step()
                seconds = clock() - began
                self.measured.batches.append((seconds, engine.load().n_running))
                self._add("generation", seconds)
                return outputs

            engine._engine.step = timed

    def start(self) -> None:
        self._first_s, self._others_s, self._own_s = clock(), children_cpu_s(), time.process_time()

    def time_calls(self, owner: Any, name: str, stage: str) -> None:
        call = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            began = clock()
            try:
                return call(*arguments, **named)
            finally:
                self._add(stage, clock() - began)

        setattr(owner, name, timed)

    def _add(self, stage: str, seconds: float) -> None:
        if self._first_s:
            with self._lock:
                self.measured.stages_s[stage] = self.measured.stages_s.get(stage, 0.0) + seconds

    def stop(self) -> Measured:
        """May be called repeatedly; the last call counts."""
        self.measured.seconds = clock() - self._first_s
        self.measured.cpu_s = time.process_time() - self._own_s + children_cpu_s() - self._others_s
        return self.measured


def children_cpu_s() -> float:
    """CPU time of the child processes: Prefect's server is the only one."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(used.user + used.system for used in times)


def bare(documents: list[Document]) -> Measured:
    prompts = [(request.prompt, request.sampling) for request in requests_of(documents)]
    engine = VLLMEngine(max_context_tokens=CONTEXT_TOKENS)
    watch = Watch()
    watch.watch_engine(engine)

    async def all_at_once() -> None:
        await asyncio.gather(*[engine.complete(*prompt) for prompt in prompts])

    asyncio.run(all_at_once())
    measured = watch.stop()
    asyncio.run(engine.close())
    return measured


def speeds(data: Path, n_characters: int) -> None:
    """The engine's speed by the number of concurrent requests, on real prompts, for bench_scheduler."""
    engine = VLLMEngine(max_context_tokens=CONTEXT_TOKENS)
    requests = requests_of(read_documents(data, 64, n_characters))
    prompts = [(request.prompt, request.sampling) for request in requests]

    async def keep_full(n_at_once: int) -> float:
        """Tokens a second while `n_at_once` requests run."""
        n_tokens, began, todo = 0, clock(), iter(prompts * 10)

        async def one_after_the_other() -> None:
            nonlocal n_tokens
            while clock() - began < SPEED_S:
                n_tokens += (await engine.complete(*next(todo))).n_completion_tokens

        await asyncio.gather(*[one_after_the_other() for _ in range(n_at_once)])
        return n_tokens / (clock() - began)

    async def measure() -> None:
        for n_at_once in (1, 2, 4, 8, 16, 32):
            print(f"({n_at_once}, {await keep_full(n_at_once):.1f}),", flush=True)
        await engine.close()

    asyncio.run(measure())


class AcceptAll:
    """Replaces `fidelity.checker.Checker`."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    async def __call__(self, *_: Any, **__: Any) -> Verdict:
        return Verdict(accepted=True)

    def near_duplicates(self, variants: Any) -> dict[int, Any]:
        return {}

    def close(self) -> None: ...


def flow(documents: list[Document], *, checked: bool, endpoint: str | None = None, prefect_home: str = "") -> Measured:
    """`palimpsest rephrase` in this process, instrumented."""
    watch = Watch()
    open_engine, run_part = flows.running.run_setup.open_engine, rephrase.parts.run_part
    spans: dict[str, float] = {}

    def opened(*arguments: Any, **options: Any) -> Any:
        engine = open_engine(*arguments, **options)
        watch.watch_engine(engine)
        return engine

    flows.running.run_setup.open_engine = opened
    if checked:
        watch.time_calls(fidelity.checker.Checker, "_process", "fidelity: embeddings, facts and reader")
        watch.time_calls(fidelity.checker, "check_form", "fidelity: form")
    else:
        flows.running.run_setup.open_checker = AcceptAll
    watch.time_calls(rephrase.parts, "_read", "reading, ahead")
    watch.time_calls(rephrase.parts, "_open_chains", "chunking, ahead")
    watch.time_calls(rephrase.parts, "_commit", "commit")
    watch.time_calls(Journal, "write", "journal")

    async def timed_part(part: Any, run_context: Any) -> Any:
        began = clock()
        try:
            return await run_part(part, run_context)
        finally:
            spans[str(part.index)] = clock() - began

    run_task = flows.rephrasing._run_task

    async def timed_task(part: Any, plan: Any) -> None:
        began = clock()
        await run_task(part, plan)
        watch._add("Prefect: around the tasks", clock() - began - spans[str(part.index)])

    flows.rephrasing.run_part = timed_part
    flows.rephrasing._run_task = timed_task
    with tempfile.TemporaryDirectory(prefix="bench-throughput-") as folder:
        corpus = Path(folder) / "corpus.jsonl"
        lines = [json.dumps({"id": d.id, "title": d.title, "text": d.text}, ensure_ascii=False) for d in documents]
        corpus.write_text("\n".join(lines), encoding="utf-8")
        engine = {"kind": "openai", "endpoints": (endpoint,)} if endpoint else {"max_context_tokens": CONTEXT_TOKENS}
        values = {
            "source": str(corpus),
            "output": f"{folder}/out",
            "n_retries": 0,
            "part_bytes": 64 << 10,
            "recipe": "rephrase",
            "engine": engine,
        }
        write_json = rephrase.dataset.shards.Storage.write_json

        def timed_write(storage: Any, name: str, value: object) -> None:
            write_json(storage, name, value)
            if name.startswith("commits/"):
                watch.stop()
                if endpoint:  # the vLLM server is a child process, too
                    return
                # Its startup, some seconds of imports, ends before the first request.
                watch.measured.stages_s["Prefect: its server, CPU"] = children_cpu_s() - watch._others_s

        rephrase.dataset.shards.Storage.write_json = timed_write
        summary = run_locally(values, Console(stderr=True))
        measured = watch.measured
        print(f"{summary.n_parts} parts, {summary.n_chunks_accepted} of {summary.n_chunks} chunks accepted")
    return measured


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A vLLM server with the settings of the engine in the process."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    arguments = ["--model", resolve_model(PACKAGED_MODEL), "--host", "127.0.0.1", "--port", port, "--enforce-eager"]
    arguments += ["--max-model-len", CONTEXT_TOKENS, "--max-num-seqs", MAX_NUM_SEQS_CPU, "--no-enable-chunked-prefill"]
    arguments += ["--max-num-batched-tokens", 4096, "--block-size", CPU_BLOCK_TOKENS, "--disable-uvicorn-access-log"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("VLLM_", "OMP_"))},
        "VLLM_CPU_KVCACHE_SPACE": "2",
        # As in the process: threads bound to cores wait for each other on a shared machine.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))),
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *map(str, arguments)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent
    )
    try:
        deadline = time.monotonic() + 300
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the vLLM server does not start")
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def on_server(endpoint: str, leg: Callable[[], Measured]) -> Measured:
    """Measure a leg whose engine is a server: batch, tokens and cache come from its /metrics."""
    url = endpoint.removesuffix("/v1")
    # Shared: opening a client costs as much CPU as a second of the flow.
    client = httpx.Client(base_url=url)
    before, batches, done = scrape(client), [], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            batches.append((0.5, int(scrape(client)["num_requests_running"])))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        measured = leg()
    finally:
        done.set()
        watcher.join()
    after = scrape(client)
    client.close()
    # Drop the time before the first request and after the last.
    busy = [i for i, (_, n_running) in enumerate(batches) if n_running] or [0]
    measured.batches = batches[busy[0] : busy[-1] + 1]
    measured.n_tokens = int(after["generation_tokens_total"] - before["generation_tokens_total"])
    measured.n_prompt_tokens = int(after["prefix_cache_queries_total"] - before["prefix_cache_queries_total"])
    measured.n_cached_tokens = int(after["prefix_cache_hits_total"] - before["prefix_cache_hits_total"])
    return measured


def scrape(client: httpx.Client) -> dict[str, float]:
    text = client.get("/metrics").text
    return {name: float(value) for name, value in re.findall(r"^vllm:(\w+)\{[^}]*\} (\S+)$", text, re.MULTILINE)}


def datatrove(documents: list[Document], endpoint: str, out: Path) -> Measured:
    """datatrove's runner, which calls `chain` for each document; the chain is ours, so the prompts are the same."""
    packages = out / DATATROVE.replace("==", "-")
    if not packages.is_dir():
        # Its pins conflict with ours; everything else that it needs is installed.
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(packages)]
        subprocess.run([*pip, DATATROVE, *DATATROVE_EXTRAS], check=True)
    sys.path.append(str(packages))
    from datatrove.data import Document as TheirDocument
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter

    model = resolve_model(PACKAGED_MODEL)
    tokenizer = HubTokenizer(model)
    ours = {document.id: document for document in documents}
    watch = Watch()

    class Callback:
        def __init__(self, generate: Any) -> None:
            self._generate = generate
            self.info = EngineInfo(
                engine="datatrove",
                model=model,
                model_revision="",
                tokenizer=model,
                max_context_tokens=CONTEXT_TOKENS,
                max_in_flight=500,
            )

        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            if not watch._first_s:
                watch.start()
            result = await self._generate(
                {
                    "messages": prompt.messages(),
                    "temperature": sampling.temperature,
                    "top_p": sampling.top_p,
                    "max_tokens": sampling.max_tokens,
                    "seed": sampling.seed,
                }
            )
            usage = result.usage
            return Completion(
                text=result.text,
                finish_reason=result.finish_reason,
                n_prompt_tokens=usage["prompt_tokens"],
                n_completion_tokens=usage["completion_tokens"],
            )

        async def close(self) -> None: ...

    async def chain(document: Any, generate: Any) -> list[str]:
        mine = ours[document.id]
        tools = RewriteTools(engine=Callback(generate), tokenizer=tokenizer, check=AcceptAll(), n_retries=0, seed=0)
        (variant,) = draw_variants(RECIPE, mine.id, 1, 0)
        chunks = chunk_document(mine, tokenizer, RECIPE.chunk_tokens)
        rewrite = await rewrite_document(mine, chunks, variant, RECIPE, tools)
        return [part.text for part in rewrite.chunks]

    with tempfile.TemporaryDirectory(prefix="bench-datatrove-") as folder:
        config = InferenceConfig(
            server_type="endpoint", model_name_or_path=model, endpoint_url=endpoint.removesuffix("/v1")
        )
        writer = JsonlWriter(folder, output_filename="${rank}_chunk_${chunk_index}.jsonl")
        runner = InferenceRunner(chain, config, writer, checkpoints_local_dir=f"{folder}/checkpoints")
        runner.run([TheirDocument(id=d.id, text=d.text) for d in documents])
    return watch.stop()


def table(rows: dict[str, dict[str, Any]]) -> None:
    print("\n| leg | output tokens | s | tokens/s | tokens per CPU second | batch mean | p10 | prefix hits |")
    print("|---|---|---|---|---|---|---|---|")
    for name in LEGS:
        if row := rows.get(name):
            print(
                f"| {name} | {row['tokens']:,} | {row['seconds']:.0f} | {row['tokens_per_s']:.1f} "
                f"| {row['tokens_per_cpu_s']:.1f} | {row['batch_mean']:.1f} | {row['batch_p10']} "
                f"| {row['prefix_hits']:.0%} |"
            )
    for above, below in (("flow", "bare"), ("checked", "bare"), ("server", "datatrove")):
        if above in rows and below in rows:
            ratios = (rows[above][name] / rows[below][name] for name in ("tokens_per_s", "tokens_per_cpu_s"))
            print(f"{above} / {below}: {next(ratios):.3f} per second, {next(ratios):.3f} per CPU second")
    for name in LEGS:
        if name in rows and rows[name]["stages"]:
            shares = ", ".join(f"{stage} {share:.2%}" for stage, share in rows[name]["stages"].items())
            print(f"{name}, at work in the wall time: {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=128)
    parser.add_argument(
        "--characters", type=int, default=600, help="length unit of the texts, which have one to five times as many"
    )
    parser.add_argument("--legs", default=",".join(LEGS))
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "bench-throughput")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop everything after so long")
    parser.add_argument("--quick", action="store_true", help="--documents 40 --legs bare,flow --minutes 10")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.documents, arguments.legs, arguments.minutes = 40, "bare,flow", 10
    if not (arguments.data / "documents").is_dir():
        parser.error(f"{arguments.data} has no documents/: give the folder with the data")
    arguments.out.mkdir(parents=True, exist_ok=True)
    documents = read_documents(arguments.data, arguments.documents, arguments.characters)
    legs = arguments.legs.split(",")
    if legs == ["speeds"]:
        speeds(arguments.data, arguments.characters)
    elif len(legs) > 1:
        # Each in its own process, so that none uses the caches of another; legs that are compared run in turns.
        ends_at = time.monotonic() + 60 * arguments.minutes
        for group in (LEGS[:3], LEGS[3:]):
            command = [sys.executable, __file__, str(arguments.data), "--documents", str(arguments.documents)]
            command += ["--characters", str(arguments.characters), "--out", str(arguments.out), "--legs"]
            minutes = (ends_at - time.monotonic()) / 60
            take_turns([[*command, leg] for leg in group if leg in legs], minutes=minutes)
        table({leg: json.loads((arguments.out / f"{leg}.json").read_text()) for leg in legs})
    else:
        (leg,) = legs
        with server() if leg in LEGS[3:] else contextlib.nullcontext("") as endpoint:
            measured = {
                "bare": lambda: bare(documents),
                "flow": lambda: flow(documents, checked=False),
                "checked": lambda: flow(documents, checked=True),
                "server": lambda: on_server(endpoint, lambda: flow(documents, checked=False, endpoint=endpoint)),
                "datatrove": lambda: on_server(endpoint, lambda: datatrove(documents, endpoint, arguments.out)),
            }[leg]()
        (arguments.out / f"{leg}.json").write_text(json.dumps(measured.row()))
        print(leg, json.dumps(measured.row()), flush=True)


if __name__ == "__main__":
    main()
