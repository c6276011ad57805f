"""The real vLLM in this process dies and is loaded again. Its death destroys state that engines of one process share,
so this is separate from the tests that share one engine."""

import asyncio
import itertools

import pytest

from rephrase.engines.engine import PoisonError
from rephrase.engines.supervision import SupervisedEngine
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.records import Prompt, Sampling

pytestmark = [pytest.mark.model, pytest.mark.slow]


def prompt(n: int) -> Prompt:
    return Prompt(system="You answer questions.", user=f"Write one sentence about the number {n}.")


def sampling(seed: int) -> Sampling:
    return Sampling(temperature=0.8, top_p=0.9, max_tokens=24, seed=seed)


async def test_a_model_that_dies_is_reloaded_and_a_request_that_kills_it_is_refused(monkeypatch):
    from vllm.v1.engine.llm_engine import LLMEngine

    step, n_steps = LLMEngine.step, itertools.count()

    def mortal(engine):
        states = engine.output_processor.request_states.values()
        if next(n_steps) == 5 or any(len(state.prompt_token_ids) > 200 for state in states):
            raise RuntimeError("device lost")
        return step(engine)

    monkeypatch.setattr(LLMEngine, "step", mortal)
    engine = await asyncio.to_thread(
        SupervisedEngine, lambda: VLLMEngine(max_context_tokens=1024, options={"max_num_seqs": 8})
    )
    try:
        prompts = [prompt(n) for n in range(6)] + [Prompt(system="s", user="word " * 300)]
        answers = await asyncio.gather(
            *[engine.complete(p, sampling(n)) for n, p in enumerate(prompts)], return_exceptions=True
        )
        assert all(answer.text.strip() for answer in answers[:6])
        assert isinstance(answers[6], PoisonError)
        assert "RuntimeError: device lost" in str(answers[6])
        assert 2 <= engine.n_restarts <= 6
    finally:
        await engine.close()
