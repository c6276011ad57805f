"""Outages of the Prefect server: requests wait for it with one line, for a bounded time, and only for outages."""

import asyncio
import contextlib
import http.server
import itertools
import logging
import threading
import time

import fastapi
import httpx
import pytest
import uvicorn
from prefect.client.orchestration import get_client
from prefect.events import Event
from prefect.events.clients import PrefectEventsClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_RETRY_EXTRA_CODES, temporary_settings
from served import free_port

from flows.running import outages
from flows.running.outages import ServerAwayError, wait_for_outages


class Away(http.server.BaseHTTPRequestHandler):
    """A Prefect server that answers `status` to all but /ready, and there `ready`."""

    status, ready, paths = 200, 200, []

    def do_GET(self):
        self.paths.append(self.path)
        self.send_response(self.ready if self.path.endswith("/ready") else self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def no_retries_by_prefect(monkeypatch):
    """The command sets them for its process, and a test of it may have run in this one."""
    monkeypatch.delenv("PREFECT_CLIENT_RETRY_EXTRA_CODES", raising=False)
    with temporary_settings(restore_defaults={PREFECT_CLIENT_RETRY_EXTRA_CODES}):
        yield


class Clock:
    """In the place of `time`: each look at it takes a second. A synchronous client sleeps as ever, if shortly."""

    sleep = staticmethod(time.sleep)

    def __init__(self):
        self._seconds = itertools.count(1)

    def monotonic(self):
        return float(next(self._seconds))


@pytest.fixture
def said(monkeypatch):
    """What the policy says; an outage is announced at the second attempt, and given up after 200 seconds."""
    monkeypatch.setattr(outages, "time", Clock())
    monkeypatch.setattr(outages, "PAUSE_S", 0.05)
    monkeypatch.setattr(outages, "SILENT_S", 2.0)
    monkeypatch.setattr(outages, "MAX_OUTAGE_S", 200.0)
    # Prefect's transport connects three times more, with longer and longer pauses.
    for module in ("_async", "_sync"):
        monkeypatch.setattr(f"httpcore.{module}.connection.RETRIES_BACKOFF_FACTOR", 0.01)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    methods = [(client, "_send_with_retry") for client in httpx_clients()] + [(PrefectEventsClient, "_reconnect")]
    originals = [getattr(*method) for method in methods]
    lines = []
    wait_for_outages(lines.append)
    yield lines
    for method, original in zip(methods, originals, strict=True):
        setattr(*method, original)


def httpx_clients():
    return (outages.PrefectHttpxAsyncClient, outages.PrefectHttpxSyncClient)


@pytest.fixture
def port():
    port = free_port()
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
        yield port


def wait_until(said):
    while not said:
        time.sleep(0.01)


@pytest.fixture
def serve(port):
    """Start the server, at once or once something was said."""
    servers = []

    def start(once=("at once",), status=200, ready=200):
        def run():
            wait_until(once)
            handler = type("Handler", (Away,), {"status": status, "ready": ready, "paths": []})
            servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", port), handler))
            servers[-1].serve_forever(0.05)

        threading.Thread(target=run, daemon=True).start()
        return servers

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


async def test_a_request_waits_for_a_server_that_comes_back_and_says_so_once(serve, said):
    async with get_client() as client:
        serve(once=said)
        assert (await client._client.get("/logs")).json() == []
        assert (await client._client.get("/logs")).json() == []
    assert [line.split(" (")[0].split(",")[0] for line in said] == [
        f"the Prefect server at {str(client.api_url).removesuffix('/api/')} does not answer",
        "the Prefect server answers again",
    ]


def test_a_synchronous_client_waits_as_well(serve, said):
    with get_client(sync_client=True) as client:
        serve(once=said)
        assert client._client.get("/logs").json() == []
    assert len(said) == 2


async def test_a_database_that_is_away_is_an_outage_and_a_request_that_fails_is_none(serve, said):
    servers = serve(status=500, ready=503)
    while not servers:  # noqa: ASYNC110  a list has no event
        await asyncio.sleep(0.01)
    handler = servers[0].RequestHandlerClass

    def come_back():
        wait_until(said)
        handler.status = handler.ready = 200

    threading.Thread(target=come_back, daemon=True).start()
    async with get_client() as client:
        assert (await client._client.get("/logs")).json() == []
        assert "error 500" in said[0]
        handler.status = 500
        handler.paths.clear()
        with pytest.raises(PrefectHTTPStatusError):
            await client._client.get("/logs")
        assert len([path for path in handler.paths if path.endswith("/logs")]) <= 2  # it is repeated at most once
    assert len(said) == 2


async def test_all_requests_together_wait_no_longer_than_the_limit(port, said, monkeypatch):
    attempts, failed = [], outages.Outage.failed
    monkeypatch.setattr(outages, "MAX_OUTAGE_S", 3.0)
    monkeypatch.setattr(outages.Outage, "failed", lambda *seen: (attempts.append(seen), failed(*seen)))
    async with get_client() as client:
        for n_attempts in (3, 1):
            attempts.clear()
            with pytest.raises(ServerAwayError, match=f"at http://127.0.0.1:{port} has not answered"):
                await client._client.get("/logs")
            assert len(attempts) == n_attempts
    assert len(said) == 1
    assert not logging.raiseExceptions
    assert not isinstance(ServerAwayError(""), httpx.TransportError)  # Prefect's loops would count and repeat it


@pytest.mark.parametrize("name", ["prefect.flow_runs", "prefect.task_runs", "prefect._internal.concurrency"])
@pytest.mark.usefixtures("said")
def test_a_server_that_is_away_has_one_line_and_no_traceback(name):
    logger, shown = logging.getLogger(name), []
    for error in (ServerAwayError("away"), ValueError("wrong")):
        try:
            raise error
        except Exception:
            record = logger.makeRecord(name, logging.ERROR, "", 0, "Service failed to process item", (), None)
            shown.append(bool(logger.filter(record)))
    assert shown == [False, True]


@contextlib.asynccontextmanager
async def event_stream(port):
    """The events that arrive at a Prefect server on this port."""
    app, arrived = fastapi.FastAPI(), []

    @app.get("/api/{path:path}")
    def answer(path: str) -> str:
        return path

    @app.websocket("/api/events/in")
    async def events(websocket: fastapi.WebSocket) -> None:
        await websocket.accept("prefect")
        await websocket.receive_json()
        await websocket.send_json({"type": "auth_success"})
        async for event in websocket.iter_json():
            arrived.append(event["event"])

    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield arrived
    finally:
        server.should_exit = True
        await serving


async def test_states_of_tasks_wait_for_the_server_and_arrive(port, said):
    before, during = (Event(event=name, resource={"prefect.resource.id": "task"}) for name in ("before", "during"))
    async with contextlib.AsyncExitStack() as stack:
        async with event_stream(port):
            client = await stack.enter_async_context(PrefectEventsClient(reconnection_attempts=1))
            await client.emit(before)
        sending = asyncio.create_task(client.emit(during))
        while not said:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        async with event_stream(port) as arrived:
            await sending
            while "during" not in arrived:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert "before" in arrived  # the first server may have died with it
    assert len(said) == 2
