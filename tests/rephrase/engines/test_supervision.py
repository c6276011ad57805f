"""An engine that dies is restarted; the request that kills it is found, and nothing else is lost."""

import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ScriptedEngine, passage, shout

from rephrase.engines.engine import EngineError, PoisonError
from rephrase.engines.supervision import MAX_DEATHS_IN_A_ROW, SupervisedEngine
from rephrase.records import Prompt, Sampling
from rephrase.scheduling.simulation import run_in_virtual_time

SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_tokens=16, seed=7)


class MortalEngine(ScriptedEngine):
    """Dies, with all its running requests, at each request for which `kills` is true; then it answers no more."""

    def __init__(self, kills):
        super().__init__(shout, delay_s=0.001, max_in_flight=1000)
        self._kills, self._dead = kills, None

    async def complete(self, prompt, sampling):
        self._dead = self._dead or asyncio.get_running_loop().create_future()
        answer = asyncio.ensure_future(super().complete(prompt, sampling))
        if self._kills(passage(prompt)) and not self._dead.done():
            self._dead.set_exception(EngineError("the engine died: out of memory"))
        await asyncio.wait({answer, self._dead}, return_when=asyncio.FIRST_COMPLETED)
        if self._dead.done():
            answer.cancel()
            raise self._dead.exception()
        return answer.result()


def supervised(kills, **options):
    return SupervisedEngine(lambda: MortalEngine(kills), **options)


async def complete_all(engine, texts):
    prompts = [Prompt(system="s", user=text) for text in texts]
    return await asyncio.gather(*[engine.complete(prompt, SAMPLING) for prompt in prompts], return_exceptions=True)


async def test_after_a_death_all_requests_are_answered_by_a_new_engine():
    deaths = iter([True])
    heard = []
    engine = supervised(lambda text: text == "t3" and next(deaths, False), on_restart=heard.append)
    answers = await complete_all(engine, [f"t{i}" for i in range(8)])
    assert [answer.text for answer in answers] == [f"T{i}." for i in range(8)]
    assert engine.n_restarts == 1
    assert "out of memory" in heard[0]


@given(st.sets(st.integers(0, 39), max_size=3), st.integers(1, 40))
@settings(max_examples=60)
def test_whatever_kills_it_is_refused_and_everything_else_answered(poison, n):
    poison = {i for i in poison if i < n}

    async def check():
        engine = supervised(lambda text: int(text[1:]) in poison)
        answers = await complete_all(engine, [f"t{i}" for i in range(n)])
        refused = {i for i, answer in enumerate(answers) if isinstance(answer, PoisonError)}
        assert refused == poison
        assert all(answer.text == f"T{i}." for i, answer in enumerate(answers) if i not in poison)
        assert engine.n_restarts <= 8 * len(poison)

    asyncio.run(check())


async def test_of_256_requests_the_one_that_kills_is_found_in_ten_restarts():
    engine = supervised(lambda text: text == "t77")
    answers = await complete_all(engine, [f"t{i}" for i in range(256)])
    assert [i for i, answer in enumerate(answers) if isinstance(answer, PoisonError)] == [77]
    assert "with this request, the last time alone with it: the engine died: out of memory" in str(answers[77])
    assert engine.n_restarts <= 10


@pytest.mark.parametrize("n_others", [0, 1, 5])
async def test_requests_that_differ_in_their_seeds_alone_are_refused_together(n_others):
    engine = supervised(lambda text: text == "bad")
    prompts = [Prompt(system="s", user="bad")] * 12 + [Prompt(system="s", user=f"t{i}") for i in range(n_others)]
    answers = await asyncio.gather(
        *[engine.complete(prompt, replace(SAMPLING, seed=i)) for i, prompt in enumerate(prompts)],
        return_exceptions=True,
    )
    assert all(isinstance(answer, PoisonError) for answer in answers[:12])
    assert [answer.text for answer in answers[12:]] == [f"T{i}." for i in range(n_others)]
    assert engine.n_restarts <= 10


async def test_a_single_request_that_kills_is_finally_refused_and_the_next_one_answered():
    engine = supervised(lambda text: text == "bad")
    (answer,) = await complete_all(engine, ["bad"])
    assert isinstance(answer, PoisonError)
    assert engine.n_restarts == 3
    (answer,) = await complete_all(engine, ["good"])
    assert answer.text == "GOOD."


async def test_an_engine_that_always_dies_is_abandoned_and_no_request_is_blamed():
    engine = supervised(lambda text: True)
    answers = await complete_all(engine, [f"t{i}" for i in range(100)])
    assert all(isinstance(answer, EngineError) for answer in answers)
    assert f"died {MAX_DEATHS_IN_A_ROW} times in a row without one answer" in str(answers[0])
    with pytest.raises(EngineError, match="in a row"):
        await engine.complete(Prompt(system="s", user="later"), SAMPLING)


async def test_an_engine_that_cannot_be_restarted_reports_the_reason():
    engines = iter([MortalEngine(lambda text: True)])

    def open_engine():
        if engine := next(engines, None):
            return engine
        raise EngineError("no memory left")

    answers = await complete_all(SupervisedEngine(open_engine), ["a", "b"])
    assert all("could not be restarted: no memory left" in str(answer) for answer in answers)


def test_an_engine_that_hangs_is_an_error_and_the_run_does_not_hang():
    async def main(loop):
        engine = SupervisedEngine(lambda: ScriptedEngine(delay_s=1e9), stall_s=300)
        return await complete_all(engine, ["a", "b"]), loop.time()

    answers, ended_s = run_in_virtual_time(main)
    assert all(isinstance(answer, EngineError) for answer in answers)
    assert "answered none of 2 requests for 300 s: it hangs" in str(answers[0])
    assert ended_s == 300


def test_a_slow_engine_that_answers_now_and_then_does_not_hang():
    async def main(loop):
        engine = SupervisedEngine(lambda: ScriptedEngine(delay_s=200), stall_s=300)

        async def one_after_another():
            for _ in range(4):
                await engine.complete(Prompt(system="s", user="x"), SAMPLING)

        await one_after_another()
        await asyncio.sleep(600)  # an idle engine does not hang
        await one_after_another()

    run_in_virtual_time(main)


async def test_cancelled_requests_block_no_others():
    rng = random.Random(0)
    engine = supervised(lambda text: text == "t5")
    tasks = [asyncio.create_task(engine.complete(Prompt(system="s", user=f"t{i}"), SAMPLING)) for i in range(20)]
    await asyncio.sleep(0.003)
    cancelled = rng.sample(range(6, 20), 8)
    for i in cancelled:
        tasks[i].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[5], PoisonError)
    assert all(answers[i].text == f"T{i}." for i in range(20) if i != 5 and i not in cancelled)
