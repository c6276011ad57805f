import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from training.processes import run_processes


def note(folder: Path, statuses: tuple[int, ...]) -> int:
    rank = int(os.environ["RANK"])
    (folder / f"{rank} of {os.environ['WORLD_SIZE']}").touch()
    return statuses[rank]


def wait_for_a_signal(folder: Path) -> int:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    (folder / os.environ["RANK"]).touch()
    time.sleep(600)
    return 0


@pytest.mark.parametrize(("statuses", "expected"), [((0, 0), 0), ((0, 2), 2)])
def test_each_knows_its_rank_and_the_first_failure_counts(
    tmp_path: Path, statuses: tuple[int, ...], expected: int
) -> None:
    assert run_processes(2, partial(note, tmp_path, statuses)) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0 of 2", "1 of 2"]


def test_a_signal_reaches_all(tmp_path: Path) -> None:
    def send() -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=send).start()
    assert run_processes(2, partial(wait_for_a_signal, tmp_path)) == 143
    assert signal.getsignal(signal.SIGTERM) == before
