"""How close the scheduler gets to a lower bound on the makespan, and what a decision costs, up to a million documents.

    python tests/benchmarks/bench_scheduler.py DATA [--documents 1000,10000,100000,1000000]

The scheduler is the real one, on a simulated engine and a clock that jumps (rephrase/scheduling/simulation.py).
Documents are drawn from the US history sections and the Wikipedia articles and paragraphs of DATA/documents, with their
real chunks. A chunk is retried until it is accepted, up to three attempts in all.
"""

import argparse
import json
import random
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rephrase.corpus.chunking import chunk_document
from rephrase.dataset.plan import MAX_PART_BYTES, MIN_PART_BYTES, N_PARTS
from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
from rephrase.models.tokenizer import HubTokenizer
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Document
from rephrase.scheduling.scheduler import Scheduler
from rephrase.scheduling.simulation import BatchSpeed, Chain, simulate

# (concurrent requests, tokens per second): the packaged model in vLLM in the process, eager, two idle cores, 150 prompt
# tokens, up to 160 generated. `python tests/benchmarks/bench_throughput.py DATA --legs speeds` measures them again.
MEASURED = [(1, 26.0), (8, 115.0), (32, 205.0)]
# The hardest case for a schedule: a step takes as long for one request as for a full batch, as on a memory-bound GPU,
# so that every empty place in the batch is lost.
HARDEST = BatchSpeed(fixed_s=0.03, per_request_s=0.0)

FILES = ("openstax_us_history", "wikipedia_squad2_articles", "xquad_en")
OUTPUT_PER_INPUT_TOKEN = 0.8
ACCEPTED_SHARE = 0.7
N_ATTEMPTS = 3
CHECK_S = 0.1


def chunk_lengths(data: Path, files: Sequence[str] = FILES) -> list[tuple[int, list[int]]]:
    """(bytes, tokens of each chunk) of every document."""
    tokenizer, recipe = HubTokenizer(resolve_model(PACKAGED_MODEL)), load_recipes()["rephrase"]
    texts = []
    for file in files:
        for line in (data / "documents" / f"{file}.jsonl").open(encoding="utf-8"):
            record = json.loads(line)
            paragraphs = "\n\n".join(p["context"] for p in record.get("paragraphs", []))
            texts.append(record.get("text") or record.get("context") or paragraphs)
    found = []
    for number, text in enumerate(texts):
        chunks = chunk_document(Document(id=str(number), text=text, source=""), tokenizer, recipe.chunk_tokens)
        found.append((len(text.encode()), [chunk.n_tokens for chunk in chunks]))
    return found


def draw_parts(lengths: list[tuple[int, list[int]]], n_documents: int) -> list[list[Chain]]:
    """Documents drawn with replacement, split into parts as in `rephrase.dataset.plan`."""
    generator = random.Random(n_documents)
    drawn = generator.choices(lengths, k=n_documents)
    part_bytes = min(max(sum(n for n, _ in drawn) // N_PARTS, MIN_PART_BYTES), MAX_PART_BYTES)
    parts: list[list[Chain]] = [[]]
    n_part_bytes = 0
    for n_bytes, chunks in drawn:
        if parts[-1] and n_part_bytes + n_bytes > part_bytes:
            parts.append([])
            n_part_bytes = 0
        chain = []
        for n_tokens in chunks:
            n_out = max(1, round(n_tokens * OUTPUT_PER_INPUT_TOKEN * generator.uniform(0.6, 1.4)))
            n_attempts = next((t for t in range(1, N_ATTEMPTS) if generator.random() < ACCEPTED_SHARE), N_ATTEMPTS)
            chain += [n_out] * n_attempts
        parts[-1].append(chain)
        n_part_bytes += n_bytes
    return parts


class DecisionTimer:
    """Total time that the scheduler spends on decisions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, scheduler: Scheduler) -> None:
        dispatch = scheduler._dispatch

        def timed() -> None:
            # Thread time, since the machine may be shared.
            began = time.thread_time()
            dispatch()
            self.seconds += time.thread_time() - began

        scheduler._dispatch = timed  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", default="1000,10000,100000")
    parser.add_argument("--files", default=",".join(FILES), help="of DATA/documents, without .jsonl")
    arguments = parser.parse_args()
    if not (arguments.data / "documents").is_dir():
        parser.error(f"{arguments.data} has no documents/: give the folder with the data")
    lengths = chunk_lengths(arguments.data, arguments.files.split(","))
    n_chunks = sorted(len(chunks) for _, chunks in lengths)
    print(
        f"{len(lengths)} documents of {n_chunks[0]} to {n_chunks[-1]} chunks, median {n_chunks[len(n_chunks) // 2]}, "
        f"mean {sum(n_chunks) / len(n_chunks):.1f}\n"
    )
    speeds: list[tuple[str, BatchSpeed, int]] = [
        ("measured", BatchSpeed.fit(MEASURED), 32),
        ("hardest", HARDEST, 32),
        ("hardest", HARDEST, 256),
    ]
    print(
        "| documents | chunks with retries | engine | concurrent | makespan / bound | µs to decide | µs in total | MB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for n_documents in map(int, arguments.documents.split(",")):
        parts = draw_parts(lengths, n_documents)
        for name, speed, n_slots in speeds if n_documents <= 10_000 else speeds[:1]:
            timer = DecisionTimer()
            began = time.thread_time()
            result = simulate(parts, speed, n_slots, check_s=CHECK_S, on_scheduler=timer.watch)
            seconds = time.thread_time() - began
            figures: list[Any] = [f"{n_documents:,}", f"{result.n_chunks:,}", name, n_slots]
            figures += [f"{result.makespan_s / result.bound_s:.3f}", f"{1e6 * timer.seconds / result.n_chunks:.1f}"]
            figures += [f"{1e6 * seconds / result.n_chunks:.0f}"]
            figures += [f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"]
            print("| " + " | ".join(map(str, figures)) + " |", flush=True)


if __name__ == "__main__":
    main()
