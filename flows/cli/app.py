"""The `palimpsest` command: its subcommands, and what must be set before any of them runs."""

import importlib.metadata
import io
import os
import sys
from typing import Annotated

import typer

from flows.cli.calibrate import calibrate
from flows.cli.check import check
from flows.cli.cycle import cycle
from flows.cli.demo import demo
from flows.cli.doctor import doctor
from flows.cli.inspect import inspect
from flows.cli.plan import plan
from flows.cli.recipes import recipes_app
from flows.cli.refilter import refilter
from flows.cli.rephrase import rephrase
from flows.cli.report import report
from flows.cli.serve import serve
from flows.cli.training import evaluate, export, presets, tokenizer, train, utility
from flows.cli.verify import verify
from flows.results.terminal import make_logs_visible

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Rewrite a pre-training corpus so that each token teaches more, and check that every rewrite is "
    "faithful to its source.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"palimpsest {importlib.metadata.version('palimpsest')}\n")
        raise typer.Exit


@app.callback()
def settings(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Set what must be in the environment before Prefect is imported; values set by the user are kept."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # documents contain any Unicode, whatever the locale
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    make_logs_visible()
    if context.invoked_subcommand != "serve":
        # Prefect logs a traceback for every failed run; the command prints the cause in one line.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    for name, value in {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Otherwise Prefect prints every event that it cannot send during a server outage, although it sends them later.
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
        # For the processes of runs until `flows.running.outages` takes over: servers answer 500 without their database.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500,504",
    }.items():
        os.environ.setdefault(name, value)
    # Before torch is imported: it reads the number of threads once.
    from rephrase.engines.vllm_engine import set_environment

    set_environment()


for command in (rephrase, plan, inspect, check, report, verify, refilter, calibrate, doctor, demo, serve):
    app.command()(command)
app.add_typer(recipes_app, name="recipes")
app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train)
for command in (cycle, tokenizer, presets, export, utility, evaluate):
    app.command()(command)


def main() -> None:
    app()
