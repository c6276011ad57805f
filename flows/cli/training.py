"""`palimpsest train`, `presets`, `export` and `utility`: the training stage."""

from typing import Annotated

import typer

from flows.cli.console import out, print_json, readable_errors


def train(context: typer.Context) -> None:
    """Train a mixture-of-experts model with MuonClip on the shards of runs and on raw corpora."""
    from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
    from training.__main__ import main as train_main

    with readable_errors():
        given = [argument for argument in context.args if argument.startswith("--tokenizer")]
        tokenizer = PACKAGED_MODEL if given or {"-h", "--help"} & {*context.args} else resolve_model(PACKAGED_MODEL)
        code = train_main(context.args, prog="palimpsest train", tokenizer=tokenizer)
    raise typer.Exit(code)


def presets(json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the model shapes that `train` knows, with their parameters."""
    from rich.table import Table

    from training.model.presets import list_presets

    rows = list_presets()
    if json_output:
        print_json(rows)
        return
    table = Table("preset", "parameters", "active", "layers", "hidden", "experts (active)", "context")
    for row in rows:
        shape = row["shape"]
        table.add_row(
            row["name"],
            f"{row['n_parameters'] / 1e9:,.3f} B",
            f"{row['n_active_parameters'] / 1e9:,.3f} B",
            *(str(shape[name]) for name in ("n_layers", "hidden_size")),
            f"{shape['n_experts']} ({shape['n_active_experts']})",
            str(shape["context_length"]),
        )
    out.print(table)


def export(
    run: Annotated[str, typer.Argument(help="Folder of a training run.")],
    folder: Annotated[str, typer.Argument(help="Where to write the model.")],
) -> None:
    """Write the newest checkpoint as a folder that transformers, vLLM and SGLang load, with its tokenizer."""
    from training.export import export_run

    with readable_errors():
        export_run(run, folder)
        out.print(f"written: {folder}")


def utility(run: Annotated[str, typer.Argument(help="Folder of a training run.")]) -> None:
    """Show what each source, recipe, style and repetition taught the model per token."""
    from pathlib import Path

    from rich.markdown import Markdown

    report = Path(run) / "utility.md"
    with readable_errors():
        if not report.exists():
            raise FileNotFoundError(f"{report} does not exist: it is written when a training run ends")
        out.print(Markdown(report.read_text("utf-8")))
        out.print(f"see also: {run}/utility.parquet, {run}/utility.svg, {run}/max_logits.svg, {run}/mixture.json")
