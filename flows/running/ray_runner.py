"""Write the parts of a run on a Ray cluster.

The driver process plans, locks the output folder and assigns parts; a part is a task of Prefect's RayTaskRunner. Each
worker process of the cluster loads the tokenizer, the checks and the engine once, for its first part, and keeps them.
The content of a part depends on its documents and the configuration, not on where it is written.

A part whose worker or machine is lost is assigned again. What the lost worker had finished is in the journal, if the
output folder is on a filesystem that all machines share.
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
from flows.running.outages import wait_for_outages
from flows.running.run_setup import PlannedRun, find_model, model_size, open_engine, open_run
from rephrase.dataset.plan import Part, load_plan
from rephrase.dataset.rows import Row
from rephrase.parts import run_part
from rephrase.progress import Progress
from rephrase.prompting.routing import open_recipes
from rephrase.run_context import RunContext
from rephrase.scheduling.target import Target
from rephrase.storage.storage import Storage

MAX_LOSSES = 3
# What the run counts of a part that another process has written.
COUNTS = ("n_records", "n_documents_accepted", "n_rewrites", "n_rejects", "n_tokens", "n_chunks", "n_chunks_accepted")
USAGE = ("n_prompt_tokens", "n_completion_tokens", "n_cached_tokens")
# More parts than worker slots are assigned, so that a free slot does not wait.
PARTS_PER_SLOT = 2


class WorkerProcess:
    """The run context of a worker process and its event loop, in a thread, for the lifetime of the process."""

    def __init__(self, config: RephraseConfig) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="run", daemon=True).start()
        self._progress = Progress()
        self._run = asyncio.run_coroutine_threadsafe(self._open(config), self._loop).result()

    def write_part(self, index: int) -> Row:
        commit = asyncio.run_coroutine_threadsafe(self._write_part(index), self._loop).result()
        assert commit is not None  # without a target, every assigned part is written
        return commit

    async def _open(self, config: RephraseConfig) -> RunContext:
        storage = Storage(config.output)
        plan = await asyncio.to_thread(load_plan, storage)
        if plan is None:
            raise ValueError(
                f"{config.output} holds no plan on this machine: with --runner ray the output must be on a filesystem "
                "that all machines share, such as s3://…"
            )
        is_server = config.engine.kind == "openai"
        engine = await asyncio.to_thread(open_engine, config.engine) if is_server else None
        found = None if is_server else await asyncio.to_thread(find_model, config.engine)
        planned_run = PlannedRun(
            config=config,
            storage=storage,
            recipes=open_recipes(config.recipe, config.recipe_files, model_size(config, found)),
            plan=plan,
            engine=engine,
        )
        # Never closed, and must not be garbage-collected: the process ends when the cluster no longer needs it.
        self._opened = open_run(planned_run, self._progress, Target())
        return await self._opened.__aenter__()

    async def _write_part(self, index: int) -> Row | None:
        self._run.scheduler.reopen()
        return await run_part(self._run.plan.parts[index], self._run)


@functools.lru_cache(maxsize=1)
def worker_process(config: str) -> WorkerProcess:
    wait_for_outages(get_run_logger().warning)
    return WorkerProcess(RephraseConfig.model_validate_json(config))


@task(name="rewrite_part", cache_policy=NO_CACHE, persist_result=False)
def rewrite_part_on_worker(config: RephraseConfig, index: int) -> dict[str, float]:
    """Rewrite and commit one part, in a worker process of the cluster."""
    commit = worker_process(config.model_dump_json()).write_part(index)
    return {name: commit[name] for name in (*COUNTS, *USAGE, "cost")}


async def rewrite_on_ray(
    config: RephraseConfig, parts: Sequence[Part], progress: Progress, names: Sequence[str]
) -> None:
    """Assign `parts`, in order, until all are committed; `names` are the names of their task runs.

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
    in_progress: dict[asyncio.Future[Any], tuple[Part, str]] = {}
    options = {"num_cpus": config.ray.cpus_per_part, "num_gpus": config.ray.gpus_per_part, "max_retries": 0}
    with RayTaskRunner(address=config.ray.address) as runner, remote_options(**options):
        while waiting or in_progress:
            while waiting and len(in_progress) < PARTS_PER_SLOT * _n_slots(ray.cluster_resources(), config):
                part, name = waiting.popleft()
                named = rewrite_part_on_worker.with_options(task_run_name=name)
                future = runner.submit(named, {"config": config, "index": part.index})
                in_progress[asyncio.ensure_future(_result(future.wrapped_future))] = part, name
            done, _ = await asyncio.wait(in_progress, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                part, name = in_progress.pop(ended)
                lost = ended.exception()
                if lost is not None and (
                    isinstance(lost, ray.exceptions.RayTaskError) or not isinstance(lost, ray.exceptions.RayError)
                ):
                    raise RuntimeError(f"{name} failed: {lost}") from lost
                if lost is not None:
                    n_losses[part.index] = n_losses.get(part.index, 0) + 1
                    message = f"{name} was lost with its worker ({type(lost).__name__}) and is assigned again"
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
                for name in USAGE:
                    setattr(progress, name, getattr(progress, name) + counts[name])


async def _result(reference: Any) -> Any:
    return await reference


def _n_slots(resources: dict[str, float], config: RephraseConfig) -> int:
    """How many parts the cluster can write at once, as of now: machines come and go."""
    slots = [resources.get("CPU", 0) // config.ray.cpus_per_part]
    if config.ray.gpus_per_part:
        slots.append(resources.get("GPU", 0) // config.ray.gpus_per_part)
    return max(1, int(min(slots)))
