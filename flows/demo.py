"""The demo: run the whole pipeline on real documents found in installed packages."""

import importlib
import importlib.resources
import inspect
import json
import re
from pathlib import Path

from rich.console import Console

from flows.local import run_locally
from flows.results.inspection import accepted_examples, print_example, print_summary, rejected_examples
from rephrase.dataset.rows import Row
from rephrase.dataset.shards import read_rewrites
from rephrase.storage.storage import Storage

# Half a minute of training on two cores: a vocabulary learnt from the text of the demo, and 16 steps of 1,024 tokens.
VOCABULARY = 2048
N_STEPS = 16
ROW_LENGTH = 256
ROWS_PER_STEP = 4

MODULES = ("scipy.cluster.vq", "scipy.stats.qmc", "networkx.algorithms.summarization")
MPMATH_FUNCTIONS = ("zeta", "gamma", "erf", "lambertw", "agm", "bernoulli", "polylog", "besselj")
MIN_PARAGRAPH_CHARACTERS = 150


def packaged_documents() -> list[Row]:
    """Prose from the documentation of scikit-learn's data sets and parts of SciPy, NetworkX and mpmath, as records.

    Raises:
        ValueError: these packages are not installed.
    """
    try:
        folder = importlib.resources.files("sklearn.datasets.descr")
        modules = [importlib.import_module(name) for name in MODULES]
        from mpmath import function_docs
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the demo reads the documentation of packages that `make install` installs: {error}"
        ) from error
    found = [
        (f"sklearn/{file.name}", file.read_text("utf-8"))
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if file.name.endswith(".rst")
    ]
    found += [(module.__name__, module.__doc__ or "") for module in modules]
    found += [(f"mpmath/{name}", inspect.cleandoc(getattr(function_docs, name))) for name in MPMATH_FUNCTIONS]
    records = ({"id": name, "title": _title(name), "text": prose(text)} for name, text in found)
    return [record for record in records if record["text"]]


def _title(name: str) -> str:
    """ "sklearn/breast_cancer.rst" is the breast cancer data set."""
    package, _, rest = name.partition("/")
    words = rest.removesuffix(".rst").replace("_", " ")
    return {"sklearn": f"The data set {words}", "mpmath": f"The function {words}"}.get(package, name)


def prose(text: str) -> str:
    """Only the paragraphs of prose: a small model fails on tables, signatures and examples."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))
    return "\n\n".join(p for p in paragraphs if len(p) >= MIN_PARAGRAPH_CHARACTERS and _is_prose(p))


def _is_prose(paragraph: str) -> bool:
    n_letters = sum(char.isalpha() or char.isspace() for char in paragraph)
    return (
        n_letters > 0.9 * len(paragraph)
        and paragraph[0].isupper()
        and paragraph[-1] in ".!?"
        and not re.search(r">>>|::|:math:|--|https?:", paragraph)
    )


def run_demo(output: str, out: Console, err: Console) -> None:
    """Rewrite the packaged documents into `output` and show the results; a stopped demo resumes."""
    records = packaged_documents()
    source = Path(output) / "source" / "documents.jsonl"
    source.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if not source.exists() or source.read_text("utf-8") != lines:
        source.write_text(lines, "utf-8")
    out.print(
        f"[bold]Palimpsest demo[/bold]\n"
        f"{len(records)} documents from the documentation of scikit-learn, SciPy, NetworkX and mpmath. A model of 135M "
        f"parameters (SmolLM2-135M-Instruct with a small adapter, inside vLLM) is too small to say the same in new "
        f"words, so here it writes questions, and the sentences are the answers. Of four questions about a "
        "sentence, the best that passes the checks is kept. The checks are form, meaning (all-MiniLM-L6-v2), "
        "facts, and a reader that looks for what is unfaithful, missing or garbled. With a model of 1B parameters "
        "or more, the same command rewrites the text itself.\n"
    )
    summary = run_locally(
        {
            "source": str(source),
            "output": str(Path(output) / "shards"),
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
    if n_rows:
        out.print("[bold]Accepted[/bold], beside its source:")
    else:
        out.print("[bold]No rewrite was accepted this time[/bold]; the summary above says why.\n")
    for example in accepted_examples(storage, 2):
        print_example(out, example)
    out.print("[bold]One that was rejected[/bold], kept with its reason in rejects/:")
    for example in rejected_examples(storage, 1):
        print_example(out, example)
    out.print(
        "Some accepted questions still fit their sentence badly: real corpora need a model of 1B parameters or more.\n"
    )
    run = str(Path(output) / "training")
    if n_rows:
        train_on(storage, run, out)
    out.print(
        f"See more:      palimpsest report {summary.output}\n"
        f"Your corpus:   palimpsest rephrase corpus.jsonl out --variants 3\n"
        f"In Python:     datasets.load_dataset('parquet', data_files='{summary.output}/rewrites/*.parquet')"
    )


def train_on(shards: Storage, run: str, out: Console) -> None:
    """Train a model on the demo's shards for half a minute, in the folder `run`, and show what each style taught it."""
    from rich.markdown import Markdown

    from training.data.byte_pairs import corpus_texts, train_tokenizer
    from training.loop.run import train
    from training.loop.run_options import RunOptions

    tokenizer = Path(run) / "tokenizer"
    n_words = train_tokenizer(corpus_texts([shards.url]), VOCABULARY, tokenizer)
    out.print(
        f"[bold]Training[/bold] a mixture of experts (preset nano) with MuonClip on these shards: {N_STEPS} steps of "
        f"{ROWS_PER_STEP * ROW_LENGTH:,} tokens, with a vocabulary of {n_words:,} learnt from them.\n"
    )
    options = RunOptions(
        preset="nano",
        tokenizer=str(tokenizer),
        n_steps=N_STEPS,
        row_length=ROW_LENGTH,
        rows_per_step=ROWS_PER_STEP,
        micro_batch_rows=ROWS_PER_STEP,
        momentum=0.85,
        n_warmup=4,
        align_every=2,
    )
    summary = train(shards.url, run, options)
    out.print(f"{summary.n_steps} steps, {summary.n_tokens:,} tokens, loss {summary.loss:.2f}")
    out.print(Markdown((Path(run) / "utility.md").read_text("utf-8")))
    out.print("A few thousand tokens say nothing about a style: this shows where to find the figures of a real run.\n")
