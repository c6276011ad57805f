"""Work on a sequence in order, and begin the next items early while nothing else needs the engine."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def work_ahead(
    items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, R]], spare_slot: Callable[[], Awaitable[None]] | None
) -> AsyncGenerator[R, None]:
    """Yield what `work` returns for each item, in order.

    An item is begun when the one before it is done, and before that whenever `spare_slot` returns. Close the generator
    (`contextlib.aclosing`) to cancel what was begun and is no longer wanted.
    """
    left = deque(items)
    begun: deque[asyncio.Task[R]] = deque()
    spare: asyncio.Future[None] | None = None
    try:
        while left or begun:
            if not begun:
                begun.append(asyncio.create_task(work(left.popleft())))
            if left and spare_slot and not spare:
                spare = asyncio.ensure_future(spare_slot())
            elif spare and not left:
                spare.cancel()  # nothing would be sent in it
                await asyncio.gather(spare, return_exceptions=True)
                spare = None
            awaited: list[asyncio.Future[Any]] = [begun[0]] + ([spare] if spare else [])
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if spare and spare.done():
                spare.result()
                spare = None
                begun.append(asyncio.create_task(work(left.popleft())))
            if begun[0].done():
                yield begun.popleft().result()
    finally:
        unwanted: list[asyncio.Future[Any]] = [*begun] + ([spare] if spare else [])
        for each in unwanted:
            each.cancel()
        await asyncio.gather(*unwanted, return_exceptions=True)
