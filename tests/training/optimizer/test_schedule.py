import math
from itertools import pairwise

import pytest

from training.optimizer.schedule import SCHEDULES, Phase, Schedule, constant, cosine, kimi_k2, kimi_k3, schedule, wsd


def test_warm_up_reaches_the_peak_with_its_last_step() -> None:
    assert [constant(8, 4).factor(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_cosine_by_its_formula() -> None:
    s = cosine(14, 4, end=0.1)
    for step in range(4, 14):
        assert s.factor(step) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * (step - 3) / 10)) / 2)


def test_wsd_is_stable_and_then_falls_in_a_line() -> None:
    s = wsd(10, 2, decay_share=0.4)
    assert [s.factor(step) for step in range(10)] == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


def test_k2_in_its_own_proportions() -> None:
    s = kimi_k2(16_000 + 500)
    assert s.factor(499) == 1
    assert s.factor(500 + 9_999) == 1
    assert s.factor(500 + 10_000 + 5_499) == pytest.approx(2e-5 / 2e-4)
    assert s.factor(16_499) == pytest.approx(7e-6 / 2e-4)


def test_k3_is_a_cosine_to_a_tenth_after_one_percent() -> None:
    s = kimi_k3(1000)
    assert [s.factor(0), s.factor(9)] == pytest.approx([0.1, 1])
    for step in (10, 400, 999):
        assert s.factor(step) == pytest.approx(0.1 + 0.45 * (1 + math.cos(math.pi * (step - 9) / 990)))
    assert kimi_k3(1000, n_warmup=20) == cosine(1000, 20)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_every_schedule_fills_its_steps_and_then_stays(name: str) -> None:
    s = schedule(name, 100, 10)
    assert sum(phase.n_steps for phase in s.phases) == 100
    assert s.factor(99) == pytest.approx(s.factor(1000))
    factors = [s.factor(step) for step in range(10, 100)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(factors))


def test_mistakes_are_explained() -> None:
    with pytest.raises(ValueError, match=r"'poly'.*wsd"):
        schedule("poly", 10, 1)
    with pytest.raises(ValueError, match="warm-up of 11 steps"):
        schedule("wsd", 10, 11)
    with pytest.raises(ValueError, match="decay_share is 2"):
        wsd(10, 1, decay_share=2)
    with pytest.raises(ValueError, match="negative"):
        Schedule((Phase(-1, 1.0),))
