"""The real model in the real vLLM, in this process."""

import asyncio
import dataclasses
import itertools
import threading

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from vllm import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.utils import cpu_triton_utils

from rephrase.corpus.words import words_of
from rephrase.engines.engine import PromptTooLongError
from rephrase.engines.engine_options import _SHAPES_TEXT, require_known
from rephrase.engines.vllm_engine import VLLMEngine, check_options
from rephrase.models.precision import fast_precision
from rephrase.models.resolve import PACKAGED_MODEL, resolve
from rephrase.models.tokenizer import HubTokenizer
from rephrase.records import CopyPenalty, Prompt, Sampling

pytestmark = pytest.mark.model
GREEDY = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 40, "seed": 0}


@pytest.fixture(scope="module")
def engine():
    phases = []
    engine = VLLMEngine(
        max_context_tokens=1024, options={"max_num_seqs": 8}, penalizes_copies=True, on_phase=phases.append
    )
    assert phases == [f"loading {PACKAGED_MODEL}", f"warming up {PACKAGED_MODEL}"]
    yield engine
    asyncio.run(engine.close())


def prompt(n: int) -> Prompt:
    return Prompt(system="You answer questions.", user=f"Write one sentence about the number {n}.")


def sampling(seed: int = 1, max_tokens: int = 24) -> Sampling:
    return Sampling(temperature=0.8, top_p=0.9, max_tokens=max_tokens, seed=seed)


async def test_many_completions_at_once_with_their_counts(engine):
    answers = await asyncio.gather(*[engine.complete(prompt(n), sampling(n)) for n in range(20)])
    assert len({answer.text for answer in answers}) > 10
    for answer in answers:
        assert answer.text.strip()
        assert answer.finish_reason in ("stop", "length")
        assert 0 < answer.n_completion_tokens <= 24
        assert answer.n_prompt_tokens > 10
    assert any(answer.finish_reason == "length" for answer in answers)


@pytest.fixture
def held(engine, monkeypatch):
    """The model stops after three steps. Two events: it has stopped, and it may go on."""
    step, n_steps = engine._engine.step, itertools.count(1)
    is_held, may_go_on = threading.Event(), threading.Event()

    def step_or_wait():
        if next(n_steps) > 3:
            is_held.set()
            may_go_on.wait()
        return step()

    monkeypatch.setattr(engine._engine, "step", step_or_wait)
    yield is_held, may_go_on
    may_go_on.set()


async def test_it_reports_how_many_run_and_how_many_wait(engine, held):
    is_held, may_go_on = held
    tasks = [asyncio.create_task(engine.complete(prompt(n), sampling(n, max_tokens=8))) for n in range(11)]
    assert await asyncio.to_thread(is_held.wait, 600)
    load = engine.load()
    may_go_on.set()
    assert 1 <= load.n_running <= 8
    assert 1 <= load.n_waiting <= 10
    assert 0 < load.kv_cache_use < 1
    assert load.n_overloads == 0
    await asyncio.gather(*tasks)
    assert engine.info.max_in_flight == 9  # eight run and one waits


async def test_the_seed_determines_the_text(engine):
    first = await engine.complete(prompt(1), sampling(seed=5, max_tokens=12))
    again = await engine.complete(prompt(1), sampling(seed=5, max_tokens=12))
    other = await engine.complete(prompt(1), sampling(seed=6, max_tokens=12))
    assert first.text == again.text
    assert first.text != other.text


async def test_the_logprob_is_that_of_the_tokens_under_the_model(engine):
    asked = dataclasses.replace(sampling(seed=5, max_tokens=12), logprob=True)
    answer = await engine.complete(prompt(1), asked)
    assert (await engine.complete(prompt(1), sampling(seed=5, max_tokens=12))).logprob is None

    folder = resolve(PACKAGED_MODEL).folder
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    before = tokenizer.apply_chat_template(prompt(1).messages(), add_generation_prompt=True, return_dict=False)
    tokens = tokenizer(answer.text, add_special_tokens=False)["input_ids"]
    tokens += [tokenizer.eos_token_id] * (answer.n_completion_tokens - len(tokens))
    with torch.inference_mode():
        scores = model(torch.tensor([before + tokens])).logits[0, len(before) - 1 : -1].float().log_softmax(-1)
    expected = scores[torch.arange(len(tokens)), tokens].sum().item()
    assert answer.logprob == pytest.approx(expected, rel=0.02)


async def test_a_prompt_over_the_context_is_refused_and_the_next_one_answered(engine):
    with pytest.raises(PromptTooLongError, match="exceed the context of 1024"):
        await engine.complete(Prompt(system="s", user="word " * 2000), sampling())
    assert (await engine.complete(prompt(1), sampling())).text


async def test_a_cancelled_request_leaves_the_engine_working(engine, held):
    is_held, may_go_on = held
    task = asyncio.create_task(engine.complete(prompt(1), sampling(max_tokens=900)))
    assert await asyncio.to_thread(is_held.wait, 600)
    task.cancel()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await engine.complete(prompt(2), sampling())).text


async def test_a_copy_is_left_after_four_tokens_where_it_is_penalized(engine):
    text = "The treaty was signed in Paris in 1783 and ended the long war between Britain and its colonies."
    asked = Prompt(system="Repeat the text word by word.", user=f"Repeat this text: {text}")

    async def answer(words):
        penalty = CopyPenalty(amount=100.0, passage=text, word_starts=tuple(word.start for word in words))
        return (await engine.complete(asked, Sampling(**GREEDY, copy_penalty=penalty))).text.strip()

    # In one batch with a request without a penalty.
    plain, kept, penalized = await asyncio.gather(
        engine.complete(asked, Sampling(**GREEDY)),
        answer([]),
        answer([word for word in words_of(text) if not word.kept]),
    )
    assert plain.text.strip() == kept == text
    assert penalized.startswith("The treaty was signed ")
    assert not penalized.startswith("The treaty was signed in")


def test_info_names_model_and_revision_and_how_it_runs(engine):
    assert engine.info.model == PACKAGED_MODEL
    assert len(engine.info.model_revision) == 12
    assert engine.info.settings["dtype"] == fast_precision()
    assert engine.info.settings["options"] == {"max_num_seqs": 8}
    assert engine.info.settings["license"] == "apache-2.0"
    assert engine.info.settings["system_role"] is True
    tokenizer = HubTokenizer(engine.info.tokenizer)
    text = "Ein Satz, 中文, $x^2$."
    starts = tokenizer.token_starts(text)
    assert starts[0] == 0
    assert starts == sorted(starts)


def test_a_model_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="'/no/such/model'"):
        VLLMEngine("/no/such/model")


def test_options_are_checked_against_those_of_the_installed_version():
    check_options({"kv_cache_dtype": "auto", "max_num_seqs": 8})
    with pytest.raises(ValueError, match="no engine argument 'kv_cache_dtyp'; did you mean 'kv_cache_dtype'"):
        check_options({"kv_cache_dtyp": "fp8"})
    with pytest.raises(ValueError, match=r"--tensor-parallel-size .* asks for 99 devices; this machine has GPUs"):
        check_options({"tensor_parallel_size": 99})


def test_speculation_that_loses_the_temperature_is_refused(monkeypatch):
    def right(output, values, n_each, replaced, replacement):
        output.copy_(values.repeat_interleave(n_each))

    def lossy(output, values, n_each, replaced, replacement):
        right(output.to(torch.int64), values.to(torch.int64), n_each, replaced, replacement)

    monkeypatch.setattr(current_platform, "is_cpu", lambda: True)
    monkeypatch.setattr("vllm.triton_utils.HAS_TRITON", False)
    options = {"speculative_config": {"method": "ngram", "num_speculative_tokens": 4}}
    monkeypatch.setattr(cpu_triton_utils, "_expand_kernel_impl", right)
    check_options(options)
    monkeypatch.setattr(cpu_triton_utils, "_expand_kernel_impl", lossy)
    with pytest.raises(ValueError, match="speculation would change the text"):
        check_options(options)


def test_every_option_that_is_pinned_exists_in_the_installed_version():
    require_known(dict.fromkeys(_SHAPES_TEXT), {field.name for field in dataclasses.fields(AsyncEngineArgs)})
