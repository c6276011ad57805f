"""The Prefect flow of the cycle: rephrase, train, measure, and let training decide what is rewritten next.

    OUT/cycle.json             the options that all rounds share
    OUT/round-01/rewrites      the shards of the first round, and its plan with the shares of the styles
    OUT/round-01/training      a model trained on the rewrites of all rounds so far
    OUT/round-01/steps.json    the outcome of each finished step, which is not repeated
    OUT/cycle.md, shares.svg   the decisions, for people

A round draws its styles by what they were worth in the training of the round before. Every round trains a new model for
the same number of steps, so that the rounds can be compared. The decision itself is made from files: a run that is
resumed, or a `palimpsest rephrase --utility OUT/round-02/training` by hand, makes the same.
"""

import asyncio
import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow, get_client, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.actions import ArtifactCreate
from prefect.runtime import flow_run
from rich.console import Console

from flows.config import STYLE_SHARES, RephraseConfig
from flows.pretraining import pretrain
from flows.rephrasing import rephrase
from flows.results.cycle_report import Steps, cycle_markdown, decision_rows, share_curves
from flows.results.progress import show_progress
from flows.results.style_decision import decide_styles
from flows.running import run_setup
from flows.running.cancellation import cancellable
from flows.running.process import prepare_process
from rephrase.dataset.plan import option_differences, read_config
from rephrase.progress import Progress
from rephrase.prompting.routing import open_recipes
from rephrase.storage.lock import locked
from rephrase.storage.storage import Storage
from training.train_config import NOT_PINNED, TrainConfig

# Where the rounds are shown on the command line.
current_console: ContextVar[Console | None] = ContextVar("current_console", default=None)


@flow(name="cycle", flow_run_name="cycle {config.source}", persist_result=False)
@cancellable
async def cycle(
    config: RephraseConfig,
    rounds: int = 3,
    training: TrainConfig = TrainConfig(),  # noqa: B008  frozen
    max_variants: int = 4,
) -> list[Steps]:
    """Rephrase a corpus, train on the result, and rephrase again by what training learnt; run it again to resume.

    Args:
        config: What to rewrite, and how; its output is a local folder for all rounds.
        rounds: How many rounds; a larger number continues.
        training: How to train in each round.
        max_variants: From the second round on, the measured worth of repetition decides how many rewrites each document
            gets, up to this many.
    """
    prepare_process()
    require_measurable(config, training, rounds)
    storage = Storage(config.output)
    with locked(storage):
        pin_options(storage, config, training, max_variants)
        done: list[Steps] = []
        for number in range(1, rounds + 1):
            before = done[-1]["decide"] if done else None
            options = round_config(config, number, before, max_variants)
            done.append(await _round(storage, number, options, training))
            await _publish(storage, done)
    return done


async def _round(storage: Storage, number: int, config: RephraseConfig, training: TrainConfig) -> Steps:
    """One round; each step is written down when it is finished, and then not taken again."""
    name = f"{round_name(number)}/steps.json"
    steps: Steps = storage.read_json(name) if storage.exists(name) else {}
    run = training_folder(storage.url, number)

    def finish(step: str, outcome: Mapping[str, Any]) -> None:
        steps[step] = outcome
        storage.write_json(name, steps)

    if "rephrase" not in steps:
        _say(f"round {number}: rewriting {config.source}, {_counted(config.n_variants, 'variant')} per document")
        finish("rephrase", {"n_variants": config.n_variants, **await _rephrase(config)})
    if "train" not in steps:
        _say(f"round {number}: training {training.preset} for {training.n_steps:,} steps")
        earlier = tuple(rewrites_folder(storage.url, n) for n in range(number - 1, 0, -1))
        options = training.model_copy(update={"other_shards": (*earlier, *training.other_shards)})
        finish("train", await pretrain(config.output, run, options))
    if "decide" not in steps:
        finish("decide", await asyncio.to_thread(decide, run, config))
        for line in steps["decide"]["lines"]:
            get_run_logger().info(line)
    return steps


async def _rephrase(config: RephraseConfig) -> dict[str, Any]:
    console = current_console.get()
    if console is None:
        return asdict(await rephrase(config))
    progress = Progress()
    progress.begin("starting")
    before = run_setup.current_progress.set(progress)
    try:
        async with show_progress(progress, console):
            return asdict(await rephrase(config))
    finally:
        run_setup.current_progress.reset(before)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="decide by {run}")
def decide(run: str, config: RephraseConfig) -> dict[str, Any]:
    """Measure what the styles were worth in a training run, and decide the shares of the next round.

    Raises:
        ValueError: the run measured none of the styles.
    """
    found = run_setup.find_model(config.engine) if config.engine.kind == "vllm" else None
    recipes = open_recipes(config.recipe, config.recipe_files, run_setup.model_size(config, found))
    decision = decide_styles([run], recipes, config.seed + 1)  # the seed of the next round
    drawn = read_config(Storage(config.output)).get(STYLE_SHARES, {})
    return {
        **decision.to_json(),
        "lines": decision.lines(),
        "held_out_loss": held_out_loss(Path(run)),
        "drawn": drawn
        or {r: dict.fromkeys(recipes[r].styles, 1 / len(recipes[r].styles)) for r in decision.by_recipe()},
    }


def round_config(
    config: RephraseConfig, number: int, decision: Mapping[str, Any] | None, max_variants: int
) -> RephraseConfig:
    """The options of a round: further rounds write other rewrites, in the styles that the round before decided."""
    changes: dict[str, Any] = {"output": rewrites_folder(config.output, number), "seed": config.seed + number - 1}
    if decision is not None:
        changes["utility"] = decision["run"]
        changes["n_variants"] = min(decision["n_variants"] or config.n_variants, max(max_variants, config.n_variants))
    return config.model_copy(update=changes)


def held_out_loss(run: Path) -> float | None:
    """Nats per token at the end of a training run, on held-out originals, or on all held-out text without originals."""
    from training.data.texts import ORIGINAL
    from training.loop.telemetry import read_metrics

    rows = list(read_metrics(run, "held_out"))
    streams = {name: value for name, value in (rows[-1] if rows else {}).items() if " · " in name}
    originals = [value for name, value in streams.items() if name.endswith(f" · {ORIGINAL}")]
    losses = originals or list(streams.values())
    return sum(losses) / len(losses) if losses else None


def require_measurable(config: RephraseConfig, training: TrainConfig, rounds: int) -> None:
    """
    Raises:
        ValueError: the rounds could not decide anything, and the first would be done before that shows.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; it must be 1 or more")
    if "://" in config.output:
        raise ValueError(f"the output {config.output!r} is not a local folder, and checkpoints need one")
    if config.target_tokens is not None or config.new_files:
        raise ValueError(
            "target_tokens and new_files do not apply to a cycle: each round rewrites the whole corpus once"
        )
    # Of the measurements, those of the later half count, and an error needs two.
    if not training.align_every or training.n_steps <= 3 * training.align_every or not training.held_out_share:
        raise ValueError(
            f"{training.n_steps} steps with a measurement every {training.align_every} (align_every) and a held-out "
            f"share of {training.held_out_share} are too little to tell what a style is worth: measure at least "
            "four times"
        )


def pin_options(storage: Storage, config: RephraseConfig, training: TrainConfig, max_variants: int) -> None:
    """Write down the options that all rounds share, or compare them with those of the rounds before.

    Raises:
        ValueError: they differ.
    """
    from training.loop.run_options import CHANGEABLE_OPTIONS

    changeable = CHANGEABLE_OPTIONS | NOT_PINNED
    options = {
        "source": config.source,
        **config.pinned("", "", {}),
        # Each round pins what its model is; all are to be written by the same.
        "engine.model": config.engine.model,
        "engine.lora": config.engine.lora,
        **{f"training.{k}": v for k, v in training.model_dump(mode="json", exclude=changeable).items()},
        "max_variants": max_variants,
    }
    if not storage.exists("cycle.json"):
        storage.write_json("cycle.json", options)
    if differences := option_differences(storage.read_json("cycle.json"), json.loads(json.dumps(options))):
        raise ValueError(
            f"{storage.url} belongs to a cycle with other options: {'; '.join(differences)}. Use those, or choose "
            "another folder."
        )


def round_name(number: int) -> str:
    return f"round-{number:02}"


def rewrites_folder(root: str, number: int) -> str:
    return f"{root.rstrip('/')}/{round_name(number)}/rewrites"


def training_folder(root: str, number: int) -> str:
    return f"{root.rstrip('/')}/{round_name(number)}/training"


async def _publish(storage: Storage, done: list[Steps]) -> None:
    """Write the report, and show it on the page of the run; a server that is away must not stop the rounds."""
    report = cycle_markdown(done)
    storage.write("cycle.md", report.encode())
    storage.write("shares.svg", share_curves(done).encode())
    try:
        async with get_client() as client:
            for key, kind, data, description in (
                (
                    "cycle-decisions",
                    "table",
                    json.dumps(decision_rows(done)),
                    "What each style was worth, and the next shares",
                ),
                ("cycle-report", "markdown", report, "The rounds so far"),
            ):
                await client.create_artifact(
                    ArtifactCreate(key=key, type=kind, data=data, description=description, flow_run_id=flow_run.id)
                )
    except Exception as error:  # only the page is not up to date
        get_run_logger().warning("the run's page is not up to date: %s", error)


def _say(message: str) -> None:
    get_run_logger().info(message)
    if console := current_console.get():
        console.print(message, style="bold", markup=False, highlight=False, soft_wrap=True)


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"
