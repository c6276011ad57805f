"""`palimpsest train`, `tokenizer`, `presets`, `export` and `utility`: the training stage."""

from typing import Annotated

import typer

from flows.cli.console import out, print_json, readable_errors


def train(context: typer.Context) -> None:
    """Train a mixture-of-experts model with MuonClip on the shards of runs and on raw corpora."""
    from rephrase.models.resolve import PACKAGED_MODEL
    from training.__main__ import main as train_main

    with readable_errors():
        code = train_main(context.args, prog="palimpsest train", tokenizer=PACKAGED_MODEL)
    raise typer.Exit(code)


def tokenizer(
    shards: Annotated[str, typer.Argument(help="Output folder of a rephrasing run.")],
    folder: Annotated[str, typer.Argument(help="Where to write the tokenizer.")],
    vocab_size: Annotated[int, typer.Option(help="Number of words.", min=257)] = 8192,
) -> None:
    """Train a byte-level BPE tokenizer on the texts of a run, for `train --tokenizer`: small models want few words."""
    from rephrase.storage.storage import Storage
    from training.data.byte_pairs import committed_texts, train_tokenizer

    with readable_errors():
        n_words = train_tokenizer(committed_texts(Storage(shards)), vocab_size, folder)
        out.print(f"written: {folder}, {n_words:,} words")


def presets(
    flops: Annotated[
        bool, typer.Option("--flops", help="Show what one token costs at inference, by the length of its context.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the model shapes that `train` knows, with their parameters, or with their cost at inference."""
    from rich.table import Table

    from training.model.inference_flops import list_inference_flops
    from training.model.presets import list_presets

    rows = list_inference_flops() if flops else list_presets()
    if json_output:
        print_json(rows)
        return
    if flops:
        table = Table("preset", "context", "GFLOPs per token", "with twice the heads", "of it attention")
        for row in rows:
            table.add_row(
                row["name"],
                f"{row['n_context']:,}",
                f"{row['flops_per_token'] / 1e9:,.3g}",
                f"+{row['increase_with_twice_the_heads']:.0%}",
                f"+{row['increase_of_attention_alone']:.0%}",
                end_section=row["n_context"] == rows[-1]["n_context"],
            )
    else:
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
