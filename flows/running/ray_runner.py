"""The parts of a run on the machines of a Ray cluster.

The process that was started plans, holds the output folder and hands out parts; a part is a task of Prefect's
RayTaskRunner. Each worker process of the cluster opens the tokenizer, the checks and the engine once, at its first
part, and keeps them. What a part becomes depends on its documents and the configuration, not on where it is written.

A part whose worker or machine is lost is handed out again. What the lost one had finished stands in the journal, if
the output folder is on a filesystem that all machines share.
"""

import asyncio
import functools
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.config import RephraseConfig
from flows.running.run_setup import Job, open_engine, open_run
from rephrase.dataset.plan import Part, load_plan
from rephrase.dataset.rows import Row
from rephrase.parts import run_part
from rephrase.progress import Progress
from rephrase.prompting.routing import open_recipes
from rephrase.run_context import RunContext
from rephrase.scheduling.target import Target
from rephrase.storage.storage import Storage

MAX_LOSSES = 3
# More parts than places are handed out, so that a place that becomes free need not wait.
PARTS_PER_PLACE = 2


class WorkerProcess:
    """The run context of this process and the event loop it lives in, in a thread, for as long as the process lives."""

    def __init__(self, config: RephraseConfig) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="run", daemon=True).start()
        self._progress = Progress()
        self._run = asyncio.run_coroutine_threadsafe(self._open(config), self._loop).result()

    def write_part(self, index: int) -> Row:
        commit = asyncio.run_coroutine_threadsafe(self._write_part(index), self._loop).result()
        assert commit is not None  # without a target, all that is handed out is written
        return commit

    async def _open(self, config: RephraseConfig) -> RunContext:
        storage = Storage(config.output)
        plan = await asyncio.to_thread(load_plan, storage)
        if plan is None:
            raise ValueError(
                f"{config.output} holds no plan on this machine: with --runner ray the output must be on a filesystem "
                "that all machines share, such as s3://…"
            )
        engine = await asyncio.to_thread(open_engine, config.engine) if config.engine.kind == "openai" else None
        job = Job(
            config=config,
            storage=storage,
            recipes=open_recipes(config.recipe, config.recipe_files),
            plan=plan,
            engine=engine,
        )
        # It is never closed, and must not be collected: the process ends when the cluster no longer needs it.
        self._opened = open_run(job, self._progress, Target())
        return await self._opened.__aenter__()

    async def _write_part(self, index: int) -> Row | None:
        self._run.scheduler.reopen()
        return await run_part(self._run.plan.parts[index], self._run)


@functools.lru_cache(maxsize=1)
def worker_process(config: str) -> WorkerProcess:
    return WorkerProcess(RephraseConfig.model_validate_json(config))


@task(name="rewrite_part", cache_policy=NO_CACHE, persist_result=False)
def rewrite_part_here(config: RephraseConfig, index: int) -> dict[str, int]:
    """Rewrite and commit one part, in whatever process of the cluster this is."""
    commit = worker_process(config.model_dump_json()).write_part(index)
    return {name: commit[name] for name in ("n_records", "n_documents_accepted", "n_rewrites", "n_rejects", "n_tokens")}


async def rewrite_on_ray(
    config: RephraseConfig, parts: Sequence[Part], progress: Progress, names: Sequence[str]
) -> None:
    """Hand out `parts`, in order, until all are committed; `names` are those of their task runs.

    Raises:
        ValueError: Ray is not installed.
        RuntimeError: a part was lost more than MAX_LOSSES times, or failed.
    """
    try:
        import ray
        from prefect_ray import RayTaskRunner
        from prefect_ray.context import remote_options
    except ImportError as error:
        raise ValueError("Ray is not installed: pip install -e '.[ray]'") from error

    log = get_run_logger()
    waiting = deque(zip(parts, names, strict=True))
    n_losses: dict[int, int] = {}
    under_way: dict[asyncio.Future[Any], tuple[Part, str]] = {}
    options = {"num_cpus": config.ray.cpus_per_part, "num_gpus": config.ray.gpus_per_part, "max_retries": 0}
    with RayTaskRunner(address=config.ray.address) as runner, remote_options(**options):
        while waiting or under_way:
            while waiting and len(under_way) < PARTS_PER_PLACE * _n_places(ray.cluster_resources(), config):
                part, name = waiting.popleft()
                named = rewrite_part_here.with_options(task_run_name=name)
                future = runner.submit(named, {"config": config, "index": part.index})
                under_way[asyncio.ensure_future(_result(future.wrapped_future))] = part, name
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                part, name = under_way.pop(ended)
                lost = ended.exception()
                if lost is not None and (
                    isinstance(lost, ray.exceptions.RayTaskError) or not isinstance(lost, ray.exceptions.RayError)
                ):
                    raise RuntimeError(f"{name} failed: {lost}") from lost
                if lost is not None:
                    n_losses[part.index] = n_losses.get(part.index, 0) + 1
                    message = f"{name} was lost with its worker ({type(lost).__name__}) and is handed out again"
                    log.warning(message)
                    progress.notices.append(message)
                    if n_losses[part.index] > MAX_LOSSES:
                        raise RuntimeError(
                            f"{name} was lost {n_losses[part.index]} times with its worker; the last time: {lost}"
                        ) from lost
                    waiting.appendleft((part, name))
                    continue
                state = ended.result()
                counts = await state.result(raise_on_failure=True)
                progress.count_part(part, config.n_variants, counts)


async def _result(reference: Any) -> Any:
    return await reference


def _n_places(resources: dict[str, float], config: RephraseConfig) -> int:
    """How many parts the cluster can write at once, as it is now: machines come and go."""
    places = [resources.get("CPU", 0) // config.ray.cpus_per_part]
    if config.ray.gpus_per_part:
        places.append(resources.get("GPU", 0) // config.ray.gpus_per_part)
    return max(1, int(min(places)))
