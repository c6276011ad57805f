"""The Prefect flow that rewrites a corpus; its tasks are parts.

The file may not be called `rephrase.py`: Prefect, loading a flow by path, would find it where the package is meant.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.config import RephraseConfig
from flows.resources import open_workshop, progress_of_this_run, workshop_of_this_run
from flows.summary import Summary, summarize
from rephrase.journal import remove_leftovers
from rephrase.parts import Workshop, run_part
from rephrase.plan import Part
from rephrase.rows import Row
from rephrase.shards import part_name, read_commits
from rephrase.storage import Storage


# A retry inside Prefect would start while the engine is still broken; a run is resumed by running it again.
@task(cache_policy=NO_CACHE, persist_result=False)
async def rewrite_part(index: int) -> dict[str, int]:
    """Rewrite and commit one part of the corpus of this run."""
    workshop = workshop_of_this_run.get()
    commit = await run_part(workshop.plan.parts[index], workshop)
    return {name: commit[name] for name in ("n_records", "n_documents_accepted", "n_rewrites", "n_rejects", "n_tokens")}


@flow(name="rephrase", flow_run_name="rephrase {config.source}", persist_result=False, validate_parameters=True)
async def rephrase(config: RephraseConfig) -> Summary:
    """Rewrite documents, check every rewrite against its source and write Parquet shards; run it again to resume."""
    log = get_run_logger()
    storage = Storage(config.output)
    with contextlib.ExitStack() as stack:
        # In a thread: on an object store it may wait for a minute.
        await asyncio.to_thread(stack.enter_context, storage.locked(note))
        async with open_workshop(config, storage) as workshop:
            workshop_of_this_run.set(workshop)
            committed = await asyncio.to_thread(read_commits, storage)
            todo = [part for part in workshop.plan.parts if part.index not in committed]
            log.info(
                "%s: %d records in %d parts, %d parts committed before",
                *(config.source, workshop.plan.n_records, len(workshop.plan.parts), len(committed)),
            )
            await asyncio.to_thread(remove_leftovers, storage, committed)
            _count_committed(workshop, committed)
            async with asyncio.TaskGroup() as group:
                for part in todo:
                    started = workshop.admission.all_started(part.index)
                    running = group.create_task(_run_task(part))
                    # The next part begins when this one has no document left to start, or has failed.
                    waiting = asyncio.ensure_future(started.wait())
                    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
    summary = summarize(storage)
    log.info(
        "done: %d of %d records accepted, %d rewrites of %d tokens in %s",
        *(summary.n_accepted, summary.n_read - summary.n_not_selected, summary.n_rewrites, summary.n_tokens),
        f"{storage.url}/rewrites",
    )
    return summary


def note(message: str) -> None:
    """Tell the user of the command."""
    if progress := progress_of_this_run.get():
        progress.notes.append(message)


async def _run_task(part: Part) -> None:
    name = f"{part_name(part.index)} ({part.n_records} records, {part.n_bytes / 1024:.0f} KiB)"
    await rewrite_part.with_options(task_run_name=name)(part.index)


def _count_committed(workshop: Workshop, committed: Mapping[int, Row]) -> None:
    progress = workshop.progress
    for part in workshop.plan.parts:
        progress.n_records += part.n_records
        progress.n_bytes += part.n_bytes * workshop.n_variants
        if part.index in committed:
            progress.n_records_done += part.n_records
            progress.n_documents_accepted += committed[part.index]["n_documents_accepted"]
            progress.n_bytes_done += part.n_bytes * workshop.n_variants
