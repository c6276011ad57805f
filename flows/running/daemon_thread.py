"""Wait for something in a thread that a stopped run need not wait for."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_daemon_thread(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call a function in a daemon thread. If the caller is cancelled meanwhile, the thread is left to itself.

    With `asyncio.to_thread`, neither the end of the event loop nor that of the process comes before the function has
    returned: after Ctrl-C, a run would still wait minutes for a server that is not there.
    """
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    outcome.set_running_or_notify_cancel()  # so that a cancelled caller does not take the place of the outcome

    def call() -> None:
        try:
            outcome.set_result(function(*arguments, **options))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=call, name=getattr(function, "__name__", None), daemon=True).start()
    return await asyncio.wrap_future(outcome)
