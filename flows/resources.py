"""What the tasks of a run share inside one process: the engine, the tokenizer, the checks. Opened once, closed once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from fidelity.checker import Checker
from fidelity.encoder import open_encoder
from flows.config import EngineConfig, RephraseConfig, choose_recipes
from rephrase.engine import Engine
from rephrase.models import PACKAGED_MODEL, model_revision, n_parameters, resolve_model
from rephrase.parts import Admission, Progress, Workshop
from rephrase.plan import Plan, load_plan, make_plan, require_same, save_plan
from rephrase.reading import list_inputs
from rephrase.recipes import Recipe
from rephrase.rewriting import Tools
from rephrase.storage import Storage
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
    else:
        require_same(plan, pinned, list_inputs(config.source, config.output)[0])
    return plan


def too_small(found: float | None, model: str, recipes: Mapping[str, Recipe], plan: Plan) -> list[str]:
    """A note for each recipe of the plan's routes that is meant for larger models than this one."""
    used = {name for route in plan.routes for name in route.split("+") if name in recipes}
    return [
        f"note: the recipe {name} is meant for models of {recipes[name].smallest_model} parameters or more, "
        f"{model} has about {found / 1e6:,.0f}M: expect many rejects"
        for name in sorted(used)
        if found is not None and found < recipes[name].smallest_model_parameters
    ]


@asynccontextmanager
async def open_workshop(config: RephraseConfig, storage: Storage) -> AsyncIterator[Workshop]:
    """Plan or resume the run, load the models, and close everything at the end."""
    recipes = choose_recipes(config)
    read_options = config.read_options
    progress = progress_of_this_run.get() or Progress()
    # What is wrong with the corpus should be said before a model takes its place on the GPU; a server is asked first,
    # since it alone knows which model it has.
    if config.engine.kind == "openai":
        engine = await asyncio.to_thread(open_engine, config.engine)
        pinned = config.pinned(engine.info.model, engine.info.model_revision, recipes)
        plan = await asyncio.to_thread(plan_run, config, storage, pinned)
    else:
        model = config.engine.model or PACKAGED_MODEL
        folder = await asyncio.to_thread(resolve_model, model)
        plan = await asyncio.to_thread(plan_run, config, storage, config.pinned(model, model_revision(folder), recipes))
        progress.notes += too_small(n_parameters(folder), model, recipes, plan)
        engine = await asyncio.to_thread(open_engine, config.engine)
    try:
        encoder = await asyncio.to_thread(open_encoder, config.fidelity.encoder)
        checker = Checker(encoder, config.fidelity)
        try:
            yield Workshop(
                storage=storage,
                plan=plan,
                read_options=read_options,
                recipes=recipes,
                recipe_choice=config.recipe,
                n_variants=config.n_variants,
                tools=Tools(
                    engine=engine,
                    tokenizer=HubTokenizer(engine.info.tokenizer),
                    check=checker,
                    n_retries=config.n_retries,
                    seed=config.seed,
                ),
                near_duplicates=checker.near_duplicates,
                admission=Admission(engine.info.max_in_flight),
                progress=progress,
            )
        finally:
            checker.close()
    finally:
        await engine.close()
