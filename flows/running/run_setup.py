"""What the tasks of a run share inside one process: the engine, the tokenizer, the checks. Opened once, closed once."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from fidelity.calibration import load_calibration
from fidelity.checker import Checker, Logprobs
from fidelity.encoder import open_encoder
from flows.config import EngineConfig, RephraseConfig, choose_recipes
from rephrase.engine import Engine, LogprobEngine, PoisonError, PromptTooLongError, RequestRefusedError
from rephrase.models import PACKAGED_MODEL, model_revision, n_parameters, resolve_model
from rephrase.new_files import extend_plan, split_new
from rephrase.part_reader import PartReader
from rephrase.parts import Progress, Workshop
from rephrase.plan import Plan, load_plan, make_plan, require_same, save_plan
from rephrase.reading import list_inputs
from rephrase.recipes import Recipe
from rephrase.records import TokenLogprobs
from rephrase.rewriting import Tools
from rephrase.scheduler import Scheduler
from rephrase.storage import Storage
from rephrase.supervision import SupervisedEngine
from rephrase.target import Target
from rephrase.tokenizer import HubTokenizer

# Prefect tasks take references to data as parameters, not open engines; these they find here.
workshop_of_this_run: ContextVar[Workshop] = ContextVar("workshop_of_this_run")
progress_of_this_run: ContextVar[Progress | None] = ContextVar("progress_of_this_run", default=None)


def open_engine(config: EngineConfig) -> Engine:
    """
    Raises:
        ValueError: the configuration cannot work.
        EngineError: the model does not load, or the server does not answer.
    """
    if config.kind == "openai":
        from rephrase.engine_openai import OpenAIEngine

        return OpenAIEngine(
            config.endpoints,
            model=config.model,
            tokenizer=config.tokenizer,
            timeout_s=config.timeout_s,
            max_in_flight=config.max_in_flight,
        )
    from rephrase.engine_vllm import VLLMEngine

    return VLLMEngine(
        config.model or PACKAGED_MODEL,
        max_context_tokens=config.max_context_tokens,
        max_num_seqs=config.max_in_flight,
    )


# Tests put a calibration for scripted models in its place.
open_calibration = load_calibration


def logprobs_of(engine: Engine) -> Logprobs | None:
    """What the likelihood tier asks; a text that the engine does not score is left to the other tiers."""
    if not isinstance(engine, LogprobEngine):
        return None

    async def logprobs(context: str, text: str) -> TokenLogprobs | None:
        try:
            return await engine.logprobs(context, text)
        except (PromptTooLongError, RequestRefusedError, PoisonError):
            return None

    return logprobs


def plan_run(config: RephraseConfig, storage: Storage, pinned: Mapping[str, Any]) -> Plan:
    """The plan in the output folder, after a look whether this run may go on with it, or a new one.

    Raises:
        PlanMismatchError: the folder belongs to another run.
        FileNotFoundError, ValueError: there is nothing to read.
    """
    plan = load_plan(storage)
    if plan is None:
        plan = make_plan(
            config.source,
            config.read_options,
            pinned,
            output=config.output,
            limit=config.limit,
            part_bytes=config.part_bytes,
            recipe_choice=config.recipe,
        )
        save_plan(storage, plan)
        return plan
    found, skipped = list_inputs(config.source, config.output)
    old, new = split_new(plan, found)
    require_same(plan, pinned, old if config.new_files else found)
    if config.new_files and new:
        plan = extend_plan(
            storage,
            plan,
            new,
            skipped,
            config.read_options,
            pinned,
            part_bytes=config.part_bytes,
            recipe_choice=config.recipe,
        )
    return plan


def too_small(found: float | None, model: str, recipes: Mapping[str, Recipe], routes: Iterable[str]) -> list[str]:
    """A note for each recipe of the routes that is meant for larger models than this one."""
    used = {name for route in routes for name in route.split("+") if name in recipes}
    return [
        f"note: the recipe {name} is meant for models of {recipes[name].smallest_model} parameters or more, "
        f"{model} has about {found / 1e6:,.0f}M: expect many rejects"
        for name in sorted(used)
        if found is not None and found < recipes[name].smallest_model_parameters
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done, before models are loaded for it. A server is asked first: it alone knows its model."""

    config: RephraseConfig
    storage: Storage
    recipes: Mapping[str, Recipe]
    plan: Plan
    engine: Engine | None
    notes: tuple[str, ...] = ()

    async def close(self) -> None:
        if self.engine:
            await self.engine.close()


async def open_job(config: RephraseConfig, storage: Storage) -> Job:
    """Plan the run or go on with its plan. What is wrong with the corpus is said before a model is on the GPU.

    Raises:
        PlanMismatchError: the folder belongs to another run.
        FileNotFoundError, ValueError: there is nothing to read, or the configuration cannot work.
        EngineError: the server does not answer.
    """
    recipes = choose_recipes(config)
    if config.engine.kind == "openai":
        engine = await asyncio.to_thread(open_engine, config.engine)
        try:
            pinned = config.pinned(engine.info.model, engine.info.model_revision, recipes)
            plan = await asyncio.to_thread(plan_run, config, storage, pinned)
        except BaseException:
            await engine.close()
            raise
        return Job(config=config, storage=storage, recipes=recipes, plan=plan, engine=engine)
    model = config.engine.model or PACKAGED_MODEL
    folder = await asyncio.to_thread(resolve_model, model)
    plan = await asyncio.to_thread(plan_run, config, storage, config.pinned(model, model_revision(folder), recipes))
    notes = too_small(n_parameters(folder), model, recipes, plan.routes)
    return Job(config=config, storage=storage, recipes=recipes, plan=plan, engine=None, notes=tuple(notes))


@asynccontextmanager
async def open_workshop(job: Job, progress: Progress, target: Target) -> AsyncIterator[Workshop]:
    """Load the models for a job, and close everything at the end."""
    config = job.config
    progress.notes += job.notes
    engine = job.engine
    if engine is None:

        def count_restart(message: str) -> None:
            progress.n_engine_restarts += 1
            progress.notes.append(f"note: {message}")

        engine = await asyncio.to_thread(
            SupervisedEngine,
            lambda: open_engine(config.engine),
            stall_s=config.engine.stall_s,
            on_restart=count_restart,
        )
    try:
        encoder = await asyncio.to_thread(open_encoder, config.fidelity.encoder)
        calibration = await asyncio.to_thread(open_calibration, config.fidelity.calibration)
        checker = Checker(encoder, config.fidelity, calibration=calibration, logprobs=logprobs_of(engine))
        try:
            yield Workshop(
                storage=job.storage,
                plan=job.plan,
                reader=PartReader(job.plan, config.read_options),
                recipes=job.recipes,
                recipe_choice=config.recipe,
                n_variants=config.n_variants,
                tools=Tools(
                    engine=engine,
                    tokenizer=HubTokenizer(engine.info.tokenizer),
                    check=checker,
                    n_retries=config.n_retries,
                    seed=config.seed,
                    on_reject=config.on_reject,
                ),
                near_duplicates=checker.near_duplicates,
                scheduler=Scheduler(engine, may_begin=target.may_begin),
                progress=progress,
                target=target,
                prices=config.prices,
            )
        finally:
            checker.close()
    finally:
        await engine.close()
