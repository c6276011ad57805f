"""A check that nobody knew to be slow rejects its chunk and does not stop the run."""

import asyncio
import re
import signal
import threading
import time

import pytest
from scripted import BagOfWords, SilentReader, lenient

import fidelity.checker
import fidelity.judge
import fidelity.verify
from fidelity.checker import Checker, FidelityConfig
from fidelity.checks.time_limit import TooSlowError, time_limit
from fidelity.verify import Asked
from rephrase.records import Check, Chunk, Completion, Requirements

FOREVER = re.compile(r"(a+)+$")


def check(text, *checks):
    checker = Checker(BagOfWords(), FidelityConfig(), calibration=lenient(), open_reader=SilentReader)
    chunk = Chunk(document_id="d", index=0, start=0, end=len(text), text=text, n_tokens=9)
    completion = Completion(text=text, finish_reason="stop", n_prompt_tokens=1, n_completion_tokens=1)
    try:
        return asyncio.run(checker(chunk, completion, Requirements(checks=(Check.SAME_LANGUAGE, *checks))))
    finally:
        checker.close()


def slow(source, rewrite, **_):
    """Takes thousands of years for `aaa…b`, of which thirty seconds have passed already: the limit is near."""
    if rewrite.startswith("aaa"):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    FOREVER.match(rewrite)


def test_an_exponential_expression_rejects_its_chunk(monkeypatch):
    monkeypatch.setattr(fidelity.checker, "FORM_CHECKS", [slow])
    verdict = check("a" * 60 + "b")
    assert (verdict.accepted, verdict.reason) == (False, "check_too_slow")
    assert "interrupted after 30 s" in verdict.detail
    assert check("A sentence.").accepted


def test_facts_that_take_for_ever_reject_their_chunk_and_not_those_beside_it(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fidelity.judge, "compare_facts", slow)
        verdict = check("a" * 60 + "b.", Check.FACTS)
    assert (verdict.accepted, verdict.reason) == (False, "check_too_slow")
    assert "comparing the facts was interrupted after 30 s" in verdict.detail
    assert check("The bridge is 40 m long.", Check.FACTS).accepted


def test_a_pair_to_verify_is_rejected_as_well(monkeypatch):
    judge = Checker(BagOfWords(), FidelityConfig(), calibration=lenient(), open_reader=SilentReader).judge
    monkeypatch.setattr(fidelity.verify, "FORM_CHECKS", [slow])
    texts = "a" * 60 + "b", "The bridge is 40 m long."
    rows = fidelity.verify.verdict_rows(judge, [Asked(source=text, rewrite=text) for text in texts])
    assert [row["reason"] for row in rows] == ["check_too_slow", None]


def test_a_text_that_is_too_long_is_not_checked(monkeypatch):
    monkeypatch.setattr(fidelity.checker, "MAX_CHARACTERS", 100)
    verdict = check("word " * 30)
    assert verdict.reason == "check_too_slow"
    assert "more than 100 are not checked" in verdict.detail


def deaf():
    try:
        time.sleep(5)
    except Exception:
        time.sleep(5)


def renaming():
    try:
        time.sleep(5)
    except BaseException as error:
        raise ValueError("the definition is not complete") from error


@pytest.mark.parametrize("work", [deaf, renaming])
def test_an_interruption_is_one_whatever_the_code_makes_of_it(work):
    with pytest.raises(TooSlowError, match=r"interrupted after 0\.05 s"), time_limit(0.05):
        work()


def test_an_error_before_the_limit_stays_what_it_is():
    with pytest.raises(ValueError, match="not complete"), time_limit(5):
        raise ValueError("the definition is not complete")


def test_another_timer_goes_on():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    remaining = signal.setitimer(signal.ITIMER_REAL, 0.3)  # that of the test run
    try:
        with pytest.raises(TooSlowError), time_limit(0.05):
            time.sleep(5)
        for _ in range(6000):
            if rung:
                break
            time.sleep(0.01)
        assert rung == [True]
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *remaining)


def test_in_another_thread_nothing_is_interrupted():
    found = []

    def work():
        with time_limit(0.01):
            time.sleep(0.05)
        found.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]
