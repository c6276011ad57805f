"""Servers that refuse, speak another protocol or repeat the key: one document, or the run."""

import time

import pytest
from answering_server import GOOD, MODELS, Raw, refusal

from rephrase.engines import served_models, server_load
from rephrase.engines.bounded import MAX_REFUSAL_BYTES
from rephrase.engines.engine import EngineError, RequestRefusedError
from rephrase.engines.openai_engine import OpenAIEngine
from rephrase.records import Prompt, Sampling

pytestmark = pytest.mark.usefixtures("quick_retries")
PROMPT = Prompt(system="s", user="hello")
SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_tokens=16, seed=7)


async def test_a_server_that_answers_and_then_refuses_all_ends_the_run(serve):
    """As when a model is unloaded: all further documents would be rejected."""
    server = serve(GOOD, refusal("no such model"))
    engine = OpenAIEngine([server.url], give_up_after_s=5)
    await engine.complete(PROMPT, SAMPLING)
    for _ in range(19):
        with pytest.raises(RequestRefusedError):
            await engine.complete(PROMPT, SAMPLING)
    with pytest.raises(EngineError, match=r"refused 20 requests in a row: .*no such model"):
        await engine.complete(PROMPT, SAMPLING)
    await engine.close()


async def test_texts_that_a_filter_refuses_end_no_run(serve):
    server = serve(GOOD, refusal("filtered", code="content_filter"))
    engine = OpenAIEngine([server.url], give_up_after_s=5)
    await engine.complete(PROMPT, SAMPLING)
    for _ in range(25):
        with pytest.raises(RequestRefusedError):
            await engine.complete(PROMPT, SAMPLING)
    await engine.close()


@pytest.mark.parametrize(
    "unpaid", [refusal("Insufficient Balance", 402), refusal("Insufficient Balance", 429, code="insufficient_quota")]
)
async def test_an_empty_account_ends_the_run_and_loses_no_document(serve, unpaid):
    server = serve(GOOD, unpaid)
    engine = OpenAIEngine([server.url], give_up_after_s=5)
    await engine.complete(PROMPT, SAMPLING)
    with pytest.raises(EngineError, match=r"asks to be paid first: .*Insufficient Balance"):
        await engine.complete(PROMPT, SAMPLING)
    await engine.close()


async def test_a_firewall_that_forbids_one_text_ends_no_run(serve):
    server = serve(GOOD, (403, "<html>Blocked: SQL injection</html>"), GOOD)
    engine = OpenAIEngine([server.url], give_up_after_s=5)
    await engine.complete(PROMPT, SAMPLING)
    with pytest.raises(RequestRefusedError, match="Blocked: SQL injection"):
        await engine.complete(PROMPT, SAMPLING)
    await engine.complete(PROMPT, SAMPLING)
    await engine.close()


@pytest.mark.parametrize("body", ["data: {}\n\n", '{"message": {"content": "of another protocol"}}', "<html>"])
async def test_a_server_of_another_protocol_is_named_at_once(serve, body):
    server = serve((200, body))
    engine = OpenAIEngine([server.url], give_up_after_s=600)
    with pytest.raises(EngineError, match="none of the first 5 answers is a chat completion"):
        await engine.complete(PROMPT, SAMPLING)
    await engine.close()


async def test_a_key_ends_where_its_line_ends_and_is_never_shown(serve, monkeypatch):
    server = serve(GOOD)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret\n")
    engine = OpenAIEngine([server.url], give_up_after_s=5)
    await engine.complete(PROMPT, SAMPLING)
    assert server.requests[-1][1] == "Bearer sk-very-secret"
    await engine.close()
    for key in ("sk-very\nsecret", "sk-very-sécret"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(ValueError, match="OPENAI_API_KEY holds a line break or a character") as raised:
            OpenAIEngine([server.url], give_up_after_s=5)
        assert key not in str(raised.value)


async def test_a_key_that_a_refusal_repeats_is_not_logged(serve, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    server = serve(refusal("sk-very-secret: the parameter 'seed' is not supported"), GOOD)
    engine = OpenAIEngine([server.url], give_up_after_s=5)
    await engine.complete(PROMPT, SAMPLING)
    assert "(the API key): the parameter 'seed' is not supported" in caplog.text
    assert "sk-very-secret" not in caplog.text
    await engine.close()


async def test_what_an_overloaded_server_says_is_in_the_error(serve):
    server = serve(refusal("come back tomorrow", 429))
    engine = OpenAIEngine([server.url], give_up_after_s=0.5)
    with pytest.raises(EngineError, match=r"no answer within 0.5 s .*RateLimitError: .*come back tomorrow"):
        await engine.complete(PROMPT, SAMPLING)
    await engine.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 99999\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip",
        HEAD + b"Content-Encoding: gzip, gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_an_answer_that_breaks_off_or_cannot_be_decoded_is_asked_for_again(answer):
    """A server that dies while it answers must not end the run."""
    sent = []

    def break_off(handler):
        sent.append(answer if not sent else HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(good), good))
        handler.wfile.write(sent[-1])
        handler.close_connection = True

    good = GOOD[1].encode()
    server = Raw(body=MODELS, post_raw=break_off)
    engine = OpenAIEngine([server.url], give_up_after_s=30)
    assert (await engine.complete(PROMPT, SAMPLING)).n_completion_tokens == 3
    assert len(sent) == 2
    await engine.close()
    server.close()


@pytest.mark.parametrize("n_bytes", [1000, 1 << 18])
async def test_of_a_refusal_without_end_the_beginning_is_read(n_bytes):
    def refuse(handler):
        handler.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nno such model ")
        for _ in range(1 << 30 if n_bytes > MAX_REFUSAL_BYTES else 1):
            handler.wfile.write(b" " * n_bytes)

    server = Raw(body=MODELS, post_raw=refuse)
    engine = OpenAIEngine([server.url], give_up_after_s=30)
    with pytest.raises(RequestRefusedError, match="no such model") as raised:
        await engine.complete(PROMPT, SAMPLING)
    assert len(str(raised.value)) < 2 * MAX_REFUSAL_BYTES
    await engine.close()
    server.close()


def flood(handler):
    while True:
        handler.wfile.write(b" " * 100_000)


def trickle(handler):
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize(("get", "message"), [(flood, "longer than 1,000"), (trickle, "not complete")])
def test_a_list_of_models_without_end_is_given_up(monkeypatch, get, message):
    monkeypatch.setattr(served_models, "MAX_BYTES", 1000)
    monkeypatch.setattr(served_models, "TIMEOUT_S", 0.3)
    server = Raw(get=get)
    with pytest.raises(EngineError, match=message):
        OpenAIEngine([server.url], give_up_after_s=0.5)
    server.close()


async def test_metrics_without_end_are_no_metrics(monkeypatch):
    monkeypatch.setattr(server_load, "MAX_BYTES", 1000)
    server = Raw(get=flood)
    load = server_load.ServerLoad(server.url, "none")
    await load._read_metrics()
    assert load.value is None
    await load.close()
    server.close()
