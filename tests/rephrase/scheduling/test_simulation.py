"""The simulated engine keeps to its speed, and the scheduler comes close to its lower bound."""

import asyncio
import random

import pytest

from rephrase.scheduling.simulation import BatchSpeed, SimulatedEngine, run_in_virtual_time, simulate

ALONE = BatchSpeed(fixed_s=1.0, per_request_s=0.0)


def test_time_jumps():
    async def main(loop):
        await asyncio.gather(*[asyncio.sleep(n * 100) for n in range(50)])  # longer than a test may take
        return loop.time()

    assert run_in_virtual_time(main) == pytest.approx(4900)


def test_a_deadlock_is_an_error():
    async def main(loop):
        await loop.create_future()

    with pytest.raises(RuntimeError, match="wait for each other"):
        run_in_virtual_time(main)


def test_the_fit_recovers_the_speed():
    speed = BatchSpeed(fixed_s=0.03, per_request_s=0.002)
    found = BatchSpeed.fit([(b, speed.tokens_per_s(b)) for b in (1, 4, 16, 32)])
    assert (found.fixed_s, found.per_request_s) == pytest.approx((0.03, 0.002))
    fast = speed.scaled_to(8000, 256)
    assert fast.tokens_per_s(256) == pytest.approx(8000)
    assert fast.fixed_s / fast.per_request_s == pytest.approx(15)


def test_a_request_takes_one_step_per_token_whatever_the_batch():
    """By hand: 5 steps alone, then 5 steps of double length beside the second request, then 5 alone."""
    speed = BatchSpeed(fixed_s=0.0, per_request_s=1.0)

    async def main(loop):
        engine = SimulatedEngine(speed, 8)
        ends = {}

        async def ask(name, after_s, n_tokens):
            await asyncio.sleep(after_s)
            await engine.complete(None, sampling(n_tokens))
            ends[name] = loop.time()

        await asyncio.gather(ask("first", 0, 15), ask("second", 5, 5))
        return ends

    assert run_in_virtual_time(main) == pytest.approx({"second": 15, "first": 20})


def sampling(n_tokens):
    from rephrase.records import Sampling

    return Sampling(temperature=0, top_p=1, max_tokens=n_tokens, seed=0)


def test_requests_over_the_slots_wait_in_a_queue():
    result = simulate([[[10]] * 6], ALONE, n_slots=2)
    assert result.makespan_s == pytest.approx(30)
    assert (result.n_chunks, result.n_tokens, result.bound_s) == (6, 60, 30)


def test_one_long_chain_among_short_ones_starts_first():
    chains = [[10]] * 140 + [[10] * 20]
    result = simulate([chains[i : i + 5] for i in range(0, len(chains), 5)], ALONE, n_slots=8)
    assert result.bound_s == 200
    # Started last, it would end at 175 + 200. It waits now and then for a place in the batch.
    assert result.makespan_s <= 240


@pytest.mark.parametrize("n_slots", [8, 32])
def test_the_makespan_is_close_to_the_lower_bound(n_slots):
    generator = random.Random(0)
    chains = [[generator.randint(60, 220) for _ in range(generator.choice([1, 1, 2, 5, 10, 40]))] for _ in range(1000)]
    parts = [chains[i : i + 10] for i in range(0, len(chains), 10)]
    result = simulate(parts, BatchSpeed(0.03, 0.002), n_slots=n_slots, check_s=0.05)
    assert 1 <= result.makespan_s / result.bound_s < 1.05


def test_a_long_chain_does_not_wait_in_the_queue_of_the_engine(monkeypatch):
    """It takes as long as all others together, so each wait shows. With a queue of an eighth of the batch it is 1.1."""
    chains = [[100] * 60, *[[100] * 6] * 600]
    long = simulate([chains], ALONE, n_slots=64)
    assert long.bound_s == 6000
    assert long.makespan_s / long.bound_s < 1.04
    monkeypatch.setattr("rephrase.engines.concurrency_limit.WAITING_SHARE", 1 / 8)
    assert simulate([chains], ALONE, n_slots=64).makespan_s > long.makespan_s


def test_the_bound_counts_the_checks_of_the_longest_chain():
    result = simulate([[[10] * 20, [10]]], ALONE, n_slots=8, check_s=3.0)
    assert result.bound_s == result.makespan_s == 20 * 13


def test_checks_do_not_idle_the_engine():
    """A check takes as long as a chunk, and the engine is full all the same."""
    result = simulate([[[10] * 6] * 96], ALONE, n_slots=4, check_s=10.0)
    assert result.makespan_s / result.bound_s < 1.1
