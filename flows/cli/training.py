"""`palimpsest train`, `tokenizer`, `presets`, `export`, `utility` and `evaluate`: the training stage."""

from typing import Annotated, Any

import typer

from flows.console import err, out, print_json, readable_errors


def train(context: typer.Context) -> None:
    """Train a mixture-of-experts model with MuonClip on the shards of runs and on raw corpora."""
    from rephrase.models.resolve import PACKAGED_MODEL
    from training.__main__ import main as train_main

    with readable_errors():
        code = train_main(context.args, prog="palimpsest train", tokenizer=PACKAGED_MODEL)
    raise typer.Exit(code)


def tokenizer(
    shards: Annotated[list[str] | None, typer.Argument(help="Output folders of rephrasing runs.")] = None,
    *,
    folder: Annotated[str, typer.Argument(help="Where to write the tokenizer.")],
    documents: Annotated[
        list[str] | None, typer.Option(help="Raw corpus to read as well: a file, folder or glob; may be repeated.")
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field of --documents with the text.")] = "text",
    vocab_size: Annotated[int, typer.Option(help="Size of the vocabulary.", min=257)] = 8192,
) -> None:
    """Train a byte-level BPE tokenizer on what `train` would read, for --tokenizer: small models need small ones."""
    from training.data.byte_pairs import corpus_texts, train_tokenizer

    if not shards and not documents:
        raise typer.BadParameter(f"give an output folder before {folder}, or --documents SOURCE")
    with readable_errors():
        n_words = train_tokenizer(corpus_texts(shards or (), documents or (), text_field), vocab_size, folder)
        out.print(f"written: {folder}, {n_words:,} words")


def presets(
    flops: Annotated[
        bool, typer.Option("--flops", help="Show what one token costs at inference, by the length of its context.")
    ] = False,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Show what a training step costs a rank in a layout such as pp=16,ep=16,dp=8: pipeline stages, "
            "expert-parallel "
            "ranks and replicas; also vpp (virtual stages per rank), rows (per step) and micro (rows per micro-batch)."
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the model shapes that `train` knows, with their parameters or what a token or a training step costs."""
    from training.model.inference_flops import list_inference_flops
    from training.model.presets import list_presets
    from training.planning.estimate import list_layouts
    from training.planning.layout import Layout

    if flops and layout is not None:
        raise typer.BadParameter("give either --flops or --layout")
    with readable_errors():
        if layout is not None:
            rows, show = list_layouts(Layout.parse(layout)), show_layouts
        elif flops:
            rows, show = list_inference_flops(), show_inference_flops
        else:
            rows, show = list_presets(), show_presets
    if json_output:
        print_json(rows)
    else:
        show(rows)


def show_presets(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

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


def show_inference_flops(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

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
    out.print(table)


def show_layouts(rows: list[dict[str, Any]]) -> None:
    """A column for each preset that the layout fits, and a line for each other one."""
    from rich.table import Table

    fitting = [row for row in rows if "error" not in row]
    table = Table("per rank", *(row["name"] for row in fitting), caption="memory: of the fullest pipeline rank")
    memory = (
        ("weights, bfloat16", "weights"),
        ("gradients, float32", "gradients"),
        ("optimizer state, of its owner", "optimizer"),
        ("activations", "activations"),
        ("activations, layers recomputed", "recomputed"),
    )
    traffic = (
        ("sent per step: rows to experts", "experts"),
        ("… of them to other nodes", "experts_between_nodes"),
        ("… hidden states of the pipeline", "pipeline"),
        ("… gradients", "gradients"),
        ("… weights", "weights"),
    )
    for section, lines in (("fullest", memory), ("traffic", traffic)):
        for name, key in lines:
            table.add_row(name, *(f"{row[section][key] / 1e9:,.2f} GB" for row in fitting))
        table.add_section()
    table.add_row("bubble", *(f"{row['bubble_share']:.1%}" for row in fitting))
    table.add_row("computing at the device's peak", *(f"{row['compute_s']:,.2f} s" for row in fitting))
    table.add_row("sending at the links' peak", *(f"{row['between_nodes_s']:,.2f} s" for row in fitting))
    table.add_row("first limit", *(row["first_limit"] for row in fitting))
    if fitting:
        out.print(table)
    for row in rows:
        if "error" in row:
            out.print(f"{row['name']}: {row['error']}")


def export(
    run: Annotated[str, typer.Argument(help="Training run: RUN for its newest checkpoint, or RUN@step.")],
    folder: Annotated[str, typer.Argument(help="Where to write the model.")],
) -> None:
    """Write a checkpoint as a folder that transformers, vLLM and SGLang load, with its tokenizer."""
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


def evaluate(
    model: Annotated[str, typer.Argument(help="Training run (RUN or RUN@step), or Hugging Face folder or id.")],
    questions: Annotated[
        str | None,
        typer.Option(
            help="JSON Lines or Parquet with `question`, `answer` and optionally `distractors` (a list of wrong "
            "answers), `entity` (what the question is about) and `group` (any name but `all`)."
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Benchmarks of lm-evaluation-harness to run instead, separated by commas: arc_easy,piqa. MODEL "
            "is then an exported folder or a hub id.",
        ),
    ] = None,
    task_folder: Annotated[str | None, typer.Option(help="Folder with task files (YAML) of your own.")] = None,
    limit: Annotated[int | None, typer.Option(help="Maximum number of questions per task.", min=1)] = None,
    examples: Annotated[
        int | None, typer.Option(help="Number of answered questions before each question of a task.", min=0)
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Sequences per forward pass.", min=1)] = 16,
    template: Annotated[
        str, typer.Option(help="Prompt template of a question; the answer follows after a space. \\n is a new line.")
    ] = "Question: {question}\\nAnswer:",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default a GPU if there is one.")] = None,
    answers: Annotated[str | None, typer.Option(help="Write every answer to this JSON Lines file.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Ask a model closed-book questions and report its answers by group, or run benchmarks.

    `loss`: nats per token of the right answer. `exact`: share of answers, generated greedily, that are the right one.
    `first` and `rank`: how often no distractor is likelier per token, and the mean rank. Each with its 95 % interval by
    bootstrap over entities.
    """
    import json
    from dataclasses import asdict
    from pathlib import Path

    if (questions is None) == (tasks is None):
        raise typer.BadParameter("give either --questions FILE or --tasks NAMES")
    if tasks is not None:
        _evaluate_tasks(
            model,
            tasks,
            task_folder,
            json_output,
            n_examples=examples,
            limit=limit,
            batch_size=batch_size,
            device=device,
        )
        return
    assert questions is not None

    from training.evaluating.answering import evaluate as answer
    from training.evaluating.answering import summarise
    from training.evaluating.questions import read_questions
    from training.open_model import open_model

    with readable_errors():
        asked = read_questions(questions)
        answered = answer(
            open_model(model, device),
            asked,
            batch_size,
            template.replace("\\n", "\n"),
            lambda phase: err.print(phase, style="dim"),
        )
        if answers is not None:
            Path(answers).write_text(
                "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in answered), "utf-8"
            )
        summary = summarise(answered)
        if json_output:
            print_json(summary)
            return
        show_evaluation(summary)


def _evaluate_tasks(model: str, tasks: str, task_folder: str | None, json_output: bool, **options: Any) -> None:
    from dataclasses import asdict

    from rich.table import Table

    from rephrase.models.resolve import resolve_model
    from training.evaluating.harness import evaluate_tasks

    with readable_errors():
        names = [name.strip() for name in tasks.split(",") if name.strip()]
        scores = evaluate_tasks(resolve_model(model), names, task_folder=task_folder, **options)
        if json_output:
            print_json([asdict(score) for score in scores])
            return
        table = Table("task", "metric", "value", "standard error", "questions")
        for score in scores:
            error = "" if score.error is None else f"{score.error:.4f}"
            table.add_row(score.task, score.metric, f"{score.value:.4f}", error, str(score.n_questions))
        out.print(table)


def show_evaluation(summary: dict[str, dict[str, Any]]) -> None:
    """A row for each group, with the 95 % interval below each mean."""
    from rich.markup import escape
    from rich.table import Table

    shown = [name for name in ("loss", "exact", "first", "rank") if name in summary["all"]]
    table = Table("group", "questions", "entities", *shown, caption="means, and 95 % intervals over entities")
    for group, row in summary.items():
        cells = [_interval(row[name], name in ("exact", "first")) if name in row else "" for name in shown]
        table.add_row(escape(group), str(row["n_questions"]), str(row["n_entities"]), *cells)
    out.print(table)


def _interval(figure: dict[str, float | None], is_share: bool) -> str:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.0%}" if is_share else f"{value:.2f}"

    interval = "" if figure["low"] is None else f"\n{number(figure['low'])} to {number(figure['high'])}"
    return number(figure["mean"]) + interval
