"""The Prefect flows that train: on shards that are there, or on those that a rephrase run has just written."""

import asyncio
from dataclasses import replace
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.config import RephraseConfig
from flows.rephrasing import rephrase
from rephrase.models import PACKAGED_MODEL, resolve_model
from training.run import RunOptions, train


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="train {options.preset} on {shards}")
def train_model(shards: str, run: str, options: RunOptions) -> dict[str, Any]:
    """Train in the folder `run`; a run that was stopped goes on from its newest checkpoint."""
    options = replace(options, tokenizer=resolve_model(options.tokenizer or PACKAGED_MODEL))
    summary = train(shards, run, options)
    return {
        "n_steps": summary.n_steps,
        "n_tokens": summary.n_tokens,
        "loss": summary.loss,
        "finished": summary.finished,
    }


@flow(name="pretrain", flow_run_name="pretrain {shards}", persist_result=False)
async def pretrain(shards: str, run: str, options: RunOptions) -> dict[str, Any]:
    """Train a mixture-of-experts model with MuonClip on committed shards and measure what each recipe taught.

    Args:
        shards: Output folder of a rephrase run.
        run: Local folder for checkpoints, metrics and reports.
        options: See `python -m training --help`; an empty tokenizer means the packaged one.
    """
    summary = await asyncio.to_thread(train_model, shards, run, options)
    get_run_logger().info("trained %(n_steps)d steps on %(n_tokens)d tokens, loss %(loss).4f", summary)
    return summary


@flow(name="full_run", flow_run_name="full run {config.source}", persist_result=False)
async def full_run(config: RephraseConfig, run: str, options: RunOptions) -> dict[str, Any]:
    """Rephrase a corpus, then train on what came of it."""
    await rephrase(config)
    return await pretrain(config.output, run, options)
