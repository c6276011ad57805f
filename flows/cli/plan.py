"""`palimpsest plan`: estimate a run before a token is generated."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.run_options import with_run_options
from flows.console import out, print_json, readable_errors

if TYPE_CHECKING:
    from flows.results.style_decision import StyleDecision
    from rephrase.corpus.sampling import CorpusSample
    from rephrase.scheduling.estimate import Estimate, TimeAndCost

# vLLM's default on a GPU.
REQUESTS_PER_ENGINE = 256
PLAN = "Plan"
MAX_SOURCES = 10
# Run options that do not apply to a plan.
EXCLUDED_OPTIONS = ("output", "target_tokens", "new_files")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    sample: "CorpusSample"
    estimate: "Estimate"
    time_and_cost: "TimeAndCost | None"
    n_engines: int
    notices: list[str]
    styles: "StyleDecision | None" = None

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
            **({"utility": self.styles.to_json()} if self.styles else {}),
            "notes": self.notices,
        }


@with_run_options(without=EXCLUDED_OPTIONS, own_first=True)
def plan(
    values: dict[str, Any],
    like: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=PLAN, help="Output folder of an earlier run, for its acceptance rate, lengths and speed."
        ),
    ] = None,
    engines: Annotated[
        int, typer.Option(rich_help_panel=PLAN, min=1, help="Number of engines that share the work.")
    ] = 1,
    tokens_per_s: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=PLAN,
            min=0.001,
            max=1e9,
            help="Speed of one engine at full load; by default that of --like.",
        ),
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", rich_help_panel=PLAN, help="Print the estimate as JSON.")
    ] = False,
) -> None:
    """Estimate what a run would take: documents, chunks, tokens, time and cost.

    Takes the options of `rephrase` and loads no model; a large corpus is sampled. The results of an
    earlier run come from `--like`; the time needs `--tokens-per-s` or `--like`. Here `--price-per-hour` is per engine.

    Examples:

        palimpsest plan corpus.jsonl --like out --engines 4 --price-per-hour 2.5

        palimpsest plan corpus.jsonl --utility runs/a --tokens-per-s 8000

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
        ValueError, FileNotFoundError: an option is invalid, there is nothing to read, or there is no run at `like`.
    """
    from flows.config import RephraseConfig
    from flows.results.style_decision import decide_styles
    from rephrase.corpus.inputs import list_inputs
    from rephrase.corpus.sampling import N_PLACES, sample_corpus
    from rephrase.dataset.shards import read_commits
    from rephrase.models.resolve import PACKAGED_MODEL, local_model
    from rephrase.models.tokenizer import HubTokenizer
    from rephrase.prompting.routing import model_size, model_size_notices, open_recipes
    from rephrase.scheduling.estimate import ASSUMED_GROWTH, estimate, measure_routes, measure_speed, time_and_cost
    from rephrase.storage.storage import Storage

    config = RephraseConfig.model_validate(values)
    files, _ = list_inputs(config.source)
    commits = list(read_commits(Storage(like)).values()) if like else []
    measured = measure_routes(commits)
    if like and not measured:
        raise FileNotFoundError(f"--like {like!r} holds no committed part of a run")
    notices = []
    sample = sample_corpus(files, config.read_options, limit=config.limit, seed=config.seed)
    if not sample.whole:
        notices.append(
            f"estimated from a sample: {len(sample.records):,} records at {N_PLACES} places in {len(files):,} files; "
            f"the number of records is accurate to about ±{2 * sample.error:.0%}"
        )
    is_server = config.engine.kind == "openai"
    model = config.engine.model or ("the server's model" if is_server else PACKAGED_MODEL)
    size = model_size(config.model_size, None if is_server else local_model(model))
    counts = config.engine.tokenizer or config.engine.model
    if counts is None and is_server:
        notices.append(f"tokens are counted with {PACKAGED_MODEL}, since neither --model nor --tokenizer is given")
    tokenizer = local_model(counts or PACKAGED_MODEL)
    if tokenizer is None:
        notices.append(
            f"tokens are counted with {PACKAGED_MODEL}: {counts} is not on this machine, and `plan` downloads nothing"
        )
        tokenizer = local_model(PACKAGED_MODEL)
    assert tokenizer is not None  # the packaged one is on every machine
    recipes = open_recipes(config.recipe, config.recipe_files, size)
    styles = decide_styles(config.utility_runs, recipes, config.seed) if config.utility_runs else None
    found = estimate(
        sample,
        recipes,
        config.recipe,
        HubTokenizer(tokenizer, trust_remote_code=config.engine.trust_remote_code),
        n_variants=config.n_variants,
        n_candidates=config.n_candidates,
        n_retries=config.n_retries,
        seed=config.seed,
        measured=measured,
        style_shares=styles.by_recipe() if styles else None,
        translate_back=config.fidelity.back_translation,
    )
    notices += model_size_notices(size, model, recipes, [route.route for route in found.routes])
    if unknown := [route.route for route in found.routes if route.n_chunks and route.accepted_share is None]:
        why = f"{like} has no results for {', '.join(unknown)}" if like else "no earlier run is given with --like"
        notices.append(
            f"{why}: assuming one attempt per chunk, {ASSUMED_GROWTH:g} times as long as its source; the maximum "
            "assumes that every attempt runs to its token limit"
        )
    tokens_per_s = tokens_per_s or measure_speed(commits)
    if tokens_per_s is None:
        notices.append(
            "time and cost depend on the engine: give its speed with --tokens-per-s, or an earlier run with --like"
        )
    taken = tokens_per_s and time_and_cost(
        found,
        n_engines=n_engines,
        tokens_per_s=tokens_per_s,
        requests_per_engine=config.engine.max_in_flight or REQUESTS_PER_ENGINE,
        prices=config.prices,
        seed=config.seed,
    )
    return RunPlan(
        sample=sample, estimate=found, time_and_cost=taken or None, n_engines=n_engines, notices=notices, styles=styles
    )


def print_run_plan(console: Console, found: RunPlan) -> None:
    from flows.results.display import duration

    about = "" if found.sample.whole else "about "
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("records", f"{about}{found.estimate.n_records:,.0f}", "")
    if found.estimate.n_unreadable:
        table.add_row("  unreadable", f"{about}{found.estimate.n_unreadable:,.0f}", "would be rejected")
    for route in found.estimate.routes:
        table.add_row(f"route {route.route.replace('+', ' → ')}", f"{route.n_documents:,.0f}", "documents")
        table.add_row("  source tokens", f"{route.n_source_tokens:,.0f}", "")
        if not route.n_chunks:
            continue
        accepted = "" if route.accepted_share is None else f"{route.accepted_share:.0%} accepted in the earlier run"
        table.add_row("  chunks", f"{route.n_chunks:,.0f}", accepted)
        table.add_row("  prompt tokens", f"{route.n_prompt_tokens:,.0f}", "")
        at_most = f"in all attempts; at most {route.n_completion_tokens_at_most:,.0f}"
        table.add_row("  generated tokens", f"{route.n_completion_tokens:,.0f}", at_most)
        if route.n_tokens is not None:
            table.add_row("  accepted tokens", f"{route.n_tokens:,.0f}", "")
    if taken := found.time_and_cost:
        engines = f"{found.n_engines:,} engines" if found.n_engines > 1 else "one engine"
        speed = f"on {engines}, {taken.tokens_per_s:,.0f} tokens/s in total"
        table.add_row("time", duration(taken.seconds), f"{speed}; at least {duration(taken.bound_s)}")
        if taken.cost:
            table.add_row("cost", f"{taken.cost:,.2f}", "")
            if n_tokens := sum(route.n_tokens or 0 for route in found.estimate.routes):
                table.add_row("", f"{1e6 * taken.cost / n_tokens:,.2f}", "per million accepted tokens")
    console.print(table)
    if found.styles:
        print_styles(console, found.styles)
    for notice in found.notices:
        console.print(f"notice: {notice}", style="yellow", markup=False, highlight=False)


def print_styles(console: Console, styles: "StyleDecision") -> None:
    """What each style was worth, and how often it is therefore drawn."""
    from flows.results.style_decision import worth_text

    table = Table("recipe", "style", "share", "", f"in {styles.run}", box=None, pad_edge=False)
    for row in styles.shares:
        bar = "█" * max(1, round(40 * row.share))
        table.add_row(row.recipe, row.style, f"{row.share:.1%}", bar, worth_text(row.worth))
    console.print()
    console.print(table)
    if len(sources := styles.sources()) > 1:
        table = Table("source", "", box=None, pad_edge=False)
        for source, worth in sources[:MAX_SOURCES]:
            table.add_row(source, worth_text(worth))
        console.print()
        console.print(table)
        console.print(
            f"of {len(sources):,} sources; their documents are all rewritten equally often",
            style="dim",
            markup=False,
            highlight=False,
        )
    console.print(styles.variants_line(), style="dim", markup=False, highlight=False)
