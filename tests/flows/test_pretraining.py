"""The flows that train, run in the process."""

import asyncio
from typing import get_args

import pytest
from prefect import get_client
from prefect.client.schemas.sorting import TaskRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.pretraining import pretrain
from rephrase.dataset.shards import commit_part
from rephrase.storage.storage import Storage
from training.data.byte_pairs import corpus_texts, train_tokenizer
from training.loop.checkpoint import Checkpoints
from training.loop.run_options import RunOptions
from training.loop.telemetry import read_metrics
from training.loop.trainer import Precision
from training.model.presets import PRESETS
from training.optimizer.schedule import SCHEDULES
from training.parallel import Sharding
from training.train_config import TrainConfig

pytestmark = pytest.mark.model


@pytest.fixture
def shards(tmp_path):
    rows = [
        {
            "id": f"r{i}",
            "document_id": f"d{i}",
            "source": "a.jsonl",
            "recipe": "rephrase",
            "style": "faq",
            "text": f"Rewrite {i} is about a town and its river. " * 12,
            "source_text": f"Source {i} is about a town at a river. " * 12,
            "n_tokens": 100,
        }
        for i in range(20)
    ]
    commit_part(Storage(tmp_path / "out"), 0, rows, [], n_records=20)
    return str(tmp_path / "out")


@pytest.fixture
def server(api):
    with temporary_settings({PREFECT_API_URL: api["PREFECT_API_URL"]}):
        yield


@pytest.mark.usefixtures("server")
async def test_pretrain_trains_and_resumes(shards, tmp_path):
    options = TrainConfig(preset="nano", n_steps=2, rows_per_step=1, micro_batch_rows=1, row_length=128, align_every=0)
    summary = await pretrain(shards, str(tmp_path / "run"), options)
    again = await pretrain(shards, str(tmp_path / "run"), options)
    assert (summary["n_steps"], summary["finished"]) == (2, True)
    assert again["n_steps"] == 2
    assert (tmp_path / "run" / "utility.parquet").exists()
    assert (tmp_path / "run" / "config.json").exists()


@pytest.mark.usefixtures("server")
async def test_pretrain_trains_in_several_processes(shards, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tokenizer, run = tmp_path / "tokenizer", tmp_path / "run"
    train_tokenizer(corpus_texts([shards], [], "text"), 300, tokenizer)
    options = TrainConfig(
        tokenizer=str(tokenizer), n_steps=1000, rows_per_step=2, micro_batch_rows=1, row_length=32, align_every=0,
        mesh="dp=2", shard="optimizer",
    )  # fmt: skip
    training = asyncio.ensure_future(pretrain(shards, str(run), options))
    while not training.done() and last_step(run) < 3:  # noqa: ASYNC110  a file is watched
        await asyncio.sleep(0.05)
    training.cancel()
    with pytest.raises(asyncio.CancelledError):
        await training
    n_done = last_step(run)
    assert 3 <= n_done < 1000
    assert Checkpoints(run / "checkpoints").newest_whole() == n_done

    divided = options.model_copy(update={"n_steps": 4, "mesh": "ep=3", "rows_per_step": 3})
    with pytest.raises(ValueError, match="do not divide evenly among the 3 processes of ep"):
        await pretrain(shards, str(tmp_path / "third"), divided)
    async with get_client() as client:
        newest = await client.read_task_runs(sort=TaskRunSort.EXPECTED_START_TIME_DESC)
        messages = [run.state.message or "" for run in newest if run.state]
    assert any("do not divide evenly among the 3 processes of ep" in message for message in messages), messages


def last_step(run):
    return max((row["step"] for row in read_metrics(run, "train")), default=0)


def test_the_form_offers_the_choices_of_the_training_stage():
    fields = TrainConfig.model_fields
    assert get_args(fields["preset"].annotation) == tuple(PRESETS)
    assert get_args(fields["schedule"].annotation) == tuple(SCHEDULES)
    assert get_args(fields["precision"].annotation) == ("auto", *get_args(Precision))
    assert get_args(fields["shard"].annotation) == get_args(Sharding)
    options = TrainConfig(n_steps=7).options()
    assert options == RunOptions(preset="nano", tokenizer=options.tokenizer, n_steps=7)


def test_options_for_a_cluster_need_one():
    on_ray = TrainConfig(runner="ray", ray={"address": "10.0.0.1:6379", "min_dp": 1}, mesh="dp=2")
    assert on_ray.cluster is not None
    assert on_ray.cluster.min_dp == 1
    assert TrainConfig().cluster is None
    with pytest.raises(ValueError, match="the options for Ray need the runner ray"):
        TrainConfig(ray={"address": "10.0.0.1:6379"})
