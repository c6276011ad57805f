"""The options of a run, shared by `rephrase` and `plan`, and the file that may hold them."""

import functools
import inspect
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from flows.console import readable_errors
from rephrase.engines.engine_options import parse_option
from rephrase.records import Domain
from rephrase.storage.config_file import read_config

# The groups in which --help shows the options.
READING = "Reading"
REWRITING = "Rewriting"
ENGINE = "Engine"
CHECKING = "Checking"
COST = "Target and cost"
WRITING = "Writing"

Source = Annotated[str, typer.Argument(help="File, folder or glob: Parquet, JSON Lines (.gz, .zst), .txt, .md, .tex.")]
Output = Annotated[str, typer.Argument(help="Output folder: local, s3://…, gs://…")]


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML or JSON file with options, as for `serve`; options on the command line win."),
]
# Stands for an option that was not given, so that the file or the default of `RephraseConfig` decides.
_NOT_GIVEN: Any = object()


def with_run_options(
    *, without: Collection[str] = (), own_first: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn `command(values, **own)` into a command that takes the options of a run as well as its own.

    Args:
        without: run options that do not apply to the command.
        own_first: whether --help shows the command's own options first.
    """
    return functools.partial(_with_run_options, without=without, own_first=own_first)


def _with_run_options(
    command: Callable[..., None], *, without: Collection[str], own_first: bool
) -> Callable[..., None]:
    own = list(inspect.signature(command).parameters.values())[1:]
    every = list(inspect.signature(run_options).parameters.values())
    shared = [p for p in every if p.name not in without]

    def wrapped(context: typer.Context, config: Path | None, **options: Any) -> None:
        mine = {parameter.name: options.pop(parameter.name) for parameter in own}
        given = {name: value for name, value in options.items() if _is_given(context, name)}
        with readable_errors():
            values = read_config(config) if config else {}
            values = merged(values, _without_gaps(run_options(**{p.name: _NOT_GIVEN for p in every} | given)))
        for argument in arguments:
            if argument.name not in values:
                raise typer.BadParameter(f"give {argument.name.upper()}, or a --config that sets it")
        command({"output": "-", **values}, **mine)  # `plan` has none

    arguments = [p.replace(default=None) for p in shared if p.default is inspect.Parameter.empty]
    options = [p for p in shared if p.default is not inspect.Parameter.empty]
    at_first = [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *arguments,
        inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, annotation=ConfigFile, default=None),
    ]
    ordered = [*at_first, *own, *options] if own_first else [*at_first, *options, *own]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in ordered]
    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")


def _without_gaps(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that were given, without the groups of which nothing was."""
    nested = {name: _without_gaps(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in nested.items() if value is not _NOT_GIVEN and value != {}}


def merged(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `others` over them, group by group."""
    both = dict(values)
    for name, other in others.items():
        value = both.get(name)
        both[name] = merged(value, other) if isinstance(value, Mapping) and isinstance(other, Mapping) else other
    return both


def _options(given: list[str] | None) -> dict[str, Any]:
    if given is None or given is _NOT_GIVEN:
        return {}
    try:
        return dict(parse_option(text) for text in given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _json_object(given: str | None) -> dict[str, Any]:
    if given is None or given is _NOT_GIVEN:
        return {}
    try:
        value = json.loads(given)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{given!r} is not a JSON object, such as '{{\"enable_thinking\": false}}'")
    return value


def run_options(
    source: Source,
    output: Output,
    text_field: Annotated[
        str,
        typer.Option(
            rich_help_panel=READING, help="Field that holds the text, or a JMESPath such as 'paragraphs[].context'."
        ),
    ] = "text",
    id_field: Annotated[
        str, typer.Option(rich_help_panel=READING, help="Field that holds the id; without one, ids are generated.")
    ] = "id",
    title_field: Annotated[
        str, typer.Option(rich_help_panel=READING, help="Field that holds the title, if any.")
    ] = "title",
    language_field: Annotated[
        str, typer.Option(rich_help_panel=READING, help="Field that holds the language, if any.")
    ] = "language",
    metadata_field: Annotated[
        list[str] | None, typer.Option(rich_help_panel=READING, help="Field to copy into the shards; may be repeated.")
    ] = None,
    domain: Annotated[
        Domain, typer.Option(rich_help_panel=READING, help="Domain of the documents.")
    ] = Domain.KNOWLEDGE,
    limit: Annotated[
        int | None, typer.Option(rich_help_panel=READING, min=1, help="Take only the first N records.")
    ] = None,
    new_files: Annotated[
        bool, typer.Option("--new-files", rich_help_panel=READING, help="Also take files added since the last run.")
    ] = False,
    max_document_chars: Annotated[
        int, typer.Option(rich_help_panel=READING, min=1, help="Longer documents are rejected.")
    ] = 1_000_000,
    recipe: Annotated[
        str,
        typer.Option(rich_help_panel=REWRITING, help="auto (by domain and language), none, a recipe, or several: a+b."),
    ] = "auto",
    recipes: Annotated[
        list[str] | None, typer.Option(rich_help_panel=REWRITING, help="A recipe file of your own; may be repeated.")
    ] = None,
    variants: Annotated[
        int,
        typer.Option(
            rich_help_panel=REWRITING, min=1, max=1000, help="Rewrites per document, each in a different style."
        ),
    ] = 1,
    utility: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=REWRITING,
            help="Folder of a training run: styles are drawn by what their tokens were worth in it, but all are "
            "still tried; may be repeated. By default, all are drawn equally often.",
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=REWRITING,
            min=1,
            max=64,
            help="Rewrites drawn at once, of which the best is kept; by default as many as the recipe says.",
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            rich_help_panel=REWRITING,
            min=0,
            help="Further attempts if no candidate is accepted; each draws as many candidates again.",
        ),
    ] = 2,
    model_size: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=REWRITING,
            help="Number of parameters of the model, such as 7B, which selects a recipe's wording; known for "
            "local models.",
        ),
    ] = None,
    on_reject: Annotated[
        Literal["reject", "keep", "document"],
        typer.Option(
            rich_help_panel=REWRITING,
            help="For a chunk rejected after all attempts: keep leaves its source in its place (a translation drops "
            "it), reject drops it, document rejects the whole document.",
        ),
    ] = "keep",
    min_rewritten_share: Annotated[
        float,
        typer.Option(
            rich_help_panel=REWRITING,
            min=0,
            max=1,
            help="Documents are rejected if less than this share of their source tokens was rewritten.",
        ),
    ] = 0.5,
    seed: Annotated[
        int, typer.Option(rich_help_panel=REWRITING, min=0, help="Random seed; another one gives other rewrites.")
    ] = 0,
    engine: Annotated[
        Literal["vllm", "openai"],
        typer.Option(
            rich_help_panel=ENGINE, help="vllm: in this process. openai: an OpenAI-compatible server at --endpoint."
        ),
    ] = "vllm",
    model: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=ENGINE,
            help="Hub id or folder; by default the small packaged model, or the model that the server serves.",
        ),
    ] = None,
    lora: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=ENGINE,
            help="LoRA adapter: folder or hub id; for --engine openai, the name that the server gives it.",
        ),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=ENGINE, help="Base URL such as http://localhost:8000/v1; may be repeated."),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(rich_help_panel=ENGINE, help="For --engine openai: tokenizer to count with, if not the model's."),
    ] = None,
    max_context_tokens: Annotated[
        int,
        typer.Option(
            rich_help_panel=ENGINE, min=256, help="For --engine vllm: tokens of prompt and completion together."
        ),
    ] = 4096,
    in_flight: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=ENGINE,
            min=1,
            help="Maximum number of concurrent requests; by default as many as the engine takes.",
        ),
    ] = None,
    chat_template_kwargs: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=ENGINE,
            help="Arguments of the chat template as JSON; '{\"enable_thinking\": false}' turns Qwen3's thinking off.",
        ),
    ] = None,
    dtype: Annotated[
        Literal["bfloat16", "float16", "float32"] | None,
        typer.Option(
            rich_help_panel=ENGINE,
            help="For --engine vllm: numeric format; by default the model's, or float32 if the CPU would emulate it.",
        ),
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=ENGINE,
            help="For --engine vllm: quantization method such as fp8; by default the one "
            "that the model's configuration states.",
        ),
    ] = None,
    tensor_parallel_size: Annotated[
        int | None,
        typer.Option(rich_help_panel=ENGINE, min=1, help="For --engine vllm: number of GPUs that share the model."),
    ] = None,
    gpu_memory_utilization: Annotated[
        float | None,
        typer.Option(rich_help_panel=ENGINE, min=0.01, max=1, help="For --engine vllm: share of the GPU's memory."),
    ] = None,
    max_num_seqs: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=ENGINE,
            min=1,
            help="For --engine vllm: requests in one batch; by default 32 on CPUs, 256 on GPUs.",
        ),
    ] = None,
    engine_option: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=ENGINE,
            help="For --engine vllm: any other engine argument of vLLM, as name=value; may be repeated.",
        ),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option(rich_help_panel=ENGINE, min=1, help="For --engine openai: timeout of one request.")
    ] = 300,
    runner: Annotated[
        Literal["local", "ray"],
        typer.Option(rich_help_panel=ENGINE, help="local: in this process. ray: on a Ray cluster."),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(rich_help_panel=ENGINE, help="For --runner ray: address of the head node, such as 10.0.0.1:6379."),
    ] = None,
    ray_gpus: Annotated[
        float, typer.Option(rich_help_panel=ENGINE, min=0, help="For --runner ray: GPUs per worker.")
    ] = 0,
    encoder: Annotated[
        str, typer.Option(rich_help_panel=CHECKING, help="Embedding model: hub id or folder.")
    ] = "all-MiniLM-L6-v2",
    min_similarity: Annotated[
        float,
        typer.Option(
            rich_help_panel=CHECKING, min=-1, max=1, help="Minimum cosine similarity of a rewrite to its chunk."
        ),
    ] = 0.7,
    multilingual_encoder: Annotated[
        str, typer.Option(rich_help_panel=CHECKING, help="Embedding model for translations.")
    ] = "multilingual-e5-small",
    min_cross_lingual: Annotated[
        float, typer.Option(rich_help_panel=CHECKING, min=-1, max=1, help="Minimum similarity of a translation.")
    ] = 0.8,
    target_tokens: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=COST,
            min=1,
            help="Stop once this many tokens are accepted, at the end of a document. Run again with a larger number, "
            "or without it, to continue.",
        ),
    ] = None,
    price_per_hour: Annotated[
        float,
        typer.Option(rich_help_panel=COST, min=0, help="Price per hour of all engines together, in any currency."),
    ] = 0,
    price_in: Annotated[
        float, typer.Option(rich_help_panel=COST, min=0, help="Price per million prompt tokens, for servers.")
    ] = 0,
    price_out: Annotated[
        float, typer.Option(rich_help_panel=COST, min=0, help="Price per million generated tokens, for servers.")
    ] = 0,
    min_probability: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=CHECKING,
            min=0,
            max=1,
            help="Minimum probability that a rewrite is faithful, complete, fluent and in its style; by default the "
            "calibration's threshold for each.",
        ),
    ] = None,
    calibration: Annotated[
        str | None, typer.Option(rich_help_panel=CHECKING, help="Weights written by `palimpsest calibrate`.")
    ] = None,
    judge_endpoint: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=CHECKING,
            help="OpenAI-compatible server of a language model that judges what all other checks accept; may be "
            "repeated. Its key is read from JUDGE_API_KEY.",
        ),
    ] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(rich_help_panel=CHECKING, help="Name of the model at --judge-endpoint."),
    ] = None,
    self_judge: Annotated[
        bool,
        typer.Option(
            rich_help_panel=CHECKING,
            help="Let the rewriting model judge what all other checks accept; for models of 1B parameters or more.",
        ),
    ] = False,
    back_translation: Annotated[
        bool,
        typer.Option(
            rich_help_panel=CHECKING,
            help="Translate each accepted translation back with the same model, and compare it with its source.",
        ),
    ] = False,
    part_bytes: Annotated[
        int | None,
        typer.Option(rich_help_panel=WRITING, min=1, help="Text per shard in bytes; by default about 1000 shards."),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(rich_help_panel=WRITING, help="Licence of the dataset, for its data card."),
    ] = None,
    source_description: Annotated[
        str | None, typer.Option(rich_help_panel=WRITING, help="Description of the sources, for the data card.")
    ] = None,
) -> dict[str, Any]:
    """The values of a `RephraseConfig`."""
    return {
        "source": source,
        "output": output,
        "text_field": text_field,
        "id_field": id_field,
        "title_field": title_field,
        "language_field": language_field,
        "metadata_fields": metadata_field or (),
        "domain": domain,
        "max_document_chars": max_document_chars,
        "limit": limit,
        "new_files": new_files,
        "part_bytes": part_bytes,
        "license": license,
        "source_description": source_description,
        "recipe": recipe,
        "recipe_files": recipes or (),
        "n_variants": variants,
        # One alone is a name, as in the plans of earlier versions.
        "utility": utility[0] if isinstance(utility, list | tuple) and len(utility) == 1 else utility or None,
        "n_candidates": candidates,
        "n_retries": retries,
        "model_size": model_size,
        "min_rewritten_share": min_rewritten_share,
        "on_reject": on_reject,
        "seed": seed,
        "target_tokens": target_tokens,
        "price_per_hour": price_per_hour,
        "price_in": price_in,
        "price_out": price_out,
        "runner": runner,
        "ray": {"address": ray_address, "gpus_per_part": ray_gpus},
        "engine": {
            "kind": engine,
            "model": model,
            "lora": lora,
            "tokenizer": tokenizer,
            "endpoints": endpoint or (),
            "max_context_tokens": max_context_tokens,
            "max_in_flight": in_flight,
            "timeout_s": timeout_s,
            "chat_template_kwargs": _json_object(chat_template_kwargs),
            "dtype": dtype,
            "quantization": quantization,
            "tensor_parallel_size": tensor_parallel_size,
            "gpu_memory_utilization": gpu_memory_utilization,
            "max_num_seqs": max_num_seqs,
            "options": _options(engine_option),
        },
        "fidelity": {
            "encoder": encoder,
            "min_similarity": min_similarity,
            "multilingual_encoder": multilingual_encoder,
            "min_cross_lingual": min_cross_lingual,
            "min_probability": min_probability,
            "calibration": calibration,
            "judge_endpoints": judge_endpoint or (),
            "judge_model": judge_model,
            "self_judge": self_judge,
            "back_translation": back_translation,
        },
    }
