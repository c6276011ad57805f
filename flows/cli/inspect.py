"""`palimpsest inspect`."""

import dataclasses
from typing import Annotated

import typer

from flows.cli.run_options import Output
from flows.console import out, print_json, readable_errors


def inspect(
    output: Output,
    examples: Annotated[int, typer.Option(min=0, help="Number of accepted rewrites and of rejects to show.")] = 3,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what a run wrote: a summary, rewrites beside their sources, and rejects by reason."""
    from flows.results.inspection import example_rows, print_inspection
    from flows.results.summary import summarize
    from rephrase.storage.storage import Storage

    with readable_errors():
        storage = Storage(output)
        summary = summarize(storage)
        if json_output:
            print_json({**dataclasses.asdict(summary), **example_rows(storage, examples)})
        else:
            print_inspection(out, storage, summary, examples)
