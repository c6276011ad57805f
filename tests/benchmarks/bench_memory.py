"""Does memory grow with the corpus? Peak resident memory of `palimpsest rephrase` at ten times the documents.

    python tests/benchmarks/bench_memory.py [--documents 500] [--times 10]

The command is the real one with a scripted engine (tests/run_scripted.py): this measures reading, chunking, scheduling,
checking, the journal, the commits and Prefect, but no model.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parent.parent
WORDS_PER_DOCUMENT = 1500
PART_BYTES = 64 << 10
LIMIT = 1.1


def write_corpus(path: Path, n_documents: int) -> None:
    generator = random.Random(0)
    words = [f"word{number}" for number in range(5000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_documents):
            sentences = [" ".join(generator.sample(words, 12)) + "." for _ in range(WORDS_PER_DOCUMENT // 12)]
            file.write(json.dumps({"id": f"d{number}", "text": " ".join(sentences)}) + "\n")


def peak(folder: Path, n_documents: int) -> tuple[float, float, dict[str, int]]:
    """Peak resident MB of the process, its seconds, and its summary."""
    corpus = folder / f"{n_documents}.jsonl"
    write_corpus(corpus, n_documents)
    command = [
        sys.executable,
        str(TESTS / "run_scripted.py"),
        "rephrase",
        str(corpus),
        str(folder / f"out{n_documents}"),
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "PREFECT_HOME": str(folder / "prefect"),
        "SCRIPTED_IN_FLIGHT": "32",
    }
    began = time.monotonic()
    with (folder / "summary.json").open("w+") as out, (folder / "err.txt").open("w+") as err:
        process = subprocess.Popen(
            [*command, "--part-bytes", str(PART_BYTES), "--json"], env=environment, stdout=out, stderr=err
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(err.read()[-2000:])
        return used.ru_maxrss / 1024, time.monotonic() - began, json.load(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--times", type=int, default=10)
    arguments = parser.parse_args()
    peaks = []
    print("| documents | parts | chunks | s | peak MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as folder:
        for n_documents in (arguments.documents, arguments.documents * arguments.times):
            megabytes, seconds, summary = peak(Path(folder), n_documents)
            peaks.append(megabytes)
            print(
                f"| {n_documents:,} | {summary['n_parts_committed']:,} | {summary['n_chunks']:,} | {seconds:.0f} "
                f"| {megabytes:.0f} |",
                flush=True,
            )
    print(f"\n{peaks[1] / peaks[0]:.3f} times the memory at {arguments.times} times the documents")
    if peaks[1] > LIMIT * peaks[0]:
        raise SystemExit(f"that exceeds the limit of {LIMIT}")


if __name__ == "__main__":
    main()
