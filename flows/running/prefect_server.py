"""A Prefect server that ends with the command that started it.

`prefect_api` is for a run from the command line without a configured server, `prefect_server` for `palimpsest serve`.
The server that Prefect starts by itself outlives a `kill -9` of the run (it ran until killed by hand) and keeps the
run's output open. This one reads a pipe from its parent, which closes however the parent ends. All of them write to the
same database below PREFECT_HOME. Both ask for a password, so that no other user of the machine can start runs.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from flows.running.own_pages import OwnPagesOnly

if TYPE_CHECKING:
    import uvicorn

READY = "serving "
DRAIN_TIMEOUT_S = 20.0
READY_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 3  # for open pages of the UI
HOST = "127.0.0.1"
SERVER_PASSWORD = "PREFECT_SERVER_API_AUTH_STRING"


@contextlib.contextmanager
def prefect_api() -> Iterator[str]:
    """The URL of the configured Prefect API, or of one that lives as long as this context.

    Raises:
        RuntimeError: the server does not start, or the configured one cannot be used, see `check_server`.
    """
    from prefect.events.worker import EventsWorker
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    from flows.running.server_password import new_password

    if configured := PREFECT_API_URL.value():
        check_server(configured)
        yield configured
        return
    password = new_password()
    with (
        _child([], {SERVER_PASSWORD: password}) as url,
        temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: password}),
    ):
        try:
            yield url
        finally:
            # Task states are sent as events, which must arrive before the server stops.
            EventsWorker.drain_all(timeout=DRAIN_TIMEOUT_S)


def check_server(url: str) -> None:
    """
    Raises:
        RuntimeError: the server does not answer, or asks for another password than this process gives.
    """
    import httpx

    from flows.running.server_password import given_password

    try:
        httpx.get(f"{url}/ready", timeout=READY_TIMEOUT_S).raise_for_status()
        asked = httpx.get(f"{url}/admin/version", timeout=READY_TIMEOUT_S, auth=given_password())
    except httpx.HTTPError as error:
        raise RuntimeError(
            f"the Prefect server at {url} does not answer ({error}): start it, correct PREFECT_API_URL (it ends in "
            "/api), or unset it to have a server started"
        ) from error
    if asked.status_code == httpx.codes.UNAUTHORIZED:
        raise RuntimeError(
            f"the Prefect server at {url} asks for a password: set PREFECT_API_AUTH_STRING=user:password"
        )


@contextlib.contextmanager
def prefect_server(port: int, password: str | None) -> Iterator[str]:
    """The API URL of a full Prefect server, with scheduler and UI, on the loopback interface.

    Args:
        password: what it asks for, `user:password`; None: nothing.

    Raises:
        RuntimeError: the server does not start.
    """
    url = f"http://{HOST}:{port}/api"
    environment = {
        # The UI sends its requests here; by default it would use port 4200 and show errors.
        "PREFECT_UI_API_URL": url,
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        **({SERVER_PASSWORD: password} if password else {}),
    }
    with _child(["--with-ui", "--port", str(port)], environment) as url:
        yield url


@contextlib.contextmanager
def _child(arguments: list[str], environment: Mapping[str, str]) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.running.prefect_server", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        # Ctrl-C in a terminal reaches the whole process group, but a stopping run still reports to this server.
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        line = next((line for line in process.stdout if line.startswith(READY)), "")
        if not line:
            raise RuntimeError(
                f"Prefect's server did not start (exit code {process.wait()}); see its message above. "
                "Another server can be set in PREFECT_API_URL."
            )
        yield line.removeprefix(READY).strip()
    finally:
        process.stdin.close()
        process.wait()


async def serve(port: int, with_ui: bool) -> None:
    """Serve Prefect's API on the loopback interface, on a free port if `port` is 0, and print its URL."""
    import uvicorn
    from prefect.server.api.server import create_app

    app = OwnPagesOnly(create_app(ephemeral=not with_ui))
    for handler in {handler for name in ("", "prefect", "docket") for handler in logging.getLogger(name).handlers}:
        handler.addFilter(_is_no_lock_conflict)
    server = uvicorn.Server(
        uvicorn.Config(app, host=HOST, port=port, log_level="error", timeout_graceful_shutdown=CLOSE_TIMEOUT_S)
    )
    threading.Thread(target=end_with_parent, args=(server,), daemon=True).start()
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.02)
    if server.started and not server.should_exit:  # the parent may have ended meanwhile
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"{READY}http://{HOST}:{port}/api", flush=True)
    await serving


def _is_no_lock_conflict(record: logging.LogRecord) -> bool:
    # With SQLite two writers may collide; the loser retries, and its traceback would fill the terminal.
    return "database is locked" not in f"{record.getMessage()}{record.exc_info and record.exc_info[1]}"


def end_with_parent(server: "uvicorn.Server") -> None:
    """Wait for the pipe to close, which is when the parent ends; let pending writes finish, but do not hang."""
    sys.stdin.read()
    server.should_exit = True
    time.sleep(DRAIN_TIMEOUT_S)
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--with-ui", action="store_true")
    asyncio.run(serve(**vars(parser.parse_args())))
