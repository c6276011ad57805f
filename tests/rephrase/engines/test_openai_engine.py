"""The openai engine against a loopback server that misbehaves in every way servers do."""

import asyncio
import dataclasses
import json
import re
import time
from collections import defaultdict
from dataclasses import replace

import pytest
from answering_server import ANSWER, GOOD, MODELS, Raw, refusal
from served import free_port

from rephrase.engines.engine import EngineError, PoisonError, PromptTooLongError, RequestRefusedError
from rephrase.engines.openai_engine import OpenAIEngine
from rephrase.engines.opening import EngineConfig, open_engine
from rephrase.records import Prompt, Sampling

pytestmark = pytest.mark.usefixtures("quick_retries")
PROMPT = Prompt(system="s", user="hello")
SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_tokens=16, seed=7)


async def test_an_adapter_is_asked_for_by_name_and_counted_with_its_base_model(serve):
    adapter = {"id": "mine", "root": "/adapters/mine", "parent": "m"}  # as `vllm serve --lora-modules` lists it
    server = serve(GOOD, models=("m", adapter))
    engine = await asyncio.to_thread(open_engine, EngineConfig(kind="openai", endpoints=[server.url], lora="mine"))
    assert (engine.info.model, engine.info.tokenizer, engine.info.max_context_tokens) == ("mine", "r", 999)
    await engine.complete(PROMPT, SAMPLING)
    assert server.requests[0][0]["model"] == "mine"
    await engine.close()


async def test_the_request_carries_the_sampling_and_the_answer_is_kept(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server = serve(GOOD)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    info = engine.info
    assert (info.engine, info.model, info.tokenizer, info.max_context_tokens) == ("openai", "m", "r", 999)
    completion = await engine.complete(PROMPT, SAMPLING)
    ((request, key),) = server.requests
    assert request["messages"] == PROMPT.messages()
    assert {name: request[name] for name in ("temperature", "top_p", "max_tokens", "seed", "model")} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 16,
        "seed": 7,
        "model": "m",
    }
    assert key == "Bearer secret"
    assert completion.text.startswith("half ")
    completion.text.encode()
    assert completion.finish_reason == "length"
    assert (completion.n_prompt_tokens, completion.n_completion_tokens, completion.n_cached_tokens) == (9, 3, 4)
    await engine.close()


@pytest.mark.parametrize(
    "bad", [(500, "{}"), (429, "{}"), (503, "busy"), (200, '{"choices": [{"mes'), (200, "{}"), (200, "null")]
)
async def test_a_transient_fault_is_retried(serve, bad):
    server = serve(bad, bad, GOOD)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    assert (await engine.complete(PROMPT, SAMPLING)).n_completion_tokens == 3
    assert len(server.requests) == 3
    # An overloaded server gets fewer concurrent requests.
    assert engine.load().n_overloads == 2 * (bad[0] in (429, 503))


async def test_a_server_that_hangs_is_abandoned(serve):
    server = serve(GOOD)
    server.may_answer.clear()
    engine = await asyncio.to_thread(OpenAIEngine, [server.url], timeout_s=0.2, give_up_after_s=1)
    with pytest.raises(EngineError, match=r"no answer within 1 s from any endpoint: http://127.*RequestTimeoutError"):
        await engine.complete(PROMPT, SAMPLING)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((400, '{"error": {"message": "maximum context length is 10 tokens"}}'), PromptTooLongError),
        ((400, '{"error": {"message": "bad word"}}'), RequestRefusedError),
        ((403, '{"error": {"message": "key"}}'), EngineError),
        ((422, '{"error": {"message": "no"}}'), RequestRefusedError),
        ((401, '{"error": {"message": "key"}}'), EngineError),
    ],
)
async def test_a_permanent_fault_is_not_retried(serve, answer, expected):
    server = serve(answer)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    with pytest.raises(expected):
        await engine.complete(PROMPT, SAMPLING)
    assert len(server.requests) == 1


async def test_requests_spread_over_the_endpoints(serve):
    first, second = serve(GOOD), serve(GOOD)
    engine = await asyncio.to_thread(OpenAIEngine, [first.url, second.url])
    await asyncio.gather(*[engine.complete(PROMPT, SAMPLING) for _ in range(6)])
    assert (len(first.requests), len(second.requests)) == (3, 3)


async def test_the_load_is_that_of_all_endpoints_or_unknown(serve):
    one, two = (
        "".join(f"vllm:num_requests_{name} {n}\n" for name, n in loads)
        for loads in (
            (("running", 8), ("waiting", 2)),
            (("running", 5), ("waiting", 0)),
        )
    )
    for metrics, expected in (((one, two), (13, 2)), ((one, ""), (0, 0))):
        servers = [serve(GOOD, metrics=page) for page in metrics]
        engine = await asyncio.to_thread(OpenAIEngine, [server.url for server in servers])
        assert (engine.load().n_running, engine.load().n_waiting) == (0, 0)
        await asyncio.gather(*[engine.complete(PROMPT, SAMPLING) for _ in range(2)])
        await asyncio.gather(*[load._query for load in engine._loads])
        assert (engine.load().n_running, engine.load().n_waiting) == expected
        await engine.close()


@pytest.mark.parametrize("gone", [0, 1])
async def test_with_one_endpoint_down_the_other_is_used(serve, gone):
    servers = [serve(GOOD), serve(GOOD)]
    engine = await asyncio.to_thread(OpenAIEngine, [server.url for server in servers])
    servers[gone].close()
    for _ in range(3):
        await asyncio.gather(*[engine.complete(PROMPT, SAMPLING) for _ in range(4)])
    assert len(servers[1 - gone].requests) == 12


def test_a_model_that_is_not_served_is_an_error_that_lists_those_that_are(serve):
    server = serve(GOOD, models=("a", "b"))
    with pytest.raises(ValueError, match=r"'c' is not served at .*; served there: a, b"):
        OpenAIEngine([server.url], model="c")
    with pytest.raises(ValueError, match="choose one with --model: a, b"):
        OpenAIEngine([server.url])
    with pytest.raises(ValueError, match="at least one --endpoint"):
        OpenAIEngine([])


def test_an_endpoint_that_does_not_exist_is_an_error():
    with pytest.raises(EngineError, match="no endpoint answered with a model"):
        OpenAIEngine(["http://127.0.0.1:9/v1"], give_up_after_s=0.5)


class Fails:
    """Answers until it is set to fail; counts its requests."""

    def __init__(self, serve, fault=(500, "{}"), headers=()):
        self.fails, self.fault = False, fault
        self.server = serve(self, headers=headers)

    def __call__(self, body):
        return self.fault if self.fails else GOOD


async def test_a_failing_endpoint_cools_down_gets_trials_and_is_used_again(serve, monkeypatch):
    for name in ("FIRST_COOLDOWN_S", "MAX_COOLDOWN_S"):
        monkeypatch.setattr(f"rephrase.engines.breaker.{name}", 0.5)
    bad, good = Fails(serve), Fails(serve)
    bad.fails = True
    engine = await asyncio.to_thread(OpenAIEngine, [bad.server.url, good.server.url])
    for _ in range(2):
        await asyncio.gather(*[engine.complete(PROMPT, SAMPLING) for _ in range(20)])
    n_asked = len(bad.server.requests)
    assert n_asked < 20  # half of the first round at once, then trials
    bad.fails = False
    await asyncio.sleep(0.7)
    await engine.complete(PROMPT, SAMPLING)
    await asyncio.gather(*[engine.complete(PROMPT, SAMPLING) for _ in range(40)])
    assert len(bad.server.requests) > n_asked + 10


async def test_retry_after_is_respected(serve):
    arrivals = defaultdict(list)  # by seed

    def limited(body):
        times = arrivals[json.loads(body)["seed"]]
        times.append(time.monotonic())
        return (429, "{}") if len(times) == 1 else GOOD

    server = serve(limited, headers=[("Retry-After", "2")])
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    await asyncio.gather(*[engine.complete(PROMPT, replace(SAMPLING, seed=seed)) for seed in range(5)])
    assert [len(times) for times in arrivals.values()] == [2] * 5
    assert all(second - first >= 2 for first, second in arrivals.values())


async def test_a_request_that_fails_while_others_are_answered_is_refused_and_not_the_run(serve, monkeypatch):
    monkeypatch.setattr("rephrase.engines.openai_engine.MAX_ATTEMPTS", 2)
    server = serve(lambda body: (500, "{}") if "poison" in str(body) else GOOD)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url], give_up_after_s=200)

    async def others():
        while not poison.done():
            await engine.complete(PROMPT, SAMPLING)
            await asyncio.sleep(0.05)

    poison = asyncio.create_task(engine.complete(Prompt(system="s", user="poison"), SAMPLING))
    await others()
    with pytest.raises(PoisonError, match="failed 2 times while other requests were answered"):
        await poison


async def test_a_server_that_dies_and_comes_back_on_its_port(serve):
    port = free_port()
    server = serve(GOOD, port=port)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    await engine.complete(PROMPT, SAMPLING)
    server.close()
    waiting = asyncio.create_task(engine.complete(PROMPT, SAMPLING))
    while not engine._breakers[0].last_fault:  # noqa: ASYNC110  a breaker has no event
        await asyncio.sleep(0.01)
    assert not waiting.done()
    serve(GOOD, port=port)
    assert (await waiting).n_completion_tokens == 3


@pytest.mark.parametrize(
    ("content", "finish_reason", "text"),
    [("Ulm.", "stop", "Ulm."), (None, "length", "<think>"), ("", "length", "<think>"), (None, "stop", "")],
)
async def test_a_thought_that_the_server_sets_apart_is_seen_only_where_it_was_cut_off(
    serve, content, finish_reason, text
):
    answer = json.loads(GOOD[1])
    answer["choices"][0] |= {
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": content, "reasoning_content": "It is Ulm."},
    }
    engine = await asyncio.to_thread(OpenAIEngine, [serve((200, json.dumps(answer))).url])
    assert (await engine.complete(PROMPT, SAMPLING)).text == text


@pytest.mark.parametrize(
    ("status", "body", "headers", "message"),
    [
        (401, b"", (), "refuses the key in OPENAI_API_KEY"),
        (403, b"{}", (), "refuses the key in OPENAI_API_KEY"),
        (404, b"", (), "usually ends in /v1"),
        (302, b"", [("Location", "/login")], "usually ends in /v1"),
        (200, b"<html>Welcome</html>", (), "is it an OpenAI-compatible server"),
        (200, b'{"data": [{}]}', (), r"data\.0\.id: .*is it an OpenAI-compatible server"),
    ],
)
def test_what_waiting_cannot_cure_ends_at_once(status, body, headers, message, caplog):
    server = Raw(status, body, headers)
    with pytest.raises(EngineError, match=message):
        OpenAIEngine([server.url], give_up_after_s=60)
    assert not [record for record in caplog.records if "waiting for" in record.message]
    server.close()


@pytest.mark.parametrize(
    "endpoint",
    [
        *("localhost:8000", "localhost", "http://", "http://h:99999/v1", "ftp://h/v1", ""),
        *(
            "http://h/v1\n",
            "http://h\\v1",
            "http://\u202eh/v1",
            "http://a..b/v1",
            f"http://{'a' * 64}/v1",
            "http://h /v1",
        ),
    ],
)
def test_what_is_not_an_address_is_named(endpoint):
    with pytest.raises(ValueError, match="is not an address of a server"):
        OpenAIEngine([endpoint], give_up_after_s=60)


def test_what_may_come_up_is_waited_for_and_said(caplog):
    phases = []
    with pytest.raises(EngineError, match=r"within 0\.5 s"):
        OpenAIEngine(["http://127.0.0.1:9/v1"], give_up_after_s=0.5, on_phase=phases.append)
    (phase,) = phases
    assert re.fullmatch(r"waiting for http://127\.0\.0\.1:9/v1: ConnectError: .+, at most 0\.5 s", phase)
    assert phase in [record.message for record in caplog.records]


async def test_an_answer_that_trickles_is_given_up_after_the_time_of_a_request():
    def trickle(handler):
        while True:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)

    server = Raw(body=MODELS, post=trickle)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url], timeout_s=0.4, give_up_after_s=1)
    with pytest.raises(EngineError, match=r"not complete after 0\.4 s"):
        await engine.complete(PROMPT, SAMPLING)
    await engine.close()
    server.close()


async def test_an_answer_without_end_is_given_up_at_a_size():
    def flood(handler):
        while True:
            handler.wfile.write(b" " * 100_000)

    server = Raw(body=MODELS, post=flood)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url], timeout_s=30, give_up_after_s=1)
    with pytest.raises(EngineError, match=r"longer than 1,004,096 bytes"):
        await engine.complete(PROMPT, SAMPLING)
    await engine.close()
    server.close()


UNKNOWN = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
FIXED = "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) is."


async def test_the_dialect_of_a_server_is_learnt_from_its_first_refusals(serve):
    def picky(body):
        asked = json.loads(body)
        if "max_tokens" in asked:
            return refusal(UNKNOWN, param="max_tokens", code="unsupported_parameter")
        if "temperature" in asked:
            return refusal(FIXED, param="temperature", code="unsupported_value")
        if "seed" in asked:
            return 422, json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]})
        if asked["messages"][0]["role"] == "system":
            return refusal("System role not supported")
        return GOOD

    server = serve(picky)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    assert engine.info.settings["dialect"] == {}
    answers = await asyncio.gather(*[engine.complete(PROMPT, SAMPLING) for _ in range(8)])
    assert len(answers) == 8
    accepted = server.requests[-1][0]
    assert accepted["max_completion_tokens"] == 16
    assert accepted["top_p"] == 0.9
    assert accepted["messages"] == [{"role": "user", "content": "s\n\nhello"}]
    assert engine.info.settings["dialect"] == {"left_out": ["temperature", "seed"], "system_role": False}
    n_before = len(server.requests)
    await engine.complete(PROMPT, SAMPLING)
    assert len(server.requests) == n_before + 1
    await engine.close()


async def test_where_two_parameters_exclude_each_other_the_temperature_stays(serve):
    both = refusal("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    server = serve(both, GOOD)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    await engine.complete(PROMPT, SAMPLING)
    accepted = server.requests[-1][0]
    assert accepted["temperature"] == 0.5
    assert "top_p" not in accepted
    await engine.close()


@pytest.mark.parametrize(
    "said",
    ["This model does not support logprobs.", "logprobs is not enabled on this server", "Unknown field: logprobs"],
)
async def test_a_server_without_logprobs_is_asked_for_none(serve, said):
    server = serve(lambda body: refusal(said) if "logprobs" in json.loads(body) else GOOD)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    assert (await engine.complete(PROMPT, dataclasses.replace(SAMPLING, logprob=True))).logprob is None
    assert engine.info.settings["dialect"] == {"left_out": ["logprobs"]}
    await engine.close()


async def test_a_refusal_after_an_answer_teaches_nothing(serve):
    server = serve(GOOD, refusal("the document names an unsupported seed"))
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    await engine.complete(PROMPT, SAMPLING)
    with pytest.raises(RequestRefusedError, match="unsupported seed"):
        await engine.complete(PROMPT, SAMPLING)
    assert engine.info.settings["dialect"] == {}
    await engine.close()


async def test_a_refusal_that_no_dialect_cures_ends_the_run_with_the_servers_sentence(serve):
    server = serve(refusal("Unrecognized request argument supplied: chat_template_kwargs"))
    engine = await asyncio.to_thread(
        OpenAIEngine, [server.url], chat_template_kwargs={"enable_thinking": False}, give_up_after_s=5
    )
    with pytest.raises(EngineError, match="Unrecognized request argument supplied: chat_template_kwargs"):
        await engine.complete(PROMPT, SAMPLING)
    assert server.requests[0][0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert len(server.requests) == 1
    await engine.close()


async def test_a_redirect_is_not_followed_and_named(serve):
    other = serve((200, json.dumps(ANSWER)))
    server = serve((307, ""), headers=[("Location", f"{other.url}/chat/completions")])
    engine = OpenAIEngine([server.url], give_up_after_s=5)
    with pytest.raises(EngineError, match=r"redirects to .*documents are sent only to the endpoints that are named"):
        await engine.complete(PROMPT, SAMPLING)
    assert other.requests == []
    await engine.close()


async def test_a_server_that_sends_the_key_back_does_not_get_it_into_a_row(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    good = (200, json.dumps(ANSWER))
    server = serve(good, (422, json.dumps({"error": {"message": "bad key sk-very-secret"}})))
    engine = OpenAIEngine([server.url], give_up_after_s=5)
    await engine.complete(PROMPT, SAMPLING)
    with pytest.raises(RequestRefusedError, match=r"bad key \(the API key\)"):
        await engine.complete(PROMPT, SAMPLING)
    await engine.close()


async def test_the_key_goes_only_to_the_servers_that_it_is_for(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    server = serve((200, json.dumps(ANSWER)))
    sent = []
    for allowed in (server.url, f"{server.url.replace('127.0.0.1', 'localhost')} https://api.openai.com/v1"):
        monkeypatch.setenv("PALIMPSEST_KEY_ENDPOINTS", allowed)
        engine = OpenAIEngine([server.url], give_up_after_s=5)
        await engine.complete(PROMPT, SAMPLING)
        sent.append(server.requests[-1][1])
        await engine.close()
    assert sent == ["Bearer sk-very-secret", "Bearer none"]
    refusing = Raw(401, b"", ())
    with pytest.raises(
        EngineError, match="it is not sent there, because PALIMPSEST_KEY_ENDPOINTS names other endpoints"
    ):
        OpenAIEngine([refusing.url], give_up_after_s=5)
    refusing.close()
