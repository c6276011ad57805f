"""A language model behind a real server is asked about each sentence in both directions."""

import asyncio
import math

import pytest
from judge_server import JudgeServer, as_text, off_topic

from fidelity.checks.language_judge import (
    QUESTIONS,
    REWRITES,
    UNREAD,
    LanguageJudge,
    probability_of_yes,
    require_judge,
)
from rephrase.engines.engine import RequestRefusedError
from rephrase.engines.openai_engine import OpenAIEngine
from rephrase.records import Verdict

SOURCE = "The treaty was signed in Paris in 1783. It ended a long war. The king was not there."
ACCEPTED = Verdict(accepted=True, scores={"similarity": 0.9})


def reviewed(server, rewrite, keeps=1.0, verdict=ACCEPTED):
    async def ask():
        engine = OpenAIEngine([server.url])
        judge = LanguageJudge(engine.first_token)
        try:
            return await judge.review(SOURCE, rewrite, keeps, verdict), judge.n_seen
        finally:
            await engine.close()

    return asyncio.run(ask())


def test_only_sentences_that_are_not_copied_are_asked_about():
    rewrite = "In 1783 the treaty was signed in Paris. It ended a long war. The king was not there."
    with JudgeServer() as server:
        found, n_seen = reviewed(server, rewrite)
    assert sorted(server.asked) == [
        (rewrite, "The treaty was signed in Paris in 1783."),
        (SOURCE, "In 1783 the treaty was signed in Paris."),
    ]
    assert found.accepted
    assert found.scores["judge_support_min"] == pytest.approx(0.9)
    assert (found.scores["judge_coverage"], found.scores["judge_unread"]) == (1.0, 0.0)
    assert found.scores["similarity"] == 0.9
    assert (n_seen[REWRITES], n_seen[QUESTIONS], n_seen[UNREAD]) == (1, 2, 0)


@pytest.mark.parametrize("answer", [None, as_text])
def test_a_sentence_that_the_judge_denies_rejects_the_rewrite(answer):
    rewrite = SOURCE.replace("long", "cheap")
    with JudgeServer(answer) if answer else JudgeServer() as server:
        found, _ = reviewed(server, rewrite, keeps=0.0)
    assert (found.accepted, found.reason) == (False, "judged_unfaithful")
    assert "the source does not say" in found.detail
    (place,) = found.discrepancies
    assert rewrite[slice(*place.rewrite)] == "It ended a cheap war."
    assert {text for text, _ in server.asked} == {SOURCE}  # a summary is not asked what it lacks


def test_what_must_be_kept_is_asked_in_the_other_direction():
    rewrite = "In 1783 the treaty was signed in Paris. It ended a long war."
    with JudgeServer() as server:
        lost, _ = reviewed(server, rewrite)
        enough, _ = reviewed(server, rewrite, keeps=0.5)
    assert (lost.accepted, lost.reason) == (False, "judged_incomplete")
    assert SOURCE[slice(*lost.discrepancies[-1].source)] == "The king was not there."
    assert enough.accepted
    assert 0.5 < enough.scores["judge_coverage"] < 1


def test_an_answer_that_cannot_be_read_is_counted_and_changes_nothing():
    with JudgeServer(off_topic) as server:
        found, n_seen = reviewed(server, SOURCE.replace("long", "cheap"), keeps=0.0)
    assert found.accepted
    assert found.scores["judge_unread"] == pytest.approx(1 / 3)
    assert (n_seen[QUESTIONS], n_seen[UNREAD]) == (1, 1)


async def test_a_refused_question_is_no_answer():
    async def refuses(prompt):
        raise RequestRefusedError("too long")

    judge = LanguageJudge(refuses)
    assert (await judge.review(SOURCE, "A king was there.", 0.0, ACCEPTED)).accepted
    assert judge.n_seen[UNREAD] == 1


async def test_rejected_rewrites_cost_nothing():
    async def never(prompt):
        raise AssertionError("asked")

    rejected = Verdict(accepted=False, reason="empty")
    assert await LanguageJudge(never).review(SOURCE, "x", 1.0, rejected) is rejected


@pytest.mark.parametrize(
    ("first", "yes"),
    [
        ({"Yes": -0.1, " no": -3.0}, 0.948),
        ({"yes": -0.7, "Yes": -0.7}, 1.0),
        ({"No.": 0.0}, 0.0),
        ({"Well": -0.1, "Yes": -3.0}, None),
        ({"Yesterday": 0.0}, None),
        ({"": 0.0}, None),
        ({}, None),
    ],
)
def test_the_answer_is_read_strictly(first, yes):
    assert probability_of_yes(first) == (yes if yes is None else pytest.approx(yes, abs=0.001))


def test_a_judge_needs_its_server_and_its_model():
    require_judge((), None)
    require_judge(("http://localhost/v1",), "m")
    for endpoints, model in (((), "m"), (("http://localhost/v1",), None)):
        with pytest.raises(ValueError, match="--judge-endpoint"):
            require_judge(endpoints, model)


@pytest.mark.parametrize(("yes", "reason"), [(0.9, None), (0.2, "judged_not_in_style")])
async def test_the_rubric_of_a_style_is_asked_of_the_whole_rewrite(yes, reason):
    rubric = "Each answer answers the question before it."
    asked = []

    async def answer(prompt):
        asked.append(prompt.user)
        return {"yes": math.log(yes if rubric in prompt.user else 0.9), "no": math.log(1 - yes)}

    judge = LanguageJudge(answer)
    found = await judge.review(SOURCE, SOURCE, 1.0, ACCEPTED, rubric=rubric)
    assert (found.accepted, found.reason) == (reason is None, reason)
    assert found.scores["judge_in_style"] == pytest.approx(yes)
    assert reason is None or rubric in found.detail
    assert SOURCE in asked[0]
    assert len(asked) == judge.n_seen[QUESTIONS] == 1  # copied sentences are not asked about
    assert (await judge.review(SOURCE, SOURCE, 1.0, ACCEPTED)).scores["judge_in_style"] == 1.0
    assert len(asked) == 1
