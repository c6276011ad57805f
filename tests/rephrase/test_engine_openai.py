"""The openai engine against a server on loopback that misbehaves in every way servers do."""

import asyncio
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rephrase.engine import EngineError, PromptTooLongError, RequestRefusedError
from rephrase.engine_openai import OpenAIEngine
from rephrase.records import Prompt, Sampling

PROMPT = Prompt(system="s", user="hello")
SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_tokens=16, seed=7)
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "half \ud800 text"}}
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
}


class Server:
    """Answers the n-th request with the n-th of `answers`, and any later one with the last: (status, body)."""

    def __init__(self, *answers, models=("m",), delay_s=0.0):
        self.requests = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.reply(200, json.dumps({"data": [{"id": m, "root": "r", "max_model_len": 999} for m in models]}))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests.append((json.loads(body), self.headers["Authorization"]))
                threading.Event().wait(delay_s)
                self.reply(*answers[min(len(server.requests), len(answers)) - 1])

            def reply(self, status, body):
                data = body.encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except BrokenPipeError:
                    pass  # the client timed out

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve():
    servers = []

    def start(*answers, **options):
        servers.append(Server(*answers, **options))
        return servers[-1]

    yield start
    for server in servers:
        with contextlib.suppress(OSError):
            server.close()


GOOD = (200, json.dumps(ANSWER))


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
async def test_a_passing_fault_is_tried_again(serve, bad):
    server = serve(bad, bad, GOOD)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    assert (await engine.complete(PROMPT, SAMPLING)).n_completion_tokens == 3
    assert len(server.requests) == 3


async def test_a_server_that_hangs_is_given_up(serve):
    server = serve(GOOD, delay_s=5)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url], timeout_s=0.2, give_up_after_s=1)
    with pytest.raises(EngineError, match=r"no answer from http://127.*within 1 s"):
        await asyncio.wait_for(engine.complete(PROMPT, SAMPLING), timeout=4)


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
async def test_a_lasting_fault_is_not_tried_again(serve, answer, expected):
    server = serve(answer)
    engine = await asyncio.to_thread(OpenAIEngine, [server.url])
    with pytest.raises(expected):
        await engine.complete(PROMPT, SAMPLING)
    assert len(server.requests) == 1


async def test_requests_spread_over_the_endpoints(serve):
    first, second = serve(GOOD, delay_s=0.2), serve(GOOD, delay_s=0.2)
    engine = await asyncio.to_thread(OpenAIEngine, [first.url, second.url])
    await asyncio.gather(*[engine.complete(PROMPT, SAMPLING) for _ in range(6)])
    assert (len(first.requests), len(second.requests)) == (3, 3)


@pytest.mark.parametrize("gone", [0, 1])
async def test_one_endpoint_gone_leaves_the_other(serve, gone):
    servers = [serve(GOOD), serve(GOOD)]
    engine = await asyncio.to_thread(OpenAIEngine, [server.url for server in servers])
    servers[gone].close()
    for _ in range(3):
        await asyncio.gather(*[engine.complete(PROMPT, SAMPLING) for _ in range(4)])
    assert len(servers[1 - gone].requests) == 12


def test_a_model_that_is_not_served_is_refused_with_those_that_are(serve):
    server = serve(GOOD, models=("a", "b"))
    with pytest.raises(ValueError, match=r"'c' is not served at .*; there is a, b"):
        OpenAIEngine([server.url], model="c")
    with pytest.raises(ValueError, match="name one with --model: a, b"):
        OpenAIEngine([server.url])
    with pytest.raises(ValueError, match="at least one --endpoint"):
        OpenAIEngine([])


def test_an_endpoint_that_is_not_there_is_refused():
    with pytest.raises(EngineError, match="none answers as"):
        OpenAIEngine(["http://127.0.0.1:9/v1"], give_up_after_s=0.5)
