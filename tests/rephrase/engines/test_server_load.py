"""The metrics of a vLLM server are parsed, and a server without metrics is not queried again."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import rephrase.engines.server_load
from rephrase.engines.engine import EngineLoad
from rephrase.engines.server_load import ServerLoad, parse_load

METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 32.0
vllm:num_requests_running{engine="1",model_name="m"} 30.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 5.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 5.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="m"} 3.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 7.0
process_cpu_seconds_total 58.6
"""
LOAD = EngineLoad(n_running=62, n_waiting=5, kv_cache_use=0.5, n_overloads=3)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (METRICS, LOAD),
        ("", None),
        ('{"data": []}', None),
        ("process_cpu_seconds_total 58.6\n", None),
        ('vllm:num_requests_running{engine="0" 32.0\n', None),
        ("vllm:num_requests_running 4\n", None),
        ("vllm:num_requests_running NaN\nvllm:num_requests_waiting 1\n", None),
        ("vllm:num_requests_running 4\nvllm:num_requests_waiting +Inf\n", None),
        ("vllm:num_requests_running 4\nvllm:num_requests_waiting 1\n", EngineLoad(n_running=4, n_waiting=1)),
    ],
)
def test_a_page_of_metrics(page, expected):
    assert parse_load(page) == expected


class Pages:
    """Serves (status, text), which tests may change, and counts the requests."""

    def __init__(self, status, text):
        self.status, self.text, self.paths = status, text, []
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                pages.paths.append(self.path)
                data = pages.text.encode()
                self.send_response(pages.status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_): ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


async def told(load):
    load.refresh()
    await load._query
    return load.value


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setattr(rephrase.engines.server_load, "REFRESH_S", 0.0)
    servers = []

    def start(status, text):
        servers.append(Pages(status, text))
        return servers[-1], ServerLoad(f"http://127.0.0.1:{servers[-1].server.server_port}/v1/", "key")

    yield start
    for pages in servers:
        pages.server.shutdown()
        pages.server.server_close()


async def test_metrics_are_read_outside_the_v1_path_and_followed(serve):
    pages, load = serve(200, METRICS)
    assert load.value is None
    assert await told(load) == LOAD
    assert load.n_preemptions == 0  # whatever the server counted before
    pages.text = METRICS.replace(" 30.0", " 2.0").replace(" 3.0", " 8.0")
    assert (await told(load)).n_running == 34
    assert load.n_preemptions == 5
    pages.status = 503
    assert await told(load) is None
    pages.status, pages.text = 200, pages.text.replace(" 8.0", " 1.0")  # the server was restarted
    assert (await told(load)).n_running == 34
    assert load.n_preemptions == 5
    assert pages.paths == ["/metrics"] * 4
    await load.close()


@pytest.mark.parametrize(("status", "text"), [(404, "not found"), (200, '{"data": []}'), (401, "who are you?")])
async def test_a_server_without_metrics_is_queried_once(serve, status, text):
    pages, load = serve(status, text)
    for _ in range(3):
        assert await told(load) is None
    assert len(pages.paths) == 1
    await load.close()


async def test_it_is_not_queried_again_at_once_nor_during_a_query(serve, monkeypatch):
    monkeypatch.setattr(rephrase.engines.server_load, "REFRESH_S", 60.0)
    pages, load = serve(200, METRICS)
    for _ in range(5):
        load.refresh()
        await asyncio.sleep(0)
    await load._query
    assert await told(load) == LOAD
    assert len(pages.paths) == 1
    await load.close()


async def test_a_server_that_is_down_has_an_unknown_load(serve):
    load = ServerLoad("http://127.0.0.1:9/v1", "key")
    assert await told(load) is None
    await load.close()
