"""Outages of the Prefect server and of its database: one policy for all requests of a process.

A request that the server does not answer is sent again until it does, for at most MAX_OUTAGE_S, and one line says so.
Prefect's own client gives up at once on an answer of 500, which is what a server sends while its database restarts. On
all else it pauses for ever longer, request by request: a run whose server had gone hung for twenty minutes after its
last commit. Here all requests share one clock, so that an outage costs its limit once.

Task runs reach the server as events over a websocket, whose client tries for seven seconds and sends what it has kept
only together with a later event: parts that ended in an outage stayed Running, or were not there at all, if no part
ended after it. So it asks for the server by a request, which waits as all others do, before it connects.
"""

import asyncio
import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import httpx
from prefect import get_client
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.events.clients import PrefectEventsClient

MAX_OUTAGE_S = 480.0
PAUSE_S = 2.0
# Shorter ones, such as two writers meeting in SQLite, are not worth a line.
SILENT_S = 4.0
# What servers, and proxies in front of them, answer when something behind them is away.
AWAY = frozenset({500, 502, 503, 504})

# They report whatever ends a run, or an event's delivery, with a traceback. A server that is away has its line already.
_REPORTS = ("prefect.flow_runs", "prefect.task_runs", "prefect._internal.concurrency")

Outcome = httpx.Response | httpx.TransportError | None
Exchange = Generator[httpx.Request | float, Outcome, httpx.Response]


class ServerAwayError(RuntimeError):
    """The Prefect server did not answer for MAX_OUTAGE_S."""


class Outage:
    """The outage in progress, if there is one, as seen by all clients of this process."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._since: float | None = None
        self._said = False

    def answered(self) -> None:
        """The server has answered."""
        with self._lock:
            since, said = self._since, self._said
            self._since, self._said = None, False
        if since is not None and said:
            self._say(f"the Prefect server answers again, after {time.monotonic() - since:,.0f} s")

    def failed(self, url: str, reason: str, since: float) -> None:
        """The server has not answered a request that was first sent at `since`.

        Raises:
            ServerAwayError: it has been away for longer than anything waits.
        """
        now = time.monotonic()
        with self._lock:
            self._since = min(self._since or since, since)
            seconds = now - self._since
            say = not self._said and seconds >= SILENT_S
            self._said = self._said or say
        if seconds >= MAX_OUTAGE_S:
            # Else Prefect's log handler prints an error for all lines that can no longer be sent.
            logging.raiseExceptions = False
            raise ServerAwayError(f"the Prefect server at {url} has not answered for {seconds / 60:.0f} minutes")
        if say:
            limit = f"{MAX_OUTAGE_S / 60:.0f} minutes at most"
            self._say(f"the Prefect server at {url} does not answer ({reason}): waiting for it, {limit}")


def wait_for_outages(say: Callable[[str], None]) -> None:
    """Apply the policy to all Prefect clients of this process. The server must have answered before.

    Args:
        say: shows a line to the user; called from any thread.
    """
    outage = Outage(say)
    # Prefect opens its clients in many places and has no setting for this, hence the method that all of them share.
    for client, patient in (PrefectHttpxAsyncClient, _patient_async), (PrefectHttpxSyncClient, _patient_sync):
        client._send_with_retry = patient(_original(client._send_with_retry), outage)  # type: ignore[method-assign]
    PrefectEventsClient._reconnect = _after_a_request(_original(PrefectEventsClient._reconnect))  # type: ignore[method-assign]

    for name in _REPORTS:
        logging.getLogger(name).addFilter(_is_not_about_the_server)


def _is_not_about_the_server(record: logging.LogRecord) -> bool:
    return not isinstance(sys.exception(), ServerAwayError)


def _original(method: Any) -> Any:
    return getattr(method, "__wrapped__", method)


def _exchange(outage: Outage, request: httpx.Request, ready: httpx.Request) -> Exchange:
    """Yield what to send, or the seconds to pause, until there is an answer; `ready` asks whether all is well."""
    since = time.monotonic()
    asked_again = False
    while True:
        answer = yield request
        if isinstance(answer, httpx.Response):
            if answer.status_code not in AWAY:
                outage.answered()
                return answer
            # If only this request fails, it is no outage. But the server may have come back just now: ask twice.
            is_ready = yield ready
            if isinstance(is_ready, httpx.Response) and is_ready.is_success:
                if asked_again:
                    return answer
                asked_again = True
                continue
            reason = f"error {answer.status_code}"
        else:
            reason = f"{answer}" or type(answer).__name__
        outage.failed(f"{request.url.scheme}://{request.url.netloc.decode()}", reason, since)
        yield PAUSE_S


def _patient_async(send_with_retry: Any, outage: Outage) -> Any:
    @functools.wraps(send_with_retry)
    async def patient(
        self: PrefectHttpxAsyncClient, request: httpx.Request, send: Any, *arguments: Any, **options: Any
    ) -> httpx.Response:
        async def until_answered(request: httpx.Request, *send_arguments: Any, **send_options: Any) -> httpx.Response:
            exchange = _exchange(outage, request, self.build_request("GET", "/ready"))
            outcome: Outcome = None
            while True:
                try:
                    step = exchange.send(outcome)
                except StopIteration as ended:
                    return ended.value
                outcome = None
                if isinstance(step, float):
                    await asyncio.sleep(step)
                    continue
                try:
                    outcome = await send(step, *send_arguments, **send_options)
                except httpx.TransportError as error:
                    outcome = error

        return await send_with_retry(self, request, until_answered, *arguments, **options)

    return patient


def _patient_sync(send_with_retry: Any, outage: Outage) -> Any:
    @functools.wraps(send_with_retry)
    def patient(
        self: PrefectHttpxSyncClient, request: httpx.Request, send: Any, *arguments: Any, **options: Any
    ) -> httpx.Response:
        def until_answered(request: httpx.Request, *send_arguments: Any, **send_options: Any) -> httpx.Response:
            exchange = _exchange(outage, request, self.build_request("GET", "/ready"))
            outcome: Outcome = None
            while True:
                try:
                    step = exchange.send(outcome)
                except StopIteration as ended:
                    return ended.value
                outcome = None
                if isinstance(step, float):
                    time.sleep(step)
                    continue
                try:
                    outcome = send(step, *send_arguments, **send_options)
                except httpx.TransportError as error:
                    outcome = error

        return send_with_retry(self, request, until_answered, *arguments, **options)

    return patient


def _after_a_request(reconnect: Any) -> Any:
    @functools.wraps(reconnect)
    async def patient(self: PrefectEventsClient) -> None:
        async with get_client() as client:
            await client.hello()
        await reconnect(self)

    return patient
