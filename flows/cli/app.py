"""The `palimpsest` command."""

import asyncio
import dataclasses
import errno
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich.console import Console

from flows.doctor_commands import doctor
from flows.plan_commands import with_options_of
from flows.report_commands import report
from flows.serve_commands import serve
from flows.verify_commands import calibrate, verify
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

# What becomes of the options of `rephrase`: it runs with them, `plan` reckons with them.
use_of_options: ContextVar[Callable[[dict[str, Any], bool], None] | None] = ContextVar("use_of_options", default=None)

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

# The groups in which --help shows the options.
READING = "Reading"
REWRITING = "Rewriting"
ENGINE = "Engine"
CHECKING = "Checking"
COST = "Target and cost"
WRITING = "Writing"


@app.callback()
def settings(context: typer.Context) -> None:
    """Settings that must stand before Prefect is imported; what the user set stays."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # documents hold all of Unicode, whatever the locale
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if context.invoked_subcommand != "serve":
        # Prefect logs a traceback for every run that fails; what went wrong is said here in one line.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    for name, value in {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # It would print each event that could not be sent while a server was away, though it is sent later.
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
        # The waits double: a server that is away for eight minutes does not end a run.
        "PREFECT_CLIENT_MAX_RETRIES": "8",
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
    new_files: Annotated[
        bool, typer.Option("--new-files", rich_help_panel=READING, help="Take files that came since the last run.")
    ] = False,
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
    on_reject: Annotated[
        Literal["reject", "keep", "document"],
        typer.Option(
            rich_help_panel=REWRITING,
            help="A chunk refused after all tries: reject leaves it out, keep puts its source in its place, "
            "document refuses the whole document.",
        ),
    ] = "reject",
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
    runner: Annotated[
        Literal["local", "ray"],
        typer.Option(rich_help_panel=ENGINE, help="local: all in this process. ray: on the machines of a Ray cluster."),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(rich_help_panel=ENGINE, help="For --runner ray: its head, such as 10.0.0.1:6379."),
    ] = None,
    ray_gpus: Annotated[
        float, typer.Option(rich_help_panel=ENGINE, min=0, help="For --runner ray: GPUs of each worker.")
    ] = 0,
    encoder: Annotated[
        str, typer.Option(rich_help_panel=CHECKING, help="Embedding model: hub id or folder.")
    ] = "all-MiniLM-L6-v2",
    min_similarity: Annotated[
        float,
        typer.Option(
            rich_help_panel=CHECKING, min=-1, max=1, help="Cosine similarity to its chunk that a rewrite needs."
        ),
    ] = 0.7,
    multilingual_encoder: Annotated[
        str, typer.Option(rich_help_panel=CHECKING, help="The same for translations.")
    ] = "multilingual-e5-small",
    min_cross_lingual: Annotated[
        float, typer.Option(rich_help_panel=CHECKING, min=-1, max=1, help="The same for translations.")
    ] = 0.8,
    target_tokens: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=COST,
            min=1,
            help="Stop when so many tokens are accepted, at the end of a document. Run again with a larger number, or "
            "without, to go on.",
        ),
    ] = None,
    price_per_hour: Annotated[
        float, typer.Option(rich_help_panel=COST, min=0, help="Of all engines together; any currency.")
    ] = 0,
    price_in: Annotated[
        float, typer.Option(rich_help_panel=COST, min=0, help="Of a million prompt tokens, for servers.")
    ] = 0,
    price_out: Annotated[
        float, typer.Option(rich_help_panel=COST, min=0, help="Of a million generated tokens, for servers.")
    ] = 0,
    min_probability: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=CHECKING,
            min=0,
            max=1,
            help="Probability of being faithful that a rewrite needs; by default what the calibration says.",
        ),
    ] = None,
    calibration: Annotated[
        str | None, typer.Option(rich_help_panel=CHECKING, help="Weights that `palimpsest calibrate` wrote.")
    ] = None,
    likelihood: Annotated[
        bool,
        typer.Option(
            rich_help_panel=CHECKING,
            help="Ask the rewriting model how probable an undecided rewrite is given its source.",
        ),
    ] = True,
    entailment: Annotated[
        str | None,
        typer.Option(rich_help_panel=CHECKING, help="Cross-encoder for undecided rewrites: hub id or folder."),
    ] = None,
    part_bytes: Annotated[
        int | None,
        typer.Option(rich_help_panel=WRITING, min=1, help="Text per shard in bytes; by default about 1000 shards."),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(rich_help_panel=WRITING, help="Licence of the data set, for its data card."),
    ] = None,
    source_description: Annotated[
        str | None, typer.Option(rich_help_panel=WRITING, help="What the sources are, for the data card.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=WRITING,
            min=1,
            max=65535,
            envvar="PALIMPSEST_METRICS_PORT",
            help="Serve metrics for Prometheus at http://127.0.0.1:PORT/metrics.",
        ),
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
    if metrics_port:
        os.environ["PALIMPSEST_METRICS_PORT"] = str(metrics_port)
    (use_of_options.get() or run)(
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
            "new_files": new_files,
            "part_bytes": part_bytes,
            "license": license,
            "source_description": source_description,
            "recipe": recipe,
            "recipe_files": recipes or (),
            "n_variants": variants,
            "n_retries": retries,
            "on_reject": on_reject,
            "seed": seed,
            "target_tokens": target_tokens,
            "price_per_hour": price_per_hour,
            "price_in": price_in,
            "price_out": price_out,
            "runner": runner,
            "ray": {"address": ray_address, "gpus_per_part": ray_gpus},
            "engine": {
                "kind": engine,
                "model": model,
                "tokenizer": tokenizer,
                "endpoints": endpoint or (),
                "max_context_tokens": max_context_tokens,
                "max_in_flight": in_flight,
                "timeout_s": timeout_s,
            },
            "fidelity": {
                "encoder": encoder,
                "min_similarity": min_similarity,
                "multilingual_encoder": multilingual_encoder,
                "min_cross_lingual": min_cross_lingual,
                "min_probability": min_probability,
                "calibration": calibration,
                "likelihood": likelihood,
                "entailment": entailment,
            },
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
def check(
    output: Output,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Verify a whole dataset; the exit code is 1 when something is wrong, and it says what to do.

    Every file is read: checksums, schema and counts of each commit; no id and no record twice; accepted + rejected +
    to do = input; no file that belongs to nothing. What a killed run left behind and the next one puts in order is a
    note, not an error.

    Examples:

        palimpsest check out

        palimpsest check s3://bucket/out --json
    """
    from flows.check_commands import print_audit
    from rephrase.audit import audit
    from rephrase.storage import Storage

    with explained():
        with err.status("reading …") as status:
            found = audit(Storage(output), lambda done, of: status.update(f"{done:,} of {of:,} parts"))
        if json_output:
            print_json(dataclasses.asdict(found))
        else:
            print_audit(out, found)
        if found.problems:
            raise typer.Exit(1)


@app.command()
def demo(
    output: Annotated[str, typer.Argument(help="Folder for the shards.")] = "demo-output",
) -> None:
    """Rewrite documents that ship inside installed packages, in several styles, with the packaged models."""
    from flows.demo import run_demo

    with explained():
        run_demo(output, out, err)


app.command()(serve)
app.command()(doctor)
app.command()(verify)
app.command()(calibrate)


recipes_app = typer.Typer(help="List the recipes, or show what one would say to a model.")
app.add_typer(recipes_app, name="recipes")
RecipeFiles = Annotated[list[str] | None, typer.Option("--recipes", help="A recipe file of your own; may be repeated.")]


@recipes_app.callback(invoke_without_command=True)
def list_recipes(
    context: typer.Context,
    recipes: RecipeFiles = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the recipes with their styles, perspectives and checks."""
    if context.invoked_subcommand:
        return
    from flows.recipe_commands import print_recipes, recipe_rows
    from rephrase.recipes import load_recipes

    with explained():
        rows = recipe_rows(load_recipes(recipes or ()))
        if json_output:
            print_json(rows)
        else:
            print_recipes(out, rows)


@recipes_app.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(help="The recipe.")],
    on: Annotated[str, typer.Option(help="A corpus; its first document is shown.")],
    text_field: Annotated[str, typer.Option(help="Field that holds the text.")] = "text",
    recipes: RecipeFiles = None,
    chunks: Annotated[int, typer.Option(min=1, help="Prompts for so many chunks.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="As for rephrase.")] = 0,
    model: Annotated[str, typer.Option(help="Whose tokenizer cuts the chunks.")] = "SmolLM2-135M-Instruct",
) -> None:
    """Print the exact prompts for a real document, without running a model."""
    from flows.recipe_commands import first_document, show_prompts
    from rephrase.models import resolve_model
    from rephrase.reading import Fields, ReadOptions
    from rephrase.recipes import load_recipes
    from rephrase.routing import require_recipes
    from rephrase.tokenizer import HubTokenizer

    with explained():
        found = load_recipes(recipes or ())
        require_recipes(name, found)
        document = first_document(on, ReadOptions(fields=Fields(text=text_field)))
        for prompt in show_prompts(found[name], document, HubTokenizer(resolve_model(model)), chunks, seed):
            for role, text in (("system", prompt.system), ("user", prompt.user)):
                out.print(f"[bold cyan]── {role} ──[/bold cyan]")
                out.print(text, markup=False, highlight=False, soft_wrap=True)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(context: typer.Context) -> None:
    """Train a mixture-of-experts model with MuonClip on the shards of a run."""
    from rephrase.models import PACKAGED_MODEL, resolve_model
    from training.__main__ import main as train_main

    with explained():
        asked = [argument for argument in context.args if argument.startswith("--tokenizer")]
        tokenizer = PACKAGED_MODEL if asked or {"-h", "--help"} & {*context.args} else resolve_model(PACKAGED_MODEL)
        code = train_main(context.args, prog="palimpsest train", tokenizer=tokenizer)
    raise typer.Exit(code)


@app.command()
def presets(json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the model shapes that `train` knows, with their parameters."""
    from rich.table import Table

    from training.presets import list_presets

    rows = list_presets()
    if json_output:
        print_json(rows)
        return
    table = Table("preset", "parameters", "active", "layers", "hidden", "experts (active)", "context")
    for row in rows:
        shape = row["shape"]
        table.add_row(
            row["name"],
            f"{row['n_parameters'] / 1e9:,.3f} B",
            f"{row['n_active_parameters'] / 1e9:,.3f} B",
            *(str(shape[name]) for name in ("n_layers", "hidden_size")),
            f"{shape['n_experts']} ({shape['n_active_experts']})",
            str(shape["context_length"]),
        )
    out.print(table)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="Folder of a training run.")],
    folder: Annotated[str, typer.Argument(help="Where to write the model.")],
) -> None:
    """Write the newest checkpoint as a folder that transformers' AutoModelForCausalLM loads, with its tokenizer."""
    from training.run import export_run

    with explained():
        export_run(run, folder)
        out.print(f"written: {folder}")


@app.command()
def utility(run: Annotated[str, typer.Argument(help="Folder of a training run.")]) -> None:
    """Show what each source, recipe, style and repetition taught the model per token."""
    from pathlib import Path

    from rich.markdown import Markdown

    report = Path(run) / "utility.md"
    with explained():
        if not report.exists():
            raise FileNotFoundError(f"{report} is not there: it is written when a training run ends")
        out.print(Markdown(report.read_text("utf-8")))
        out.print(f"more: {run}/utility.parquet, {run}/utility.svg, {run}/max_logits.svg, {run}/mixture.json")


app.command()(report)
app.command()(with_options_of(rephrase, use_of_options))


def run(values: dict[str, Any], json_output: bool) -> None:
    """Validate the options, run the flow with a progress line, print the account."""
    from flows.inspection import print_summary
    from flows.local import run_locally

    with explained():
        summary = run_locally(values, err)
        if json_output:
            print_json(dataclasses.asdict(summary))
        else:
            print_summary(out, summary)
            out.print(
                f"[dim]look at it: palimpsest report {summary.output} (or inspect, in the terminal)[/dim]",
                soft_wrap=True,
            )


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
        of_s3 = type(error).__module__.startswith("botocore.")  # no key, no connection
        if of_s3 or isinstance(error, ValueError | RuntimeError | OSError | ImportError):
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
