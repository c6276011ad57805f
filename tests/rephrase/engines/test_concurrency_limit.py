"""The number of requests in flight follows the load that an engine reports."""

import dataclasses

from rephrase.engines.concurrency_limit import ConcurrencyLimit
from rephrase.engines.engine import EngineLoad

N_TOKENS = 100


def answers(limit, n, load, *, tokens_per_s=100.0, start_s=0.0):
    """`n` answers in sequence, at the rate of an engine of that speed."""
    now_s = start_s
    for _ in range(n):
        now_s += N_TOKENS / tokens_per_s
        limit.record_answer(load(limit) if callable(load) else load, N_TOKENS, now_s, at_limit=True)
    return now_s


def test_it_stays_at_its_maximum_without_overload():
    limit = ConcurrencyLimit(36)
    answers(limit, 200, EngineLoad(n_running=32, n_waiting=1, kv_cache_use=0.5))
    assert limit.value == 36


def test_an_overload_counts_once_a_round_and_the_limit_recovers_slowly():
    limit = ConcurrencyLimit(100)
    answers(limit, 50, EngineLoad(n_running=80, n_overloads=1))
    assert limit.value == 75
    values = []
    for _ in range(3):
        answers(limit, 76, EngineLoad(n_running=70, n_overloads=1))
        values.append(limit.value)
    assert values == [76, 77, 78]


def test_repeated_preemptions_lower_it_but_never_to_zero():
    limit, n = ConcurrencyLimit(64), 0

    def load(_):
        nonlocal n
        n += 1
        return EngineLoad(n_running=8, n_overloads=n)

    answers(limit, 1000, load)
    assert limit.value == 1


def test_a_full_cache_or_a_queue_stops_its_growth():
    # A queue that lasts a whole round lowers the limit: see below.
    for full, n_answers in (
        (EngineLoad(n_running=8, kv_cache_use=0.97), 500),
        (EngineLoad(n_running=8, n_waiting=3), 74),
    ):
        limit = ConcurrencyLimit(100)
        answers(limit, 1, EngineLoad(n_running=8, n_overloads=1))
        assert limit.value == 75
        answers(limit, n_answers, dataclasses.replace(full, n_overloads=1))
        assert limit.value == 75


def test_a_queue_longer_than_the_batch_lowers_it():
    limit = ConcurrencyLimit(100)
    answers(limit, 2000, lambda limit: EngineLoad(n_running=20, n_waiting=max(0, limit.value - 20)))
    assert 20 <= limit.value <= 22


def test_a_standing_queue_lowers_it_and_a_burst_does_not():
    limit, sizes = ConcurrencyLimit(256, initial=64), []
    for _ in range(4):
        answers(limit, limit.value, lambda limit: EngineLoad(n_running=32, n_waiting=limit.value - 32))
        sizes.append(limit.value)
    assert sizes == [48, 36, 33, 33]
    for _ in range(10):
        answers(limit, limit.value - 1, EngineLoad(n_running=32, n_waiting=20))
        answers(limit, 1, EngineLoad(n_running=32, n_waiting=0))
    assert limit.value >= 33


def test_at_a_server_it_doubles_while_throughput_grows_and_stops_when_it_does_not():
    """A server that runs 48 at once: further requests queue there invisibly."""
    limit, now_s = ConcurrencyLimit(1024, initial=8), 0.0
    for _ in range(4000):
        now_s += N_TOKENS / (10.0 * min(limit.value, 48))
        limit.record_answer(EngineLoad(), N_TOKENS, now_s, at_limit=True)
    assert 48 <= limit.value <= 130


def test_at_a_server_a_refusal_ends_the_doubling():
    limit = ConcurrencyLimit(1024, initial=8)
    answers(limit, 8, EngineLoad())
    assert limit.value == 16
    answers(limit, 1, EngineLoad(n_overloads=3))
    assert limit.value == 12
    answers(limit, 24, EngineLoad(n_overloads=3))
    assert limit.value <= 14


def test_it_does_not_grow_while_the_limit_is_not_reached():
    limit = ConcurrencyLimit(64, initial=8)
    for number in range(100):
        limit.record_answer(EngineLoad(), N_TOKENS, float(number), at_limit=False)
    assert limit.value == 8
