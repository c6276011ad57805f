"""Set up a run from its configuration: the plan first, then the models."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from fidelity.checker import open_checker
from fidelity.checks.back_translation import BackReview
from flows.config import STYLE_SHARES, RephraseConfig
from flows.results.style_decision import decide_styles
from flows.running.daemon_thread import in_daemon_thread
from flows.verification.judge_model import judge_notices, open_judge_model, self_judge
from rephrase.dataset.engines import record_engine
from rephrase.dataset.new_files import open_plan
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import Plan, load_plan
from rephrase.dataset.run_recipes import pin_recipes
from rephrase.engines.engine import Engine, EngineInfo
from rephrase.engines.opening import EngineConfig, open_engine
from rephrase.engines.supervision import SupervisedEngine
from rephrase.engines.vllm_engine import check_options
from rephrase.models.precision import fast_precision
from rephrase.models.resolve import PACKAGED_MODEL, ResolvedModel, resolve
from rephrase.models.tokenizer import HubTokenizer
from rephrase.progress import Progress
from rephrase.prompting import routing
from rephrase.prompting.recipes import Recipe
from rephrase.prompting.routing import model_size_notices, open_recipes
from rephrase.rewriting import RewriteTools
from rephrase.run_context import RunContext
from rephrase.scheduling.scheduler import Scheduler
from rephrase.scheduling.target import Target
from rephrase.storage.storage import Storage

# Prefect task parameters are references to data, not open engines; tasks find the run here.
current_run: ContextVar[RunContext] = ContextVar("current_run")
current_progress: ContextVar[Progress | None] = ContextVar("current_progress", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run before its models are loaded. A server is opened first, because only it knows its model."""

    config: RephraseConfig
    storage: Storage
    recipes: Mapping[str, Recipe]
    plan: Plan
    engine: Engine | None
    notices: tuple[str, ...] = ()

    async def close(self) -> None:
        if self.engine:
            await self.engine.close()


async def plan_run(config: RephraseConfig, storage: Storage, progress: Progress) -> PlannedRun:
    """Plan the run, or load its existing plan. Errors in the corpus show before a model is on the GPU.

    Raises:
        PlanMismatchError: the folder belongs to another run.
        FileNotFoundError, ValueError: there is nothing to read, or the configuration is invalid.
        EngineError: the server does not answer.
    """
    found = None
    if config.engine.kind == "vllm":
        found = await asyncio.to_thread(find_model, config.engine, progress.begin)
    size = model_size(config, found)
    recipes = open_recipes(config.recipe, config.recipe_files, size)

    style_shares = await asyncio.to_thread(find_style_shares, config, recipes, storage, progress)

    async def open_plan_for(model: str, revision: str) -> Plan:
        progress.begin("planning")
        plan = await asyncio.to_thread(
            open_plan,
            storage,
            config.source,
            config.read_options,
            config.pinned(model, revision, recipes, style_shares),
            limit=config.limit,
            new_files=config.new_files,
            part_bytes=config.part_bytes,
            recipe_choice=config.recipe,
        )
        await asyncio.to_thread(pin_recipes, storage, recipes)
        return plan

    if found is None:
        engine = await in_daemon_thread(
            open_engine, config.engine, progress.begin, penalizes_copies=_penalize_copies(recipes)
        )
        try:
            plan = await open_plan_for(engine.info.model, engine.info.model_revision)
        except BaseException:
            await engine.close()
            raise
        notices = model_size_notices(size, engine.info.model, recipes, plan.routes)
        return PlannedRun(
            config=config, storage=storage, recipes=recipes, plan=plan, engine=engine, notices=tuple(notices)
        )
    plan = await open_plan_for(found.name, found.revision)
    notices = model_size_notices(size, found.name, recipes, plan.routes)
    return PlannedRun(config=config, storage=storage, recipes=recipes, plan=plan, engine=None, notices=tuple(notices))


def find_style_shares(
    config: RephraseConfig, recipes: Mapping[str, Recipe], storage: Storage, progress: Progress
) -> Mapping[str, Mapping[str, float]] | None:
    """How often each style is drawn: as planned when the run began, or by the training runs that the options name.

    Raises:
        FileNotFoundError, ValueError: there is no such training run, or it knows none of these recipes.
    """
    plan = load_plan(storage)
    if plan is not None:
        return plan.config.get(STYLE_SHARES)
    if not config.utility_runs:
        return None
    decision = decide_styles(config.utility_runs, recipes, config.seed)
    progress.notices += decision.lines()
    return decision.by_recipe()


def model_size(config: RephraseConfig, found: ResolvedModel | None) -> float | None:
    """The number of parameters by which recipes are worded; None if the model runs on a server and none is stated."""
    return routing.model_size(config.model_size, found.folder if found else None)


def find_model(config: EngineConfig, on_phase: Callable[[str], None] = lambda phase: None) -> ResolvedModel:
    """
    Raises:
        ValueError: there is no such model or adapter, or vLLM has no such option.
    """
    options = config.vllm_options
    if options:
        check_options(options)
    return resolve(config.model or PACKAGED_MODEL, config.adapter, revision=options.get("revision"), on_phase=on_phase)


@asynccontextmanager
async def open_run(planned_run: PlannedRun, progress: Progress, target: Target) -> AsyncIterator[RunContext]:
    """Load the models for a planned run, and close everything at the end."""
    config = planned_run.config
    progress.notices += planned_run.notices
    async with AsyncExitStack() as stack:
        engine = planned_run.engine
        if engine is None:

            def count_restart(message: str) -> None:
                progress.n_engine_restarts += 1
                progress.notices.append(message)

            def opened() -> Engine:
                try:
                    return open_engine(
                        config.engine, progress.begin, penalizes_copies=_penalize_copies(planned_run.recipes)
                    )
                finally:
                    progress.begin(None)

            engine = await asyncio.to_thread(
                SupervisedEngine,
                opened,
                stall_s=config.engine.stall_s,
                on_restart=count_restart,
            )
        stack.push_async_callback(engine.close)
        # At the end: a server's ways are learnt from its answers.
        stack.push_async_callback(lambda: asyncio.to_thread(record_engine, planned_run.storage, engine.info))
        opened_judge = await in_daemon_thread(open_judge_model, config.fidelity, progress.begin)
        if opened_judge:
            stack.push_async_callback(opened_judge.close)
        judge = opened_judge.judge if opened_judge else None
        if config.fidelity.self_judge:
            judge = self_judge(engine, config.fidelity, progress.count_tokens)
        if judge:
            stack.callback(lambda: progress.notices.extend(judge_notices(judge)))
        progress.begin("loading the models of the verdict")
        checker = await asyncio.to_thread(open_checker, config.fidelity, judge)
        stack.callback(checker.close)
        review_back = BackReview() if config.fidelity.back_translation else None
        if review_back:
            stack.callback(lambda: progress.notices.extend(review_back.notices()))
        progress.notices += _how_it_runs(engine.info)
        progress.begin(None)
        yield RunContext(
            storage=planned_run.storage,
            plan=planned_run.plan,
            reader=PartReader(planned_run.plan, config.read_options),
            recipes=planned_run.recipes,
            recipe_choice=config.recipe,
            n_variants=config.n_variants,
            tools=RewriteTools(
                engine=engine,
                tokenizer=HubTokenizer(engine.info.tokenizer, trust_remote_code=config.engine.trust_remote_code),
                check=checker,
                check_back=review_back,
                n_candidates=config.n_candidates,
                n_retries=config.n_retries,
                seed=config.seed,
                on_reject=config.on_reject,
                min_rewritten_share=config.min_rewritten_share,
            ),
            near_duplicates=checker.near_duplicates,
            scheduler=Scheduler(engine, may_start_chain=target.may_start_chain),
            progress=progress,
            target=target,
            prices=config.prices,
            style_shares=planned_run.plan.config.get(STYLE_SHARES, {}),
        )


def _penalize_copies(recipes: Mapping[str, Recipe]) -> bool:
    return any(recipe.sampling.copy_penalty for recipe in recipes.values())


def _how_it_runs(info: EngineInfo) -> list[str]:
    """What was chosen for this machine and this model."""
    found = []
    if "dtype" not in info.settings.get("options", ()) and info.settings.get("dtype") == fast_precision() == "float32":
        found.append(f"{info.model} runs in float32: this processor has no units for bfloat16")
    if info.settings.get("system_role") is False:
        found.append(f"{info.model} has no system role: the user's turn begins with the system's text")
    return found
