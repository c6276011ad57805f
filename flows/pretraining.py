"""The Prefect flows that train: on existing shards, or on those that a rephrase run has just written."""

import asyncio
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.config import RephraseConfig
from flows.rephrasing import rephrase
from flows.running.engine_slot import engine_slot
from flows.running.process import graceful_stop, prepare_process
from flows.running.task_runs import task_runs_closed
from training.loop.stopping import StopRequest
from training.train_config import TrainConfig


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="train {config.preset} on {shards}")
def train_model(shards: str, run: str, config: TrainConfig, stop: StopRequest) -> dict[str, Any]:
    """Train in the folder `run`; a stopped run resumes from its newest checkpoint."""
    from training.launching.launch import launch

    summary = launch(config.job(shards, run), config.cluster, stop)
    return {
        "n_steps": summary.n_steps,
        "n_tokens": summary.n_tokens,
        "loss": summary.loss,
        "finished": summary.finished,
    }


@flow(name="pretrain", flow_run_name="pretrain {shards}", persist_result=False)
async def pretrain(shards: str, run: str, config: TrainConfig = TrainConfig()) -> dict[str, Any]:  # noqa: B008  frozen
    """Train a mixture-of-experts model with MuonClip on committed shards and measure what each recipe taught.

    Args:
        shards: Output folder of a rephrase run, on any fsspec filesystem.
        run: Local folder for tokens, checkpoints, metrics and reports.
        config: How to train.
    """
    prepare_process()
    log = get_run_logger()
    log.info("%s: training %s for %d steps in %s", shards, config.preset, config.n_steps, run)
    with graceful_stop():
        async with task_runs_closed(), engine_slot(config.cluster is None):
            summary = await _train_until_cancelled(shards, run, config)
    log.info("trained %(n_steps)d steps on %(n_tokens)d tokens, loss %(loss).4f", summary)
    if not summary["finished"]:
        log.warning("the data ran out before the last step: raise max_epochs in the mixture, or add shards")
    return summary


async def _train_until_cancelled(shards: str, run: str, config: TrainConfig) -> dict[str, Any]:
    """Train in a thread; a cancellation lets it save its last step before it is passed on."""
    stop = StopRequest()
    training = asyncio.ensure_future(asyncio.to_thread(train_model, shards, run, config, stop))
    try:
        return await asyncio.shield(training)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(training, return_exceptions=True)  # how it ended stands in the log of the task
        raise


@flow(name="full_run", flow_run_name="full run {config.source}", persist_result=False)
async def full_run(
    config: RephraseConfig,
    run: str,
    training: TrainConfig = TrainConfig(),  # noqa: B008  frozen
) -> dict[str, Any]:
    """Rephrase a corpus, then train on the result.

    Args:
        config: What to rewrite, and how.
        run: Local folder for tokens, checkpoints, metrics and reports of the training.
        training: How to train.
    """
    await rephrase(config)
    return await pretrain(config.output, run, training)
