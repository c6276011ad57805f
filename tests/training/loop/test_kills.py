"""Fifty kills and twenty SIGTERMs at random moments: the run ends with the same bits as one that was left alone."""

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from rephrase.storage.storage import Storage
from training.loop.checkpoint import Checkpoints
from training.loop.run import train
from training.loop.run_options import RunOptions
from training.loop.stopping import RunStoppedError
from training.loop.telemetry import read_metrics
from training.model.config import ModelConfig
from training.model.presets import PRESETS

N_STEPS = 300

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


def _train(shards: str, run: Path, tokenizer: str, tiny: ModelConfig) -> None:
    torch.set_num_threads(1)
    PRESETS["tiny"] = lambda vocab_size=61: tiny.replace(vocab_size=vocab_size)
    options = RunOptions(
        preset="tiny", tokenizer=tokenizer, n_steps=N_STEPS, rows_per_step=4, micro_batch_rows=2, row_length=48,
        precision="float32", held_out_share=0.2, checkpoint_every=1, evaluate_every=7, align_every=5,
    )  # fmt: skip
    try:
        train(shards, run, options)
    except RunStoppedError as error:
        sys.exit(128 + error.signal)


def _last_step(run: Path) -> int:
    return max((row["step"] for row in read_metrics(run, "train")), default=0)


def _bits(run: Path) -> dict[str, bytes]:
    """The model and the optimizer of the last step."""
    checkpoints = Checkpoints(run / "checkpoints")
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    from training.loop.checkpoint_metadata import SafeReader

    described = SafeReader(run / "checkpoints" / f"step-{N_STEPS:08d}").read_metadata().state_dict_metadata
    tensors = {
        name: torch.empty(value.size, dtype=value.properties.dtype)
        for name, value in described.items()
        if isinstance(value, TensorStorageMetadata)
    }
    checkpoints.load(N_STEPS, tensors)
    return {name: tensor.view(-1).view(torch.uint8).numpy().tobytes() for name, tensor in tensors.items()}


def test_random_kills_and_terminations_lose_nothing(
    shards: Storage, tokenizer_folder: Path, tiny: ModelConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.loop.run"])
    seed = int(os.environ.get("SEED", time.time_ns() % 1000))
    rng = random.Random(seed)
    signals = [signal.SIGKILL] * 50 + [signal.SIGTERM] * 20
    rng.shuffle(signals)

    def start(run: Path) -> Any:
        process = context.Process(target=_train, args=(shards.url, run, str(tokenizer_folder), tiny))
        process.start()
        return process

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    alone = start(straight)
    for number in signals:
        before = _last_step(broken)
        process = start(broken)
        while process.is_alive() and _last_step(broken) <= before:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.1)
        assert process.is_alive(), f"seed {seed}: it ended with {process.exitcode} at step {_last_step(broken)}"
        os.kill(process.pid, number)
        process.join()
        assert process.exitcode == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    last = start(broken)
    last.join()
    alone.join()
    assert (last.exitcode, alone.exitcode) == (0, 0)
    without_time = ("tokens_per_s", "mfu")
    rows = [
        [{name: value for name, value in row.items() if name not in without_time} for row in read_metrics(run)]
        for run in (straight, broken)
    ]
    assert rows[0] == rows[1]
    assert _bits(straight) == _bits(broken)
    with capsys.disabled():
        print(f"\nseed {seed}: {len(signals)} signals, the same bits")
