"""Run the flow in this process, with a progress line; no server has to be running."""

import asyncio
import logging
import signal
import sys
from typing import Any, NoReturn

from rich.console import Console

from fidelity.calibration.calibration import load_calibration
from flows.config import RephraseConfig
from flows.results.progress import show_progress
from flows.results.summary import Summary, summarize
from rephrase.corpus.inputs import list_inputs
from rephrase.progress import Progress
from rephrase.prompting.routing import open_recipes
from rephrase.storage.storage import Storage
from training.train_config import TrainConfig


def run_locally(values: dict[str, Any], console: Console) -> Summary:
    """
    Raises:
        pydantic.ValidationError: an option is invalid.
        ValueError, FileNotFoundError, RuntimeError: what the flow raises.
        KeyboardInterrupt, prefect.exceptions.TerminationSignal: it was stopped; the same call resumes it.
    """
    config = RephraseConfig.model_validate(values)
    # Report wrong options before loading Prefect and the models, which takes seconds.
    open_recipes(config.recipe, config.recipe_files)
    list_inputs(config.source, config.output)
    load_calibration(config.fidelity.calibration)
    config.read_options  # noqa: B018  raises if a field is not an expression
    from flows.running.outages import ServerAwayError
    from flows.running.prefect_server import prefect_api

    # When the flow has closed, Prefect sends SIGTERM again to the previous handler; the default one kills the process.
    signal.signal(signal.SIGTERM, _terminate)
    with prefect_api():
        try:
            return asyncio.run(_run(config, console))
        except ServerAwayError as error:
            summary = summarize(Storage(config.output))
            console.print(
                f"note: {error}, so it does not show the end of this run. On disk, "
                f"{summary.n_parts_committed:,} of {summary.n_parts:,} parts are committed.",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            return summary


def run_cycle_locally(
    values: dict[str, Any], training: dict[str, Any], *, rounds: int, max_variants: int, console: Console
) -> list[dict[str, Any]]:
    """The rounds of a cycle, each with the outcome of its steps.

    Raises:
        pydantic.ValidationError: an option is invalid.
        ValueError, FileNotFoundError, RuntimeError: what the flow raises.
        KeyboardInterrupt, prefect.exceptions.TerminationSignal: it was stopped; the same call resumes it.
    """
    config, options = RephraseConfig.model_validate(values), TrainConfig.model_validate(training)
    open_recipes(config.recipe, config.recipe_files)
    list_inputs(config.source, config.output)
    from flows.cycling import current_console, cycle, require_measurable
    from flows.running.prefect_server import prefect_api

    require_measurable(config, options, rounds)
    # As `palimpsest train` does; Prefect has configured the root of the loggers for its own.
    log = logging.getLogger("training")
    log.addHandler(logging.StreamHandler(sys.stderr))
    log.setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _terminate)
    current_console.set(console)

    async def run() -> list[dict[str, Any]]:
        return await cycle(config, rounds, options, max_variants)

    with prefect_api():
        return asyncio.run(run())


def _terminate(number: int, frame: object) -> NoReturn:
    from prefect.exceptions import TerminationSignal

    raise TerminationSignal(number)


async def _run(config: RephraseConfig, console: Console) -> Summary:
    from flows.rephrasing import rephrase
    from flows.running.run_setup import current_progress

    progress = Progress()
    progress.begin("starting")
    current_progress.set(progress)
    async with show_progress(progress, console):
        return await rephrase(config)
