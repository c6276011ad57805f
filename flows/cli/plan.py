"""`palimpsest plan`: what a run will take, before a token is generated."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.console import out, print_json, readable_errors
from flows.cli.run_options import with_run_options

if TYPE_CHECKING:
    from rephrase.corpus.sampling import CorpusSample
    from rephrase.scheduling.estimate import Estimate, TimeAndCost

# vLLM's default on a GPU.
REQUESTS_PER_ENGINE = 256
PLAN = "Plan"
# Options of a run that have no meaning here.
WITHOUT = ("output", "target_tokens", "new_files")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    sample: "CorpusSample"
    estimate: "Estimate"
    time_and_cost: "TimeAndCost | None"
    n_engines: int
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        found = dataclasses.asdict(self.estimate)
        del found["chains"], found["weights"]
        return {
            **found,
            "n_sampled": len(self.sample.records),
            "whole_corpus_read": self.sample.whole,
            "relative_standard_error": self.sample.error,
            "n_engines": self.n_engines,
            **(dataclasses.asdict(self.time_and_cost) if self.time_and_cost else {}),
            "notes": self.notes,
        }


@with_run_options(without=WITHOUT, own_first=True)
def plan(
    values: dict[str, Any],
    like: Annotated[
        str | None,
        typer.Option(rich_help_panel=PLAN, help="Output folder of an earlier run: its acceptance, lengths and speed."),
    ] = None,
    engines: Annotated[int, typer.Option(rich_help_panel=PLAN, min=1, help="How many engines share the work.")] = 1,
    tokens_per_s: Annotated[
        float | None,
        typer.Option(rich_help_panel=PLAN, min=0.001, help="That one full engine generates; by default as in --like."),
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", rich_help_panel=PLAN, help="Print the estimate as JSON.")
    ] = False,
) -> None:
    """Say what a run would take before it begins: documents, chunks, tokens, time and cost.

    Takes the options of `rephrase` and loads no model; a large corpus is sampled. What earlier runs came to is
    learnt from `--like`; time needs `--tokens-per-s` or `--like`. `--price-per-hour` is here of one engine.

    Examples:

        palimpsest plan corpus.jsonl --like out --engines 4 --price-per-hour 2.5

        palimpsest plan 's3://bucket/in/*.parquet' --model Qwen/Qwen3-4B-Instruct-2507 --tokens-per-s 8000
    """
    with readable_errors():
        found = make_run_plan(values, like=like, n_engines=engines, tokens_per_s=tokens_per_s)
        if json_output:
            print_json(found.as_json())
        else:
            print_run_plan(out, found)


def make_run_plan(values: dict[str, Any], *, like: str | None, n_engines: int, tokens_per_s: float | None) -> RunPlan:
    """
    Raises:
        ValueError, FileNotFoundError: an option is wrong, there is nothing to read, or no run at `like`.
    """
    from flows.config import RephraseConfig
    from rephrase.corpus.reading import list_inputs
    from rephrase.corpus.sampling import N_PLACES, sample_corpus
    from rephrase.dataset.shards import read_commits
    from rephrase.models.resolve import PACKAGED_MODEL, n_parameters, resolve_model
    from rephrase.models.tokenizer import HubTokenizer
    from rephrase.prompting.routing import model_size_notices, open_recipes
    from rephrase.scheduling.estimate import ASSUMED_GROWTH, estimate, learn, time_and_cost
    from rephrase.storage.storage import Storage

    config = RephraseConfig.model_validate(values)
    recipes = open_recipes(config.recipe, config.recipe_files)
    files, _ = list_inputs(config.source)
    experience = learn(read_commits(Storage(like)).values()) if like else {}
    if like and not experience:
        raise FileNotFoundError(f"no committed part of a run is at --like {like!r}")
    notes = []
    sample = sample_corpus(files, config.read_options, limit=config.limit, seed=config.seed)
    if not sample.whole:
        notes.append(
            f"a sample: {len(sample.records):,} records at {N_PLACES} places of {len(files):,} files, which tell the "
            f"number of records to about ±{2 * sample.error:.0%}"
        )
    model = config.engine.tokenizer or config.engine.model
    if model is None and config.engine.kind == "openai":
        notes.append(f"tokens are counted by {PACKAGED_MODEL}, since neither --model nor --tokenizer is named")
    model = model or PACKAGED_MODEL
    folder = resolve_model(model)
    found = estimate(
        sample,
        recipes,
        config.recipe,
        HubTokenizer(folder),
        n_variants=config.n_variants,
        n_retries=config.n_retries,
        seed=config.seed,
        experience=experience,
    )
    notes += model_size_notices(n_parameters(folder), model, recipes, [route.route for route in found.routes])
    if unknown := [route.route for route in found.routes if route.n_chunks and route.accepted_share is None]:
        said = f"{like} has none of {', '.join(unknown)}" if like else "no earlier run was named with --like"
        notes.append(
            f"{said}: one try for each chunk, {ASSUMED_GROWTH:g} times as long as its source, is assumed; the tokens "
            "at most are those of every try used to the full"
        )
    speeds = [known.tokens_per_s for known in experience.values() if known.tokens_per_s]
    tokens_per_s = tokens_per_s or (sum(speeds) / len(speeds) if speeds else None)
    if tokens_per_s is None:
        notes.append("how long it takes depends on the engine: name its --tokens-per-s, or a run with --like")
    taken = tokens_per_s and time_and_cost(
        found,
        n_engines=n_engines,
        tokens_per_s=tokens_per_s,
        requests_per_engine=config.engine.max_in_flight or REQUESTS_PER_ENGINE,
        prices=config.prices,
        seed=config.seed,
    )
    return RunPlan(sample=sample, estimate=found, time_and_cost=taken or None, n_engines=n_engines, notes=notes)


def print_run_plan(console: Console, found: RunPlan) -> None:
    from flows.results.display import duration

    about = "" if found.sample.whole else "about "
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("records", f"{about}{found.estimate.n_records:,.0f}", "")
    if found.estimate.n_unreadable:
        table.add_row("  no documents", f"{about}{found.estimate.n_unreadable:,.0f}", "they would be rejected")
    for route in found.estimate.routes:
        table.add_row(f"route {route.route.replace('+', ' → ')}", f"{route.n_documents:,.0f}", "documents")
        table.add_row("  source tokens", f"{route.n_source_tokens:,.0f}", "")
        if not route.n_chunks:
            continue
        accepted = "" if route.accepted_share is None else f"{route.accepted_share:.0%} accepted, by the earlier run"
        table.add_row("  chunks", f"{route.n_chunks:,.0f}", accepted)
        table.add_row("  tokens in", f"{route.n_prompt_tokens:,.0f}", "of prompts")
        at_most = f"of all tries; at most {route.n_completion_tokens_at_most:,.0f}"
        table.add_row("  tokens out", f"{route.n_completion_tokens:,.0f}", at_most)
        if route.n_tokens is not None:
            table.add_row("  tokens accepted", f"{route.n_tokens:,.0f}", "")
    if taken := found.time_and_cost:
        engines = f"{found.n_engines:,} engines" if found.n_engines > 1 else "one engine"
        speed = f"on {engines}, {taken.tokens_per_s:,.0f} tokens/s in all"
        table.add_row("time", duration(taken.seconds), f"{speed}; it cannot be under {duration(taken.bound_s)}")
        if taken.cost:
            table.add_row("cost", f"{taken.cost:,.2f}", "")
            if n_tokens := sum(route.n_tokens or 0 for route in found.estimate.routes):
                table.add_row("", f"{1e6 * taken.cost / n_tokens:,.2f}", "a million accepted tokens")
    console.print(table)
    for note in found.notes:
        console.print(f"notice: {note}", style="yellow", markup=False, highlight=False)
