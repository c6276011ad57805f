"""Cancel a run even when nobody is left who would: it asks the server itself whether it is to stop.

Cancel in the UI is carried out by the process that started the run. It may be gone (a worker that was killed), it may
have stopped listening (Prefect's gives up after a few seconds without a server), and a run from the command line has
none. Prefect then shows the run as cancelled while it goes on writing.
"""

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

from prefect import get_client, get_run_logger
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.states import Cancelled

POLL_S = 5.0
# The process that started the run comes first: it also runs the hooks.
GRACE_S = 5.0

P = ParamSpec("P")
T = TypeVar("T")


def cancellable(body: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """For the function of a flow that ends on SIGTERM, as within `graceful_stop`."""

    @functools.wraps(body)
    async def watched(*arguments: P.args, **options: P.kwargs) -> T:
        if flow_run.parent_flow_run_id:  # the run that called it watches
            return await body(*arguments, **options)
        watcher = asyncio.create_task(_stop_when_cancelled())
        try:
            return await body(*arguments, **options)
        except TerminationSignal:
            if watcher.done():
                return cast(T, Cancelled(message="Cancelled; finished work is kept, and Retry resumes it."))
            raise
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    return watched


async def _stop_when_cancelled() -> None:
    """Return once this run is to be cancelled and its process has been told."""
    while not await _is_cancelled():  # noqa: ASYNC110  the server is asked
        await asyncio.sleep(POLL_S)
    await asyncio.sleep(GRACE_S)
    get_run_logger().info("cancelled in the UI: stopping")
    os.kill(os.getpid(), signal.SIGTERM)


async def _is_cancelled() -> bool:
    try:
        async with get_client() as client:
            state = (await client.read_flow_run(flow_run.id)).state
    except Exception:  # a server that is away, or a run that was deleted, must not stop the work
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())
