"""A Prefect API for a run from the command line, when no server is configured.

Prefect starts one by itself, but that one outlives a `kill -9` of the run (it stayed until killed by hand) and keeps
the run's output open. This one ends with the run: it reads a pipe from it, and the pipe ends however the run does. Both
write to the same database below PREFECT_HOME, so `prefect server start` shows the runs later.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn

READY = "serving "
DRAIN_TIMEOUT_S = 20.0


@contextlib.contextmanager
def prefect_api() -> Iterator[str]:
    """The URL of the configured Prefect API, or of one that lives as long as this context.

    Raises:
        RuntimeError: the server does not start.
    """
    from prefect.events.worker import EventsWorker
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if configured := PREFECT_API_URL.value():
        yield configured
        return
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.prefect_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C in a terminal reaches the whole group; a run that stops still has to report to this server.
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        line = next((line for line in process.stdout if line.startswith(READY)), "")
        if not line:
            raise RuntimeError(
                f"Prefect's API did not start (exit code {process.wait()}); its message stands above. "
                "Another one can be named in PREFECT_API_URL."
            )
        url = line.removeprefix(READY).strip()
        with temporary_settings({PREFECT_API_URL: url}):
            try:
                yield url
            finally:
                # The states of tasks travel as events, which must arrive before the server goes.
                EventsWorker.drain_all(timeout=DRAIN_TIMEOUT_S)
    finally:
        process.stdin.close()
        process.wait()


async def serve() -> None:
    """Serve Prefect's API on a free port of the loopback interface and say which."""
    import uvicorn
    from prefect.server.api.server import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(ephemeral=True), host="127.0.0.1", port=0, log_level="error"))
    threading.Thread(target=end_with_parent, args=(server,), daemon=True).start()
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.02)
    if server.started:
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"{READY}http://127.0.0.1:{port}/api", flush=True)
    await serving


def end_with_parent(server: "uvicorn.Server") -> None:
    """The pipe ends when the parent does. Let what has arrived be written, but do not hang on anything."""
    sys.stdin.read()
    server.should_exit = True
    time.sleep(DRAIN_TIMEOUT_S)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(serve())
