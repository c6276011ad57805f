"""`palimpsest report`: one HTML file about a run."""

from typing import Annotated

import typer

from flows.cli.console import err, print_json, readable_errors
from flows.cli.console import out as console


def report(
    run: Annotated[str, typer.Argument(help="Output folder of `rephrase`, or folder of a training run.")],
    out: Annotated[str | None, typer.Option(help="Where to write it; by default RUN/report.html.")] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Pairs of source and rewrite in the reader; the figures are over all rows.")
    ] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other pairs.")] = 0,
    links: Annotated[
        bool, typer.Option(help="Link sentences by an embedding model; otherwise by the words they share.")
    ] = True,
    encoder: Annotated[
        str | None, typer.Option(help="Embedding model for the links; by default the one that checked the run.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print where it is, as JSON.")] = False,
) -> None:
    """Write a report of a run: one HTML file with figures and a reader, which needs nothing else.

    It tells what was accepted and why the rest was not, shows the scores, tokens and speed, and lets you read rewrites
    beside their sources, sentence by sentence. It works offline and from an e-mail.

    Examples:

        palimpsest report out

        palimpsest report out --out report.html --sample 1000 --no-links
    """
    import dataclasses

    from flows.report.writing import write_report

    with readable_errors():
        written = write_report(
            run,
            out,
            n_sample=sample,
            seed=seed,
            links=links,
            encoder=encoder,
            note=lambda text: err.print(text, style="dim", markup=False, highlight=False, soft_wrap=True),
        )
        if json_output:
            print_json(dataclasses.asdict(written))
            return
        shown = f"{written.n_shown:,} of {written.n_rows:,} pairs in its reader, " if written.n_rows else ""
        console.print(
            f"written: {written.path} ({shown}{written.n_bytes / 1e6:.1f} MB)",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
