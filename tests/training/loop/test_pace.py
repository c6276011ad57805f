import time

import pytest
import torch

from training.loop.pace import Pace, measure_peak_flops


def test_waiting_between_steps_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    pace = Pace(peak_flops=1e6)
    now += 0.5
    assert pace.end_step(n_tokens=100, flops_per_token=1e3) == {"tokens_per_s": 200, "mfu": 0.2}
    now += 0.1
    assert pace.end_step(100, 1e3)["tokens_per_s"] == pytest.approx(1000)


@pytest.mark.parametrize(
    ("mean_s", "n_steps", "said"), [(0.5, 30, "15 s"), (2, 90, "3 min"), (60, 65, "1 h 05 min"), (1, 0, "0 s")]
)
def test_time_left(mean_s: float, n_steps: int, said: str) -> None:
    pace = Pace(1.0)
    pace._seconds.extend([mean_s / 2, mean_s * 1.5])
    assert pace.time_left(n_steps) == said


def test_the_peak_is_measured() -> None:
    assert 1e8 < measure_peak_flops("cpu", torch.float32) < 1e14
