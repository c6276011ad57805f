"""The states of a circuit breaker, on a fake clock."""

import pytest

from rephrase.engines.breaker import FIRST_COOLDOWN_S, MAX_COOLDOWN_S, MAX_FAULTS, Breaker


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def fail(breaker, times=1):
    for _ in range(times):
        breaker.begin()
        breaker.failed("500")


def test_some_faults_among_answers_do_not_open_it(clock):
    breaker = Breaker(clock)
    for _ in range(5):
        fail(breaker, MAX_FAULTS - 1)
        assert breaker.wait_s == 0
        breaker.begin()
        breaker.succeeded()


def test_it_opens_lets_one_trial_through_and_closes_on_an_answer(clock):
    breaker = Breaker(clock)
    fail(breaker, MAX_FAULTS)
    assert breaker.is_open
    assert 0.75 * FIRST_COOLDOWN_S <= breaker.wait_s <= 1.25 * FIRST_COOLDOWN_S
    clock.now_s += breaker.wait_s
    assert breaker.wait_s == 0
    breaker.begin()
    assert breaker.wait_s > 0  # a second request waits for the trial
    breaker.succeeded()
    assert breaker.wait_s == 0
    assert not breaker.is_open
    assert breaker.last_fault == "500"


def test_each_failed_trial_doubles_the_cooldown_up_to_a_limit(clock):
    breaker = Breaker(clock)
    fail(breaker, MAX_FAULTS)
    rests = []
    for _ in range(10):
        rests.append(breaker.wait_s)
        clock.now_s += breaker.wait_s
        fail(breaker)
    for i, rest_s in enumerate(rests):
        assert 0.75 <= rest_s / min(MAX_COOLDOWN_S, FIRST_COOLDOWN_S * 2**i) <= 1.25


def test_a_cancelled_trial_permits_another(clock):
    breaker = Breaker(clock)
    fail(breaker, MAX_FAULTS)
    clock.now_s += breaker.wait_s
    breaker.begin()
    breaker.abandoned()
    assert breaker.wait_s == 0
    assert breaker.is_open


def test_a_requested_pause_is_kept_without_opening_it(clock):
    breaker = Breaker(clock)
    breaker.cool_down(7)
    breaker.cool_down(3)
    assert breaker.wait_s == 7
    assert not breaker.is_open
