"""`palimpsest verify`: verdicts on existing pairs, or on a finished run."""

import dataclasses
from typing import Annotated, Literal

import typer

from flows.console import err, out, print_json, readable_errors

FieldOption = Annotated[str | None, typer.Option(help="Field that holds the source; without it, PAIRS is a run.")]
KindOption = Annotated[
    Literal["knowledge", "math", "translation"],
    typer.Option(help="Kind of the pairs; for a run, its recipes determine it."),
]

JudgeEndpointOption = Annotated[
    list[str] | None,
    typer.Option(
        help="OpenAI-compatible server of a language model that judges what all other checks accept; may be "
        "repeated. Its key is read from JUDGE_API_KEY."
    ),
]
JudgeModelOption = Annotated[str | None, typer.Option(help="Name of the model at --judge-endpoint.")]


def verify(
    pairs: Annotated[str, typer.Argument(help="Parquet or JSON Lines of pairs, or the folder of a finished run.")],
    source_field: FieldOption = None,
    rewrite_field: Annotated[str, typer.Option(help="Field that holds the rewrite.")] = "rewrite",
    out_file: Annotated[
        str | None,
        typer.Option("--out", help="Parquet file to write; for a run, by default scored.parquet in its folder."),
    ] = None,
    kind: KindOption = "knowledge",
    min_probability: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Minimum probability to accept; by default the calibration's thresholds."),
    ] = None,
    calibration: Annotated[str | None, typer.Option(help="Weights written by `palimpsest calibrate`.")] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="Embedding model: hub id or folder; by default that of the run, or all-MiniLM-L6-v2."),
    ] = None,
    multilingual_encoder: Annotated[
        str | None,
        typer.Option(help="Embedding model for translations; by default that of the run, or multilingual-e5-small."),
    ] = None,
    keeps: Annotated[
        str,
        typer.Option(
            help="What a rewrite must keep: everything, a share such as 0.7, or any (a summary); for a run, its "
            "recipes determine it."
        ),
    ] = "everything",
    recipes: Annotated[
        list[str] | None,
        typer.Option(help="Recipe file to judge a run by, in place of the run's recipe of that name; may be repeated."),
    ] = None,
    judge_endpoint: JudgeEndpointOption = None,
    judge_model: JudgeModelOption = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Check whether rewrites are faithful to their sources, complete, fluent and in style, and show where not.

    Writes the input's rows and columns in order, with `probability_faithful`, `probability_complete`,
    `probability_fluent`, `probability_in_style`, `probability` (of all four), `accepted`, `reason`, `discrepancies` and
    all scores. An unreadable row keeps its place, with the reason. The file is written atomically.

    Examples:

        palimpsest verify pairs.jsonl --source-field article --rewrite-field summary --out scored.parquet

        palimpsest verify out --min-probability 0.7        (a finished run; nothing is generated)
    """
    from rich.progress import Progress
    from rich.table import Table

    from flows.verification.config import VerifyConfig
    from flows.verification.verify_pairs import verify_pairs

    with readable_errors():
        config = VerifyConfig(
            source=pairs,
            output=out_file,
            source_field=source_field or "source",
            rewrite_field=rewrite_field,
            is_run=source_field is None,
            kind=kind,
            encoder=encoder,
            multilingual_encoder=multilingual_encoder,
            keeps=keeps,
            recipe_files=recipes or (),
            calibration=calibration,
            min_probability=min_probability,
            judge_endpoints=judge_endpoint or (),
            judge_model=judge_model,
        )
        with Progress(console=err, transient=True) as progress:
            bar = progress.add_task("pairs", total=None)
            found = verify_pairs(config, lambda done, total: progress.update(bar, completed=done, total=total))
        if json_output:
            print_json(dataclasses.asdict(found))
            return
        table = Table("pairs", "accepted", "unreadable", "rejected because", "scored by")
        table.add_row(
            f"{found.n_pairs:,}",
            f"{found.n_accepted:,}",
            f"{found.n_unreadable:,}",
            ", ".join(f"{reason} {count:,}" for reason, count in list(found.reasons.items())[:6]),
            ", ".join(f"{tier} {count:,}" for tier, count in found.n_seen.items()),
        )
        out.print(table)
        out.print(f"written: {found.output}", markup=False, highlight=False, soft_wrap=True)
