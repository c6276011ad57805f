"""The rewriting model judges its own rewrites: ordinary completions of one token."""

import math

import pytest
from scripted import ScriptedEngine

from fidelity.checker import FidelityConfig
from fidelity.checks.language_judge import QUESTIONS, UNREAD
from flows.verification.judge_model import judge_notices, self_judge
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.records import Completion, Prompt, Verdict

SOURCE = "The treaty was signed in Paris in 1783. It ended a long war."
REWRITE = "In 1783 the treaty was signed in Paris. It ended a cheap war."
ACCEPTED = Verdict(accepted=True)


def saying(answer: str, probability: float) -> ScriptedEngine:
    """A model that denies that the war was cheap."""

    def script(prompt: Prompt, sampling: object) -> Completion:
        said = answer if "Statement: It ended a cheap war." in prompt.user else "Yes"
        return Completion(
            text=said, finish_reason="length", n_prompt_tokens=9, n_completion_tokens=1, logprob=math.log(probability)
        )

    return ScriptedEngine(script)


@pytest.mark.parametrize(
    ("answer", "probability", "accepted", "yes"),
    [("No", 0.8, False, 0.2), (" no", 0.8, False, 0.2), ("Yes", 0.8, True, 0.8), ("Yes", 0.3, False, 0.3)],
)
async def test_the_probability_of_yes_is_that_of_the_first_token(answer, probability, accepted, yes):
    engine = saying(answer, probability)
    found = await self_judge(engine, FidelityConfig(self_judge=True)).review(SOURCE, REWRITE, 0.0, ACCEPTED)
    assert found.accepted is accepted
    assert found.scores["judge_support_min"] == pytest.approx(yes)
    assert {prompt.system for prompt in engine.prompts} == {
        "You compare a text with a statement. You answer with one word, Yes or No."
    }


async def test_an_answer_that_begins_otherwise_changes_nothing_and_is_told():
    judge = self_judge(saying("<think>", 0.9), FidelityConfig(self_judge=True))
    found = await judge.review(SOURCE, REWRITE, 0.0, ACCEPTED)
    assert found.accepted
    assert judge.n_seen[UNREAD] == 1
    assert judge_notices(judge) == ["1 of 2 answers of the judge were neither Yes nor No and are ignored"]


def test_there_is_one_judge():
    with pytest.raises(ValueError, match="there can be one judge"):
        FidelityConfig(self_judge=True, judge_endpoints=("http://one/v1",), judge_model="m")


@pytest.mark.slow
async def test_a_model_in_this_process_is_asked():
    engine = VLLMEngine(max_context_tokens=1024)
    try:
        judge = self_judge(engine, FidelityConfig(self_judge=True))
        found = await judge.review(SOURCE, REWRITE, 1.0, ACCEPTED)
    finally:
        await engine.close()
    # The packaged model is too small to answer Yes or No; what it says is counted and changes nothing.
    assert judge.n_seen[QUESTIONS] == 4
    assert found.scores["judge_unread"] == judge.n_seen[UNREAD] / 4
    assert found.accepted or found.scores["judge_unread"] < 1
