"""Runs that `torchrun` starts, and starts again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rephrase.storage.storage import Storage
from training.loop.telemetry import read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

REPOSITORY = Path(__file__).parents[3]
LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def losses(run: Path) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in read_metrics(run, "train")}


def test_a_killed_process_is_started_again_and_the_run_goes_on(
    shards: Storage, tokenizer_folder: Path, tmp_path: Path
) -> None:
    options = "--n-steps 16 --rows-per-step 4 --micro-batch-rows 2 --row-length 48 --precision float32 --lr 0.01"
    options += f" --held-out-share 0.2 --checkpoint-every 4 --align-every 4 --tokenizer {tokenizer_folder}"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}

    def start(run: Path, *launcher_options: str) -> subprocess.Popen[bytes]:
        arguments = ["-m", "training", shards.url, str(run), *options.split()]
        return subprocess.Popen([*LAUNCHER, *launcher_options, *arguments], env=environment)

    assert start(tmp_path / "alone").wait() == 0
    run = tmp_path / "run"
    launcher = start(run, "--max-restarts", "1")
    while launcher.poll() is None and max(losses(run), default=0) < 6:
        time.sleep(0.01)
    (victim,) = (
        process
        for process in psutil.Process(launcher.pid).children()
        if "training" in process.cmdline() and process.environ().get("RANK") == "1"
    )
    victim.send_signal(signal.SIGKILL)
    assert launcher.wait() == 0
    assert losses(run) == losses(tmp_path / "alone")
