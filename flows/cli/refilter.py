"""`palimpsest refilter`: the shards of a finished run anew, by today's verdict."""

import dataclasses
from typing import Annotated

import typer

from flows.console import err, out, print_json, readable_errors


def refilter(
    run: Annotated[str, typer.Argument(help="Folder of a finished run.")],
    new: Annotated[str, typer.Argument(help="Folder to write the new shards to.")],
    recipes: Annotated[
        list[str] | None,
        typer.Option(help="Recipe file to judge by, in place of the run's recipe of that name; may be repeated."),
    ] = None,
    calibration: Annotated[str | None, typer.Option(help="Weights written by `palimpsest calibrate`.")] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Minimum probability to accept; by default the calibration's thresholds."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Embedding model: hub id or folder; by default that of the run.")
    ] = None,
    min_similarity: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="Minimum cosine similarity of rewrite and chunk; by default as in the run."),
    ] = None,
    multilingual_encoder: Annotated[
        str | None, typer.Option(help="Embedding model for translations; by default that of the run.")
    ] = None,
    min_cross_lingual: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Minimum similarity of a translation; by default as in the run.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Write new shards from a finished run, using today's verdict; nothing is generated.

    Chunks that the run rejected may come back, and accepted ones may go. The old run is not changed. A second call
    resumes where the first stopped.

    Example:

        palimpsest refilter out out-strict --min-probability 0.8
    """
    from rich.progress import Progress
    from rich.table import Table

    from flows.verification.refilter import refilter as refilter_run
    from flows.verification.refilter import verdict_of_run
    from rephrase.dataset.run_recipes import run_recipes
    from rephrase.storage.storage import Storage

    with readable_errors():
        source = Storage(run)
        plan, config = verdict_of_run(
            source,
            encoder=encoder,
            min_similarity=min_similarity,
            multilingual_encoder=multilingual_encoder,
            min_cross_lingual=min_cross_lingual,
            calibration=calibration,
            min_probability=min_probability,
        )
        with Progress(console=err, transient=True) as progress:
            bar = progress.add_task("chunks", total=None)
            found = refilter_run(
                source,
                Storage(new),
                run_recipes(source, plan.config, recipes or ()),
                config,
                lambda done, total: progress.update(bar, completed=done, total=total),
            )
        if json_output:
            print_json(dataclasses.asdict(found))
            return
        table = Table("chunks", "accepted before", "accepted now", "recovered", "dropped", "rewrites", "tokens")
        values = (found.n_chunks, found.n_accepted_before, found.n_accepted, found.n_recovered, found.n_dropped)
        table.add_row(*(f"{value:,}" for value in (*values, found.n_rewrites, found.n_tokens)))
        out.print(table)
        out.print(f"written: {found.output}", markup=False, highlight=False, soft_wrap=True)
