import math

import pytest

from training.loop.loss_guard import LossGuard, TrainingStoppedError


def warmed_up(loss: float = 3.0) -> LossGuard:
    guard = LossGuard()
    for step in range(40):
        guard.check(step, loss + 0.05 * (-1) ** step, 1.0, str)
    return guard


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (3.0, math.nan), (3.0, math.inf)])
def test_non_finite_values_stop_the_run_and_name_the_batch(loss: float, norm: float) -> None:
    with pytest.raises(TrainingStoppedError, match=r"step 7.*doc-13"):
        LossGuard().check(7, loss, norm, lambda: "doc-13")


def test_a_jump_stops_and_noise_does_not() -> None:
    warmed_up().check(40, 3.6, 1.0, str)
    with pytest.raises(TrainingStoppedError, match=r"jumped to 4.500 from a median of 3"):
        warmed_up().check(40, 4.5, 1.0, lambda: "doc-13")


def test_wide_noise_needs_a_wider_jump() -> None:
    guard = LossGuard()
    for step in range(40):
        guard.check(step, 3.0 + 0.5 * (-1) ** step, 1.0, str)
    guard.check(40, 4.5, 1.0, str)
    with pytest.raises(TrainingStoppedError):
        guard.check(41, 20.0, 1.0, str)


def test_falling_losses_and_the_first_steps_are_free() -> None:
    guard = LossGuard()
    for step, loss in enumerate([11.0, 15.0, 9.0, 13.0, *[8 - 0.1 * i for i in range(50)]]):
        guard.check(step, loss, 1.0, str)


def test_memory_survives_a_round_trip() -> None:
    guard = LossGuard()
    guard.load_state_dict(warmed_up().state_dict())
    with pytest.raises(TrainingStoppedError):
        guard.check(40, 4.5, 1.0, str)
