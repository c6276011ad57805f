"""`palimpsest rephrase`."""

import dataclasses
import os
from typing import Annotated, Any

import typer

from flows.cli.run_options import WRITING, with_run_options
from flows.console import err, out, print_json, readable_errors


@with_run_options()
def rephrase(
    values: dict[str, Any],
    metrics_port: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=WRITING,
            min=1,
            max=65535,
            envvar="PALIMPSEST_METRICS_PORT",
            help="Serve Prometheus metrics at http://127.0.0.1:PORT/metrics.",
        ),
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", rich_help_panel=WRITING, help="Print the summary as JSON.")
    ] = False,
) -> None:
    """Rewrite documents, check each rewrite against its source, write Parquet shards.

    Nothing is lost when a run stops or is killed: **run the same command again to resume**. The API key for
    `--engine openai` is read from OPENAI_API_KEY.

    Examples:

        palimpsest rephrase corpus.jsonl out --variants 3

        palimpsest rephrase wiki.jsonl out --text-field 'paragraphs[].context' --limit 10

        palimpsest rephrase 's3://bucket/in/*.parquet' out --engine openai --endpoint http://gpu1:8000/v1
    """
    if metrics_port:
        os.environ["PALIMPSEST_METRICS_PORT"] = str(metrics_port)
    from flows.local import run_locally
    from flows.results.inspection import print_summary

    with readable_errors():
        summary = run_locally(values, err)
        if json_output:
            print_json(dataclasses.asdict(summary))
        else:
            print_summary(out, summary)
            out.print(
                f"[dim]view it: palimpsest report {summary.output} (or inspect, in the terminal)[/dim]",
                soft_wrap=True,
            )
