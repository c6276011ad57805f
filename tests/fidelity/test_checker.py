"""The verdict: form first, then similarity, computed in batches while other requests wait."""

import asyncio
import threading

import numpy as np
import pytest
from scripted import BagOfWords, SilentReader, lenient

from fidelity.checker import Checker, FidelityConfig, similarities
from fidelity.checks.language_judge import LanguageJudge
from fidelity.embeddings.encoder import SentenceEncoder
from fidelity.facts.comparing.compare import compare_facts
from rephrase.records import Check, Chunk, Completion, Requirements

SOURCE = "The treaty was signed in Paris in 1783 and ended the war between Britain and its colonies."
REWRITE = "In 1783 a treaty signed in Paris ended the war of the colonies with Britain."
SIMILAR = Requirements(checks=(Check.SIMILARITY,))
FACTS = Requirements(checks=(Check.FACTS,))
OTHER = "Photosynthesis turns light into sugar inside the leaves of green plants."


def chunk(text):
    return Chunk(document_id="d", index=0, start=0, end=len(text), text=text, n_tokens=1)


def completion(text):
    return Completion(text=text, finish_reason="stop", n_prompt_tokens=1, n_completion_tokens=1)


async def test_a_close_rewrite_is_accepted_and_a_distant_one_rejected_with_its_score():
    checker = Checker(BagOfWords(), FidelityConfig(min_similarity=0.6), calibration=lenient(), open_reader=SilentReader)
    good, bad = await asyncio.gather(
        checker(chunk(SOURCE), completion(REWRITE), SIMILAR), checker(chunk(SOURCE), completion(OTHER), SIMILAR)
    )
    assert good.accepted
    assert good.scores["similarity"] > 0.6
    assert (bad.accepted, bad.reason) == (False, "dissimilar")
    assert "is below 0.6" in bad.detail
    assert set(bad.scores) == {"copied", "reworded", "similarity"}
    assert bad.probability is None


async def test_bad_form_is_rejected_without_calling_the_encoder():
    class Never:
        def encode(self, texts):
            raise AssertionError("called")

    verdict = await Checker(Never(), FidelityConfig(), calibration=lenient(), open_reader=SilentReader)(
        chunk(SOURCE), completion(""), SIMILAR
    )
    assert verdict.reason == "empty"


async def test_waiting_requests_are_checked_in_one_batch():
    sizes, gate = [], threading.Event()

    class Slow(BagOfWords):
        def encode(self, texts):
            gate.wait(600)
            sizes.append(len(texts))
            return super().encode(texts)

    checker = Checker(Slow(), FidelityConfig(min_similarity=0.1), calibration=lenient(), open_reader=SilentReader)
    tasks = [asyncio.create_task(checker(chunk(SOURCE), completion(f"{REWRITE} {i}."), SIMILAR)) for i in range(20)]
    while checker.n_seen["form"] < len(tasks):  # noqa: ASYNC110  then all have been submitted
        await asyncio.sleep(0.01)
    gate.set()
    assert all(verdict.accepted for verdict in await asyncio.gather(*tasks))
    assert sum(sizes) == 1 + 20  # the source once for all batches
    assert len(sizes) <= 2


async def test_the_language_judge_has_the_last_word_on_what_is_accepted():
    asked = []

    async def denies(prompt):
        asked.append(prompt)
        return {"No": 0.0}

    checker = Checker(
        BagOfWords(),
        FidelityConfig(),
        calibration=lenient(),
        open_reader=SilentReader,
        language_judge=LanguageJudge(denies),
    )
    spaced = chunk(f"  {SOURCE}")
    denied, refused = await asyncio.gather(
        checker(spaced, completion(REWRITE), FACTS), checker(spaced, completion(""), FACTS)
    )
    assert (denied.accepted, denied.reason) == (False, "judged_unfaithful")
    assert denied.probability > 0.5
    lost = denied.discrepancies[-1]
    assert spaced.text[slice(*lost.source)] == SOURCE
    assert refused.reason == "empty"
    assert len(asked) == checker.n_seen["questions to the judge"] == 2
    assert (checker.n_seen["form"], checker.n_seen["judge"]) == (2, 1)


async def test_an_encoder_error_is_raised_and_the_next_batch_works():
    class Fails(BagOfWords):
        broken = True

        def encode(self, texts):
            if self.broken:
                raise RuntimeError("out of memory")
            return super().encode(texts)

    encoder = Fails()
    checker = Checker(encoder, FidelityConfig(min_similarity=0.1), calibration=lenient(), open_reader=SilentReader)
    with pytest.raises(RuntimeError, match="out of memory"):
        await checker(chunk(SOURCE), completion(REWRITE), SIMILAR)
    encoder.broken = False
    assert (await checker(chunk(SOURCE), completion(REWRITE), SIMILAR)).accepted


async def test_a_text_on_which_fact_extraction_fails_is_rejected_and_its_batch_continues(monkeypatch):
    def fails(source, rewrite, **options):
        if "Paris" not in rewrite:
            raise RecursionError("too deep")
        return compare_facts(source, rewrite, **options)

    monkeypatch.setattr("fidelity.judge.compare_facts", fails)
    checker = Checker(BagOfWords(), FidelityConfig(), calibration=lenient(), open_reader=SilentReader)
    good, bad = await asyncio.gather(
        checker(chunk(SOURCE), completion(REWRITE), FACTS),
        checker(chunk(SOURCE), completion("The war of the colonies ended in 1783."), FACTS),
    )
    assert good.accepted
    assert (bad.accepted, bad.reason, bad.probability) == (False, "check_failed", None)
    assert "RecursionError: too deep" in bad.detail


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder()


@pytest.mark.model
def test_the_packaged_encoder_separates_a_rewrite_from_another_topic(encoder):
    close, far = similarities(encoder, [(SOURCE, REWRITE), (SOURCE, OTHER)])
    assert close > 0.8
    assert far < 0.3


@pytest.mark.model
def test_vectors_have_length_one_and_long_texts_are_read_to_their_end(encoder):
    long = " ".join([SOURCE] * 40)
    other, before, after = encoder.encode([OTHER, long, long + " " + " ".join([OTHER] * 60)])
    assert np.allclose(np.linalg.norm([other, before, after], axis=1), 1, atol=1e-5)
    assert other @ after > other @ before + 0.3


def test_a_missing_encoder_is_named_in_the_error():
    with pytest.raises(ValueError, match="'/no/such/model'"):
        SentenceEncoder("/no/such/model")
