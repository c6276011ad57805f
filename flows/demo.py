"""The demo: real documents that ship inside installed packages, found when it runs, through the whole pipeline."""

import importlib.resources
import inspect
import json
import re
from pathlib import Path

from rich.console import Console

from flows.inspection import accepted_examples, print_example, print_summary, rejected_examples
from flows.local import run_locally
from rephrase.rows import Row
from rephrase.shards import read_rewrites
from rephrase.storage import Storage

# Short enough that the demo ends within minutes on two cores.
MAX_CHARACTERS = 4000
N_VARIANTS = 2

MPMATH_FUNCTIONS = ("zeta", "gamma", "erf", "lambertw", "agm", "bernoulli", "polylog", "besselj")


def packaged_documents() -> list[Row]:
    """scikit-learn's descriptions of its data sets and what mpmath says of some functions, as records.

    Raises:
        ValueError: these packages are not installed.
    """
    try:
        folder = importlib.resources.files("sklearn.datasets.descr")
        from mpmath import function_docs
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the demo reads the documentation of packages that `make install` installs: {error}"
        ) from error
    records = []
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        text = file.read_text("utf-8") if file.name.endswith(".rst") else ""
        text = re.sub(r"^\.\. .*\n", "", text, flags=re.MULTILINE).strip()  # labels and other directives
        if 0 < len(text) <= MAX_CHARACTERS:
            records.append({"id": f"sklearn/{file.name}", "title": text.splitlines()[0], "text": text})
    for name in MPMATH_FUNCTIONS:
        # The explanation; the examples after it are code.
        text = inspect.cleandoc(getattr(function_docs, name)).split("**Examples**")[0].split(">>>")[0].strip()
        records.append({"id": f"mpmath/{name}", "title": f"The function {name}", "text": text[:MAX_CHARACTERS]})
    return records


def run_demo(output: str, out: Console, err: Console) -> None:
    """Rewrite the packaged documents into `output` and show what came of it; a demo that was stopped goes on."""
    records = packaged_documents()
    source = Path(output) / "source" / "documents.jsonl"
    source.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if not source.exists() or source.read_text("utf-8") != lines:
        source.write_text(lines, "utf-8")
    out.print(
        f"[bold]Palimpsest demo[/bold]\n"
        f"{len(records)} documents from the documentation of scikit-learn and mpmath are cut into chunks of at most "
        f"256 tokens. A small language model (SmolLM2-135M-Instruct, inside vLLM) rewrites each document in "
        f"{N_VARIANTS} styles, chunk after chunk. A rewrite is refused for its form (cut off, a loop, a copy, chatter) "
        f"or when its embedding (all-MiniLM-L6-v2) is too far from the source's; it is then tried once more. "
        f"It takes a few minutes.\n"
    )
    summary = run_locally(
        {
            "source": str(source),
            "output": str(Path(output) / "shards"),
            "n_variants": N_VARIANTS,
            "n_retries": 1,
            "part_bytes": 16_000,
        },
        err,
    )
    storage = Storage(summary.output)
    out.print()
    print_summary(out, summary)
    n_rows = sum(table.num_rows for table in read_rewrites(storage, ["id", "text"]))
    out.print(f"\nread back: {n_rows} rewrites from {summary.n_parts_committed} committed shards\n")
    out.print("[bold]Two rewrites that were accepted[/bold], each beside the chunk it came from:")
    for example in accepted_examples(storage, 2):
        print_example(out, example)
    out.print("[bold]One that was refused[/bold], kept with its reason in rejects/:")
    for example in rejected_examples(storage, 1):
        print_example(out, example)
    out.print(
        f"The model is small and often wrong, also where it was accepted: real corpora want 1B and more.\n"
        f"See more:      palimpsest report {summary.output}\n"
        f"Your corpus:   palimpsest rephrase corpus.jsonl out --variants 3\n"
        f"In Python:     datasets.load_dataset('parquet', data_files='{summary.output}/rewrites/*.parquet')"
    )
    if not n_rows:
        raise RuntimeError("the demo ended without one accepted rewrite; the table above says why")
