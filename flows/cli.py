"""The `palimpsest` command."""

import asyncio
import dataclasses
import errno
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich.console import Console

from rephrase.records import Domain

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Rewrite a pre-training corpus so that each token teaches more, and prove that each rewrite says what its "
    "source said.",
)
out = Console()
err = Console(stderr=True)

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

# The groups in which --help shows the options.
READING = "Reading"
REWRITING = "Rewriting"
ENGINE = "Engine"
CHECKING = "Checking"
WRITING = "Writing"


@app.callback()
def settings() -> None:
    """Settings that must stand before Prefect is imported; what the user set stays."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # documents hold all of Unicode, whatever the locale
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    for name, value in {
        # Prefect logs a traceback for every run that fails; what went wrong is said here in one line.
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }.items():
        os.environ.setdefault(name, value)
    # Before torch is imported: it reads the number of threads once.
    from rephrase.engine_vllm import set_environment

    set_environment()


Source = Annotated[str, typer.Argument(help="File, folder or glob: Parquet, JSON Lines (.gz, .zst), .txt, .md, .tex.")]
Output = Annotated[str, typer.Argument(help="Folder for the shards; local, s3://…, gs://…")]


@app.command()
def rephrase(
    source: Source,
    output: Output,
    text_field: Annotated[
        str,
        typer.Option(
            rich_help_panel=READING, help="Field that holds the text, or a JMESPath such as 'paragraphs[].context'."
        ),
    ] = "text",
    id_field: Annotated[
        str, typer.Option(rich_help_panel=READING, help="Field that holds the id; without one, ids are made.")
    ] = "id",
    title_field: Annotated[
        str, typer.Option(rich_help_panel=READING, help="Field that holds the title, if any.")
    ] = "title",
    language_field: Annotated[
        str, typer.Option(rich_help_panel=READING, help="Field that holds the language, if any.")
    ] = "language",
    metadata_field: Annotated[
        list[str] | None, typer.Option(rich_help_panel=READING, help="Field to carry along; may be repeated.")
    ] = None,
    domain: Annotated[Domain, typer.Option(rich_help_panel=READING, help="What the documents are.")] = Domain.KNOWLEDGE,
    limit: Annotated[
        int | None, typer.Option(rich_help_panel=READING, min=1, help="Take only the first so many records.")
    ] = None,
    max_document_chars: Annotated[
        int, typer.Option(rich_help_panel=READING, min=1, help="Longer documents are rejected.")
    ] = 1_000_000,
    recipe: Annotated[
        str,
        typer.Option(rich_help_panel=REWRITING, help="auto (by domain and language), none, a recipe, or several: a+b."),
    ] = "auto",
    recipes: Annotated[
        list[str] | None, typer.Option(rich_help_panel=REWRITING, help="A recipe file of your own; may be repeated.")
    ] = None,
    variants: Annotated[
        int,
        typer.Option(
            rich_help_panel=REWRITING, min=1, max=1000, help="Rewrites of each document, each in another style."
        ),
    ] = 1,
    retries: Annotated[
        int, typer.Option(rich_help_panel=REWRITING, min=0, help="Further tries for a chunk that was refused.")
    ] = 2,
    seed: Annotated[int, typer.Option(rich_help_panel=REWRITING, min=0, help="Another seed gives other rewrites.")] = 0,
    engine: Annotated[
        Literal["vllm", "openai"],
        typer.Option(rich_help_panel=ENGINE, help="vllm: in this process. openai: a server at --endpoint."),
    ] = "vllm",
    model: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=ENGINE,
            help="Hub id or folder; by default the small packaged model, or what the server has.",
        ),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=ENGINE, help="Base URL such as http://localhost:8000/v1; may be repeated."),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(rich_help_panel=ENGINE, help="For --engine openai: counts tokens, if not the model.")
    ] = None,
    max_context_tokens: Annotated[int, typer.Option(rich_help_panel=ENGINE, min=256, help="For --engine vllm.")] = 4096,
    in_flight: Annotated[
        int | None, typer.Option(rich_help_panel=ENGINE, min=1, help="Requests at once; by default what fits.")
    ] = None,
    timeout_s: Annotated[
        float, typer.Option(rich_help_panel=ENGINE, min=1, help="For --engine openai: for one request.")
    ] = 300,
    encoder: Annotated[
        str, typer.Option(rich_help_panel=CHECKING, help="Embedding model: hub id or folder.")
    ] = "all-MiniLM-L6-v2",
    min_similarity: Annotated[
        float,
        typer.Option(
            rich_help_panel=CHECKING, min=-1, max=1, help="Cosine similarity to its chunk that a rewrite needs."
        ),
    ] = 0.7,
    part_bytes: Annotated[
        int | None,
        typer.Option(rich_help_panel=WRITING, min=1, help="Text per shard in bytes; by default about 1000 shards."),
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", rich_help_panel=WRITING, help="Print the summary as JSON.")
    ] = False,
) -> None:
    """Rewrite documents, check each rewrite against its source, write Parquet shards.

    Nothing is lost when it stops: **the same command goes on** where it was stopped or killed. The API key for
    `--engine openai` is read from OPENAI_API_KEY.

    Examples:

        palimpsest rephrase corpus.jsonl out --variants 3

        palimpsest rephrase wiki.jsonl out --text-field 'paragraphs[].context' --limit 10

        palimpsest rephrase 's3://bucket/in/*.parquet' out --engine openai --endpoint http://gpu1:8000/v1
    """
    run(
        {
            "source": source,
            "output": output,
            "text_field": text_field,
            "id_field": id_field,
            "title_field": title_field,
            "language_field": language_field,
            "metadata_fields": metadata_field or (),
            "domain": domain,
            "max_document_chars": max_document_chars,
            "limit": limit,
            "part_bytes": part_bytes,
            "recipe": recipe,
            "recipe_files": recipes or (),
            "n_variants": variants,
            "n_retries": retries,
            "seed": seed,
            "engine": {
                "kind": engine,
                "model": model,
                "tokenizer": tokenizer,
                "endpoints": endpoint or (),
                "max_context_tokens": max_context_tokens,
                "max_in_flight": in_flight,
                "timeout_s": timeout_s,
            },
            "fidelity": {"encoder": encoder, "min_similarity": min_similarity},
        },
        json_output,
    )


@app.command()
def inspect(
    output: Output,
    examples: Annotated[int, typer.Option(min=0, help="Accepted rewrites, and rejects, to show.")] = 3,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what a run wrote: the account, rewrites beside their sources, rejects by reason."""
    from flows.inspection import example_rows, print_inspection
    from flows.summary import summarize
    from rephrase.storage import Storage

    storage = Storage(output)
    with explained():
        summary = summarize(storage)
        if json_output:
            print_json({**dataclasses.asdict(summary), **example_rows(storage, examples)})
        else:
            print_inspection(out, storage, summary, examples)


@app.command()
def demo(
    output: Annotated[str, typer.Argument(help="Folder for the shards.")] = "demo-output",
) -> None:
    """Rewrite documents that ship inside installed packages, in several styles, with the packaged models."""
    from flows.demo import run_demo

    with explained():
        run_demo(output, out, err)


def run(values: dict[str, Any], json_output: bool) -> None:
    """Validate the options, run the flow with a progress line, print the account."""
    from flows.inspection import summary_table
    from flows.local import run_locally

    with explained():
        summary = run_locally(values, err)
        if json_output:
            print_json(dataclasses.asdict(summary))
        else:
            out.print(summary_table(summary))
            out.print(f"[dim]look at it: palimpsest inspect {summary.output}[/dim]")


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


class explained:  # noqa: N801  reads as a statement
    """Turn the errors that a user can do something about into one line and an exit code.

    PALIMPSEST_DEBUG=1 shows the traceback instead.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, BaseExceptionGroup):
            error = leaves(error)[0]
        if error is None or os.environ.get("PALIMPSEST_DEBUG"):
            return
        stopped = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
        if stopped or type(error).__name__ == "TerminationSignal":  # Prefect's, for SIGTERM
            err.print("[yellow]stopped; what was finished is kept. The same command goes on from there.[/yellow]")
            raise typer.Exit(EXIT_INTERRUPTED if stopped else EXIT_TERMINATED)
        if isinstance(error, ValidationError):
            fail("; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()))
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            fail(f"{error}; make room and run the same command again: what was finished is kept")
        if isinstance(error, ValueError | RuntimeError | OSError | ImportError):
            fail(f"{error}" if str(error) else type(error).__name__)


def fail(message: str) -> None:
    err.print("error:", style="bold red", end=" ")
    err.print(message, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def leaves(group: BaseExceptionGroup) -> Sequence[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


def main() -> None:
    app()
