"""The order in which chains get the engine, how many at once, and that no slot leaks when something fails."""

import asyncio
import contextlib
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ScriptedEngine

from rephrase.engines.engine import EngineError
from rephrase.records import Completion, Prompt, Sampling
from rephrase.scheduling.ahead import work_ahead
from rephrase.scheduling.scheduler import (
    ChainNotStartedError,
    DocumentState,
    ScheduledEngine,
    Scheduler,
    SchedulingSlot,
)
from rephrase.scheduling.simulation import run_in_virtual_time

SAMPLING = Sampling(temperature=0, top_p=1, max_tokens=8, seed=0)


class Chain:
    """Sends `n_chunks` requests in sequence, with its name as prompt and `checking_s` between two of them.

    With `ahead`, a request is sent before the one in front of it is answered where a slot is spare.
    """

    def __init__(self, scheduler, name, n_chunks, *, due=None, checking_s=0.0, document=None, ahead=False):
        self.scheduler, self.name, self.n_chunks, self.checking_s = scheduler, name, n_chunks, checking_s
        self.ahead = ahead
        due = scheduler.register_part(n_chunks) if due is None else due
        self.slot = SchedulingSlot(due=due, n_left=n_chunks, document=document or DocumentState())

    async def run(self):
        await self.scheduler.run_chain(self.slot, self._work)

    async def _work(self):
        engine = ScheduledEngine(None, self.scheduler, self.slot)

        async def ask(number):
            await engine.complete(Prompt(system=self.name, user=str(number)), SAMPLING)
            await asyncio.sleep(self.checking_s)

        spare = functools.partial(self.scheduler.wait_for_spare_slot, self.slot) if self.ahead else None
        async with contextlib.aclosing(work_ahead(range(self.n_chunks), ask, spare)) as done:
            n_left = self.n_chunks
            async for _ in done:
                n_left -= 1
                self.scheduler.set_chunks_left(self.slot, n_left)


async def run(*chains):
    async with asyncio.TaskGroup() as group:
        for chain in chains:
            group.create_task(chain.run())


def is_idle(scheduler):
    counts = (
        scheduler.n_in_flight,
        scheduler.n_chains_in_progress,
        scheduler.n_chains_to_start,
        scheduler.n_chunks_open,
    )
    waiting = (scheduler._waiting_in_progress, scheduler._waiting_to_start, scheduler._waiting_for_spare)
    return counts == (0, 0, 0, 0) and not any(waiting)


def names(engine):
    return [prompt.system for prompt in engine.prompts]


async def test_the_longest_chain_of_all_parts_goes_first():
    engine = ScriptedEngine(max_in_flight=1)
    scheduler = Scheduler(engine)
    blocker = Chain(scheduler, "blocker", 1, due=0)
    near = [Chain(scheduler, name, n, due=due) for name, n, due in [("a", 1, 8), ("b", 2, 8), ("c", 6, 12)]]
    await run(blocker, *near)
    assert list(dict.fromkeys(names(engine))) == ["blocker", "c", "b", "a"]


async def test_a_short_chain_of_an_old_part_does_not_starve():
    engine = ScriptedEngine(max_in_flight=1)
    scheduler = Scheduler(engine)
    old = Chain(scheduler, "old", 1)
    later = [Chain(scheduler, f"later {i}", 5) for i in range(10)]
    await run(Chain(scheduler, "blocker", 1, due=0), old, *later)
    # Each later chain is due 5 rounds after the one before it, so only the first few can go first.
    assert names(engine).index("old") <= 11


async def test_chains_in_progress_go_before_new_ones():
    engine = ScriptedEngine(max_in_flight=1, delay_s=0.001)
    scheduler = Scheduler(engine)
    await run(*[Chain(scheduler, name, 3, due=0) for name in "abc"])
    # While a is checked, b starts; from then on, one of the two can always continue.
    assert names(engine) == ["a", "b", "a", "b", "a", "b", "c", "c", "c"]


async def test_a_slot_that_nobody_needs_takes_a_later_request_of_a_chain():
    engine = ScriptedEngine(max_in_flight=3, delay_s=0.001)
    scheduler = Scheduler(engine)
    await run(Chain(scheduler, "a", 6, ahead=True))
    assert engine.most_running == 3
    assert [prompt.user for prompt in engine.prompts] == ["0", "1", "2", "3", "4", "5"]
    assert is_idle(scheduler)


async def test_a_chain_that_has_not_started_goes_before_later_requests_of_others():
    engine = ScriptedEngine(max_in_flight=2, delay_s=0.001)
    scheduler = Scheduler(engine)
    await run(*[Chain(scheduler, name, 2, due=0, ahead=True) for name in "abc"])
    first_of = [names(engine).index(name) for name in "abc"]
    second_of = [len(names(engine)) - 1 - names(engine)[::-1].index(name) for name in "abc"]
    assert max(first_of) < max(second_of)
    assert names(engine)[:2] == ["a", "b"]


async def test_a_chain_that_sends_nothing_holds_one_spare_slot_at_most():
    scheduler = Scheduler(ScriptedEngine(max_in_flight=8))
    slot = SchedulingSlot(due=0.0, n_left=60)
    most = 0

    async def answer_from_cache(number):
        nonlocal most
        await asyncio.sleep(0.001)
        most = max(most, scheduler.n_in_flight)

    async def work():
        spare = functools.partial(scheduler.wait_for_spare_slot, slot)
        async with contextlib.aclosing(work_ahead(range(20), answer_from_cache, spare)) as done:
            async for _ in done:
                pass

    await scheduler.run_chain(slot, work)
    assert most == 1
    assert is_idle(scheduler)


async def test_spare_slots_are_given_while_a_target_lets_no_chain_start():
    engine = ScriptedEngine(max_in_flight=4, delay_s=0.001)
    begun = []
    scheduler = Scheduler(engine, may_start_chain=lambda n_chunks_open: not begun)
    tasks = [asyncio.create_task(Chain(scheduler, "a", 6, ahead=True).run())]
    await asyncio.sleep(0)
    begun.append(True)
    tasks.append(asyncio.create_task(Chain(scheduler, "never", 6).run()))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert engine.most_running == 4
    assert [type(result) for result in results] == [type(None), ChainNotStartedError]


async def test_others_use_the_engine_while_one_waits_for_its_check():
    engine = ScriptedEngine(max_in_flight=2)
    scheduler = Scheduler(engine)
    others_are_done = asyncio.Event()
    slot = SchedulingSlot(due=scheduler.register_part(2), n_left=2)

    async def wait_for_the_others():
        chain = ScheduledEngine(engine.info, scheduler, slot)
        await chain.complete(Prompt(system="waits", user="0"), SAMPLING)
        await others_are_done.wait()
        await chain.complete(Prompt(system="waits", user="1"), SAMPLING)

    async def work():
        await run(*[Chain(scheduler, "other", 4) for _ in range(8)])
        others_are_done.set()

    await asyncio.gather(scheduler.run_chain(slot, wait_for_the_others), work())
    assert names(engine) == ["waits", *["other"] * 32, "waits"]
    assert engine.most_running == 2
    assert is_idle(scheduler)


def test_chains_do_not_pile_up_when_checks_are_slow():
    most = 0

    async def main(loop):
        scheduler = Scheduler(ScriptedEngine(max_in_flight=2, delay_s=1.0))

        async def watch():
            nonlocal most
            while True:
                most = max(most, scheduler.n_chains_in_progress)
                await asyncio.sleep(0.1)

        watcher = asyncio.create_task(watch())
        await run(*[Chain(scheduler, str(i), 2, checking_s=5.0) for i in range(30)])
        watcher.cancel()

    run_in_virtual_time(main)
    assert most == 4


def test_the_next_part_is_needed_when_few_chains_are_left_to_start():
    async def main(loop):
        scheduler = Scheduler(ScriptedEngine(max_in_flight=2, delay_s=1.0))
        running = asyncio.create_task(run(*[Chain(scheduler, str(i), 1) for i in range(10)]))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(scheduler.wait_until_part_needed())
        await asyncio.sleep(0)
        assert not waiting.done()
        await waiting
        assert scheduler.n_chains_to_start == 4
        await running

    run_in_virtual_time(main)


@settings(max_examples=60)
@given(
    chains=st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0.0, 0.001]), st.booleans()), max_size=20),
    n_slots=st.integers(1, 4),
    cancelled=st.sets(st.integers(0, 19)),
    failing=st.sets(st.integers(0, 60)),
)
async def test_no_slot_leaks_on_failures_or_cancellations(chains, n_slots, cancelled, failing):
    """Each request is sent at most once and never too many at a time; at the end the scheduler is idle."""
    n_asked = 0

    def script(prompt, sampling):
        nonlocal n_asked
        n_asked += 1
        return ValueError("refused") if n_asked in failing else "text"

    engine = ScriptedEngine(script, max_in_flight=n_slots)
    scheduler = Scheduler(engine)
    todo = [Chain(scheduler, str(i), n, checking_s=s, ahead=ahead) for i, (n, s, ahead) in enumerate(chains)]
    tasks = [asyncio.create_task(chain.run()) for chain in todo]
    for number in cancelled:
        for _ in range(number % 3):
            await asyncio.sleep(0)
        if number < len(tasks):
            tasks[number].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert engine.most_running <= n_slots
    assert is_idle(scheduler)
    for number, (chain, result) in enumerate(zip(todo, results, strict=True)):
        if result is None:
            assert names(engine).count(str(number)) == chain.n_chunks
        else:
            assert isinstance(result, ValueError) or number in cancelled


async def test_engine_time_is_divided_among_the_requests_in_flight():
    now = 0.0
    engine = ScriptedEngine(max_in_flight=2)
    scheduler = Scheduler(engine, clock=lambda: now)
    gate = asyncio.Event()

    async def complete(prompt, sampling):
        nonlocal now
        if prompt.system == "long":
            await gate.wait()
            now += 6.0  # alone
        else:
            await asyncio.sleep(0)
            now += 4.0  # together
            gate.set()
        return Completion(text="", finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=0)

    engine.complete = complete
    long, short = Chain(scheduler, "long", 1), Chain(scheduler, "short", 1)
    await run(long, short)
    assert scheduler.engine_s == 10.0
    assert (long.slot.engine_s, short.slot.engine_s) == (8.0, 2.0)


async def test_the_engine_is_not_busy_while_an_admitted_chain_prepares_its_first_request():
    now = 0.0
    engine = ScriptedEngine(max_in_flight=2)
    scheduler = Scheduler(engine, clock=lambda: now)
    slot = SchedulingSlot(due=scheduler.register_part(1), n_left=1)

    async def complete(prompt, sampling):
        nonlocal now
        now += 1.0
        return Completion(text="", finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=0)

    async def work():
        nonlocal now
        now += 60.0  # a long document is cut into chunks
        await scheduler.complete(slot, Prompt(system="", user=""), SAMPLING)

    engine.complete = complete
    await scheduler.run_chain(slot, work)
    assert (scheduler.engine_s, slot.engine_s) == (1.0, 1.0)


async def test_slots_are_idle_from_the_first_chain_to_the_last_commit_while_no_request_is_in_them():
    now = 0.0
    engine = ScriptedEngine(max_in_flight=4)
    scheduler = Scheduler(engine, clock=lambda: now)
    long_may_end = asyncio.Event()

    async def complete(prompt, sampling):
        nonlocal now
        if prompt.system == "long":
            await long_may_end.wait()
            now += 8.0
        else:
            await asyncio.sleep(0)
            now += 2.0
            long_may_end.set()
        return Completion(text="", finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=0)

    engine.complete = complete
    now = 100.0  # the models are loaded
    await run(Chain(scheduler, "long", 1), Chain(scheduler, "short", 1))
    assert scheduler.take_slot_seconds() == (40.0, 28.0)  # 2 s with two of four, 8 s with one
    now += 1.0  # the next part is read
    assert scheduler.take_slot_seconds() == (4.0, 4.0)
    assert scheduler.take_slot_seconds() == (0.0, 0.0)


async def test_when_closed_it_finishes_started_documents_with_all_their_variants():
    engine = ScriptedEngine(max_in_flight=1, delay_s=0.001)
    scheduler = Scheduler(engine)
    document = DocumentState()
    chains = [
        Chain(scheduler, "variant 0", 2, due=0, document=document),
        Chain(scheduler, "other", 5, due=9),
        Chain(scheduler, "variant 1", 1, due=9, document=document),
    ]
    tasks = [asyncio.create_task(chain.run()) for chain in chains]
    await asyncio.sleep(0)
    scheduler.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(names(engine)) == ["variant 0", "variant 0", "variant 1"]
    assert [type(result) for result in results] == [type(None), ChainNotStartedError, type(None)]
    with pytest.raises(ChainNotStartedError):
        await Chain(scheduler, "late", 1).run()
    assert is_idle(scheduler)


async def test_it_closes_when_no_more_chains_may_start():
    engine = ScriptedEngine(max_in_flight=4)
    n_begun = 0

    def may_start_chain(n_chunks_open):
        return n_begun < 3

    scheduler = Scheduler(engine, may_start_chain=may_start_chain)
    tasks = [asyncio.create_task(Chain(scheduler, str(i), 2).run()) for i in range(3)]
    await asyncio.sleep(0)
    n_begun = 3
    tasks += [asyncio.create_task(Chain(scheduler, "further", 2).run()) for _ in range(3)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 3 + [ChainNotStartedError] * 3
    assert scheduler.closed
    await scheduler.wait_until_part_needed()  # returns at once when closed


async def test_an_engine_error_reaches_the_caller():
    scheduler = Scheduler(ScriptedEngine(lambda *_: EngineError("gone")))
    with pytest.raises(ExceptionGroup) as caught:
        await run(Chain(scheduler, "a", 1))
    assert isinstance(caught.value.exceptions[0], EngineError)
    assert is_idle(scheduler)
