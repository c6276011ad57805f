"""The Prefect flow that rewrites a corpus, with one task per part.

This file must not be called `rephrase.py`: Prefect, loading a flow by path, would import it as the package.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.config import RephraseConfig
from flows.results.data_card import write_data_card
from flows.results.display import counted, visible
from flows.results.summary import Summary, summarize
from flows.running.cancellation import cancellable
from flows.running.engine_slot import engine_slot
from flows.running.metrics import RunCollector, serve_metrics
from flows.running.process import graceful_stop, prepare_process
from flows.running.ray_runner import rewrite_on_ray
from flows.running.run_artifacts import publish_artifacts
from flows.running.run_setup import current_progress, current_run, open_run, plan_run
from flows.running.secret_blocks import load_secrets
from flows.running.task_runs import close_earlier_tries, task_runs_closed
from rephrase.dataset.journal import remove_leftovers
from rephrase.dataset.new_files import split_changed
from rephrase.dataset.plan import Part, Plan, require_own_commits
from rephrase.dataset.rows import Row
from rephrase.dataset.shards import part_name, read_commits
from rephrase.parts import run_part
from rephrase.progress import Progress
from rephrase.run_context import RunContext
from rephrase.scheduling.part_order import order_parts
from rephrase.scheduling.scheduler import run_parts
from rephrase.scheduling.target import Target
from rephrase.storage.lock import locked
from rephrase.storage.storage import Storage


# A retry inside Prefect would start while the engine is still broken; a run is resumed by running it again.
@task(cache_policy=NO_CACHE, persist_result=False)
async def rewrite_part(index: int) -> dict[str, int]:
    """Rewrite and commit one part of this run's corpus; returns nothing if none of it was started."""
    run = current_run.get()
    commit = await run_part(run.plan.parts[index], run)
    if commit is None:
        return {}
    get_run_logger().info(describe_commit(commit))
    names = ("n_records", "n_records_left", "n_documents_accepted", "n_rewrites", "n_rejects", "n_tokens")
    return {name: commit[name] for name in names}


@flow(name="rephrase", flow_run_name="rephrase {config.source}", persist_result=False, validate_parameters=True)
@cancellable
async def rephrase(config: RephraseConfig) -> Summary:
    """Rewrite documents, check every rewrite against its source and write Parquet shards; run it again to resume.

    Args:
        config: What to rewrite, and how.
    """
    prepare_process()
    log = get_run_logger()
    progress = _progress()
    with graceful_stop():
        async with serve_metrics(progress, log.warning) as metrics:
            return await _rephrase(config, progress, metrics)


async def _rephrase(config: RephraseConfig, progress: Progress, metrics: RunCollector) -> Summary:
    log = get_run_logger()
    with contextlib.ExitStack() as stack:
        # It asks the server: a signal that comes meanwhile must not be lost.
        await load_secrets()
        storage = Storage(config.output)
        # In a thread: on an object store this may take a minute.
        await asyncio.to_thread(stack.enter_context, locked(storage, notify))
        await close_earlier_tries()
        planned_run = await plan_run(config, storage, progress)
        progress.begin(None)
        committed = await asyncio.to_thread(read_commits, storage)
        require_own_commits(planned_run.plan, committed)
        todo = _todo(planned_run.plan, committed)
        log.info(visible(describe_plan(config, planned_run.plan, len(todo))))
        await asyncio.to_thread(
            remove_leftovers, storage, {*range(len(planned_run.plan.parts))} - {p.index for p in todo}
        )
        if config.new_files:
            todo, changed = await asyncio.to_thread(split_changed, planned_run.plan, todo)
            for name in changed:
                notify(
                    f"{name} has changed or disappeared since it was planned: its parts wait until it is "
                    "restored; under another name it counts as a new file"
                )
        target = Target(config.target_tokens)
        _count_committed(progress, target, planned_run.plan, config.n_variants, committed)
        # On Ray, parts whose worker is lost are assigned again.
        closed = task_runs_closed(all_complete=config.runner == "local")
        async with closed, publish_artifacts(storage, progress, planned_run.plan):
            if config.runner == "ray":
                await planned_run.close()  # the workers open their own engines
                names = [task_name(part_label(planned_run.plan, part)) for part in todo]
                await rewrite_on_ray(config, todo, progress, names)
            elif todo and not target.reached:
                in_process = config.engine.kind == "vllm"
                async with engine_slot(in_process), open_run(planned_run, progress, target) as run:
                    info = run.tools.engine.info
                    log.info("%s is ready and takes %d concurrent requests", info.model, info.max_in_flight)
                    metrics.scheduler = run.scheduler
                    await _rewrite(todo, run)
            else:
                await planned_run.close()
    summary = summarize(storage)
    await asyncio.to_thread(
        write_data_card,
        storage,
        planned_run.plan,
        summary,
        license=config.license,
        source_description=config.source_description,
    )
    log.info(
        "done: %d of %d records accepted, %d rewrites of %d tokens in %s",
        *(summary.n_accepted, summary.n_read - summary.n_not_selected, summary.n_rewrites, summary.n_tokens),
        f"{storage.url}/rewrites",
    )
    return summary


def _progress() -> Progress:
    # Not in the flow itself: the flow is pickled for Ray with all it refers to, and context variables cannot be.
    return current_progress.get() or Progress()


def notify(message: str) -> None:
    """Show a notice to the user of the command line."""
    if progress := current_progress.get():
        progress.notices.append(message)


async def _rewrite(todo: Sequence[Part], run: RunContext) -> None:
    """Rewrite until all is done or the commits reach the target: near-duplicates are only rejected on commit."""
    current_run.set(run)
    target, scheduler = run.target, run.scheduler
    while todo and not target.reached:
        scheduler.reopen()
        parts = order_parts(todo, run.tools.engine.info.max_in_flight)
        await run_parts(parts, lambda part: _run_task(part, run.plan), scheduler)
        committed = await asyncio.to_thread(read_commits, run.storage)
        for index, commit in committed.items():
            target.set_part(index, commit["n_tokens"])
        todo = [part for part in _todo(run.plan, committed) if part in todo]


def _todo(plan: Plan, committed: Mapping[int, Row]) -> list[Part]:
    """The parts that are not committed, or only partly because a target was reached."""
    return [
        part for part in plan.parts if part.index not in committed or committed[part.index].get("n_records_left", 0)
    ]


async def _run_task(part: Part, plan: Plan) -> None:
    await rewrite_part.with_options(task_run_name=task_name(part_label(plan, part)))(part.index)


def task_name(label: str) -> str:
    """Escape braces, for which Prefect substitutes parameters, and hidden characters: a file name may contain both."""
    return visible(label).replace("{", "{{").replace("}", "}}")


def part_label(plan: Plan, part: Part) -> str:
    """Which records a part holds: `part-00003: a.jsonl 1,201 to 1,600`, counted from 1."""
    first = part.start.record + 1
    files = plan.files_of(part)
    label = f"{part_name(part.index)}: {files[0].name}"
    if len(files) == 1:
        last = first + part.n_records - 1
        return f"{label} {first:,} to {last:,}" if part.n_records > 1 else f"{label} {first:,}"
    return (
        f"{label} {first:,} to {files[-1].name}"
        + (f", {len(files)} files" if len(files) > 2 else "")
        + (f", {part.n_records:,} records")
    )


def describe_plan(config: RephraseConfig, plan: Plan, n_todo: int) -> str:
    """What a run is about to do, in one sentence."""
    routes = ", ".join(f"{route.replace('+', ' → ')} {count:,}" for route, count in plan.routes.items())
    n_before = len(plan.parts) - n_todo
    records, files, parts = (
        counted(n, noun)
        for n, noun in [(plan.n_records, "record"), (len(plan.inputs), "file"), (len(plan.parts), "part")]
    )
    if not n_todo:
        return f"{config.source}: {records} in {parts}, all committed: nothing to do"
    before = f", {n_before:,} already committed" if n_before else ""
    return f"{config.source}: {records} in {files}, {parts} ({routes}){before}; {n_todo:,} to do"


def describe_commit(commit: Row) -> str:
    """The outcome of a part, in one sentence."""
    rejects = ", ".join(f"{reason} {n:,}" for reason, n in commit["rejects_by_reason"].items())
    seconds = commit["ended_at"] - commit["started_at"]
    return (
        f"committed: {commit['n_documents_accepted']:,} of {counted(commit['n_records'], 'record')} accepted, "
        f"{counted(commit['n_rewrites'], 'rewrite')} of {counted(commit['n_tokens'], 'token')} in {seconds:,.0f} s"
        + (f"; rejected: {rejects}" if rejects else "")
    )


def _count_committed(
    progress: Progress, target: Target, plan: Plan, n_variants: int, committed: Mapping[int, Row]
) -> None:
    progress.target_tokens = target.n_tokens
    for part in plan.parts:
        progress.n_records += part.n_records
        progress.n_bytes += part.n_bytes * n_variants
        if commit := committed.get(part.index):
            progress.count_part(part, n_variants, commit)
            target.set_part(part.index, commit["n_tokens"])
