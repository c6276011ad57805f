"""`palimpsest calibrate`: fit custom weights."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.verify import JudgeEndpointOption, JudgeModelOption, KindOption
from flows.console import err, out, print_json, readable_errors


def calibrate(
    pairs: Annotated[str, typer.Argument(help="Parquet or JSON Lines file of labelled pairs.")],
    label_field: Annotated[
        list[str],
        typer.Option(
            help="QUESTION=FIELD; may be repeated. Questions: faithful and fluent (true or 1), complete (share of "
            "the source kept, 0 to 1). FIELD alone means faithful=FIELD."
        ),
    ],
    out_file: Annotated[str, typer.Option("--out", help="Weights file to write; diagrams are written beside it.")],
    source_field: Annotated[str, typer.Option(help="Field that holds the source.")] = "source",
    rewrite_field: Annotated[str, typer.Option(help="Field that holds the rewrite.")] = "rewrite",
    kind: KindOption = "knowledge",
    max_false_rejects: Annotated[
        float, typer.Option(min=0, max=1, help="The thresholds reject at most this share of good rewrites.")
    ] = 0.2,
    plant: Annotated[
        bool, typer.Option("--plant", help="Also add pairs with planted errors, to cover errors that the labels lack.")
    ] = False,
    judge_endpoint: JudgeEndpointOption = None,
    judge_model: JudgeModelOption = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Fit the probabilities to your own labels; the shipped models of other questions and kinds are kept.

    The figures are out-of-fold: five folds, split by source. With `--judge-endpoint`, the judge reads every labelled
    rewrite, and its threshold is fitted too.

    Example:

        palimpsest calibrate labelled.jsonl --label-field faithful=true_to_source --out weights.json

        palimpsest rephrase corpus.jsonl out --calibration weights.json
    """
    from flows.verification.calibrate_pairs import calibrate_pairs, parse_label_fields

    with readable_errors():
        figures = calibrate_pairs(
            pairs,
            Path(out_file),
            source_field=source_field,
            rewrite_field=rewrite_field,
            label_fields=parse_label_fields(label_field),
            kind=kind,
            max_false_rejects=max_false_rejects,
            plant=plant,
            judge_endpoints=judge_endpoint or (),
            judge_model=judge_model,
            log=lambda line: err.print(line, style="dim", markup=False, highlight=False),
        )
        if json_output:
            print_json(figures)
            return
        for name, value in figures.items():
            out.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)
