"""The flows that train, run in the process."""

from typing import get_args

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.pretraining import pretrain
from rephrase.dataset.shards import commit_part
from rephrase.storage.storage import Storage
from training.loop.run import RunOptions
from training.loop.trainer import Precision
from training.model.presets import PRESETS
from training.optimizer.schedule import SCHEDULES
from training.train_config import TrainConfig

pytestmark = pytest.mark.model


async def test_pretrain_trains_and_resumes(tmp_path, api):
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
    options = TrainConfig(preset="nano", n_steps=2, rows_per_step=1, micro_batch_rows=1, row_length=128, align_every=0)
    with temporary_settings({PREFECT_API_URL: api["PREFECT_API_URL"]}):
        summary = await pretrain(str(tmp_path / "out"), str(tmp_path / "run"), options)
        again = await pretrain(str(tmp_path / "out"), str(tmp_path / "run"), options)
    assert (summary["n_steps"], summary["finished"]) == (2, True)
    assert again["n_steps"] == 2
    assert (tmp_path / "run" / "utility.parquet").exists()


def test_the_form_offers_the_choices_of_the_training_stage():
    fields = TrainConfig.model_fields
    assert get_args(fields["preset"].annotation) == tuple(PRESETS)
    assert get_args(fields["schedule"].annotation) == tuple(SCHEDULES)
    assert get_args(fields["precision"].annotation) == ("auto", *get_args(Precision))
    options = TrainConfig(n_steps=7).options()
    assert options == RunOptions(preset="nano", tokenizer=options.tokenizer, n_steps=7)
