"""`palimpsest report`: one HTML file about a run."""

from typing import Annotated

import typer

from flows.console import err, print_json, readable_errors
from flows.console import out as console


def report(
    run: Annotated[str, typer.Argument(help="Output folder of `rephrase`, or folder of a training run.")],
    out: Annotated[str | None, typer.Option(help="File to write; by default RUN/report.html.")] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Number of source-rewrite pairs in the reader; the figures cover all rows.")
    ] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed for drawing the pairs.")] = 0,
    links: Annotated[
        bool, typer.Option(help="Link sentences with an embedding model; otherwise by shared words.")
    ] = True,
    encoder: Annotated[
        str | None, typer.Option(help="Embedding model for the links; by default the one that checked the run.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print its path and size as JSON.")] = False,
) -> None:
    """Write a report of a run: one self-contained HTML file with figures and a reader.

    It shows what was accepted and why the rest was not, the scores, tokens and speed, and rewrites beside their
    sources, sentence by sentence. It works offline and as an e-mail attachment.

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
            notify=lambda text: err.print(text, style="dim", markup=False, highlight=False, soft_wrap=True),
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
