"""Which chain goes next.

Each document is a chain: a chunk needs the rewrite of the one before it, so the engine is kept full by many documents
at once. Whenever a request ends, the next one is chosen:

1. of the chains under way and not waiting for the engine or for a check, the one with most chunks left;
2. if there is none, a new chain begins, again the longest first, over all parts that are open.

A part is due when the engine could have done all that was handed in up to it, and a chain must go on by the time it is
due less what its chunks will take. Smallest first: among the chains of one part, and of parts that are near, this is
the longest remaining chain first, and a short chain of an old part is not passed over for ever.

    part 0 of 80 chunks, part 1 of 40, 10 requests at once: due after 8 and after 12 turns of the engine
    part 0: a chain of 2 chunks -> 8 - 3 = 5      part 1: a chain of 6 chunks -> 12 - 9 = 3, which goes first

Nothing polls: a decision is made when something ends or is handed in, and costs O(log n) of the chains that wait.
"""

import asyncio
import heapq
import itertools
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from rephrase.engines.concurrency_limit import ConcurrencyLimit
from rephrase.engines.engine import Engine, EngineInfo, EngineLoad, ReportsLoad
from rephrase.records import Completion, Prompt, Sampling

T = TypeVar("T")

# Chains under way for each request: while some wait for their check, others keep the engine full. When checks are so
# slow that all wait for them, no more begin.
CHAINS_PER_REQUEST = 2
# A chunk of a chain takes longer than one turn of the engine: it waits for its check and its place, and is tried again.
TURNS_PER_CHUNK = 1.5
# The next part is read when fewer chains than this for each request are left to begin.
AHEAD = 2


class NotBegunError(Exception):
    """The run ends before this chain could begin."""


@dataclass(slots=True, eq=False)
class DocumentSlot:
    """Whether any variant of a document has begun: then all of them are finished before a run stops."""

    begun: bool = False


@dataclass(slots=True, eq=False)
class SchedulingSlot:
    """The place of one chain in the schedule. `n_left` chunks are still to be written."""

    due: float
    n_left: int
    document: DocumentSlot = field(default_factory=DocumentSlot)
    under_way: bool = False
    engine_s: float = 0.0
    admitted: bool = False  # it has begun and its first request need not wait

    @property
    def latest_start(self) -> float:
        return self.due - TURNS_PER_CHUNK * self.n_left


_Waiting = list[tuple[float, int, SchedulingSlot, "asyncio.Future[None]"]]


class Scheduler:
    """Shares one engine among the chains of all open parts."""

    def __init__(
        self,
        engine: Engine,
        *,
        may_begin: Callable[[int], bool] = lambda n_chunks: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`may_begin` is told how many chunks are open, and says whether a further chain may begin."""
        self.limit = ConcurrencyLimit(engine.info.max_in_flight, engine.info.first_in_flight)
        self.closed = False
        self.n_busy = 0  # requests at the engine
        self.n_under_way = 0  # chains
        self.n_to_begin = 0  # chains
        self.n_chunks_open = 0  # of the chains under way
        self.engine_s = 0.0  # in which it had something to do
        self._engine = engine
        self._load = engine.load if isinstance(engine, ReportsLoad) else None
        self._may_begin = may_begin
        self._clock = clock
        self._due = 0.0
        self._sequence = itertools.count()
        self._going_on: _Waiting = []
        self._beginning: _Waiting = []
        self._room = asyncio.Event()
        self._opened: weakref.WeakValueDictionary[int, asyncio.Event] = weakref.WeakValueDictionary()
        # Time since the start, each moment divided by the requests that shared it: see `_advance`.
        self._share_s = 0.0
        self._advanced_at = clock()

    @property
    def engine_load(self) -> EngineLoad:
        """What the engine tells of itself; nothing but zeros where it does not."""
        return self._load() if self._load else EngineLoad()

    def due(self, n_chunks: int) -> float:
        """Hand in the chunks of a part; when they are due."""
        self._due += n_chunks / self.limit.value
        return self._due

    def opened(self, part: int) -> asyncio.Event:
        """Set when a part is read and its chains wait in line: then the next part may be read.

        It lives for as long as somebody waits for it.
        """
        return self._opened.setdefault(part, asyncio.Event())

    async def room(self) -> None:
        """Wait until so few chains are left to begin that the next part should be read. Returns at once when closed."""
        await self._room.wait()

    async def run_chain(self, slot: SchedulingSlot, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for the chain's turn to begin, then do its work, which asks by way of a ScheduledEngine.

        Raises:
            NotBegunError: the scheduler was closed first.
        """
        if self.closed and not slot.document.begun:
            raise NotBegunError
        self.n_to_begin += 1
        try:
            await self._wait(self._beginning, slot)
        finally:
            self.n_to_begin -= 1
            self._dispatch()
        try:
            return await work()
        finally:
            self.n_under_way -= 1
            self.n_chunks_open -= slot.n_left
            slot.under_way = False
            if slot.admitted:
                self._release(slot)
            self._dispatch()

    def chunks_left(self, slot: SchedulingSlot, n_left: int) -> None:
        """A chain under way has `n_left` chunks to go."""
        self.n_chunks_open += n_left - slot.n_left
        slot.n_left = n_left

    async def ask(self, slot: SchedulingSlot, prompt: Prompt, sampling: Sampling) -> Completion:
        """One request of a chain under way, when it is its slot."""
        if not slot.admitted:
            await self._wait(self._going_on, slot)
        began = self._advance()
        completion = None
        try:
            completion = await self._engine.complete(prompt, sampling)
            return completion
        finally:
            slot.engine_s += self._advance() - began
            if self._load:
                n_tokens = completion.n_completion_tokens if completion else 0
                all_taken = self.n_busy >= self.limit.value
                self.limit.answered(self._load(), n_tokens, self._advanced_at, all_taken)
            self._release(slot)
            self._dispatch()

    def close(self) -> None:
        """Let what has begun come to its end, and begin nothing more."""
        self.closed = True
        waiting, self._beginning = self._beginning, []
        for item in waiting:
            _, _, slot, future = item
            if slot.document.begun:
                heapq.heappush(self._beginning, item)
            elif not future.done():
                future.set_exception(NotBegunError())
        self._dispatch()

    def reopen(self) -> None:
        """Chains may be handed in again."""
        self.closed = False
        self._dispatch()

    async def _wait(self, line: _Waiting, slot: SchedulingSlot) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(line, (slot.latest_start, next(self._sequence), slot, future))
        self._dispatch()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # given in the same moment: give it back
                if line is self._beginning:
                    self.n_under_way -= 1
                    self.n_chunks_open -= slot.n_left
                self._release(slot)
                self._dispatch()
            raise

    def _dispatch(self) -> None:
        """Give free slots to those whose turn it is."""
        while self.n_busy < self.limit.value:
            if slot := self._next(self._going_on):
                self._take(slot)
            elif self._another_may_begin() and (slot := self._next(self._beginning)):
                self._take(slot)
                self.n_under_way += 1
                self.n_chunks_open += slot.n_left
                slot.under_way = slot.document.begun = True
            else:
                break
        if not self.closed and not self.n_under_way and self._beginning and not self._may_begin(0):
            self.close()
        if self.closed or self.n_to_begin <= AHEAD * self.limit.value:
            self._room.set()
        else:
            self._room.clear()

    def _another_may_begin(self) -> bool:
        if self.n_under_way >= CHAINS_PER_REQUEST * self.limit.value:
            return False
        return self.closed or self._may_begin(self.n_chunks_open)

    @staticmethod
    def _next(line: _Waiting) -> SchedulingSlot | None:
        while line:
            _, _, slot, future = heapq.heappop(line)
            if not future.done():  # else it was cancelled
                future.set_result(None)
                return slot
        return None

    def _take(self, slot: SchedulingSlot) -> None:
        self._advance()
        self.n_busy += 1
        slot.admitted = True

    def _release(self, slot: SchedulingSlot) -> None:
        self._advance()
        self.n_busy -= 1
        slot.admitted = False

    def _advance(self) -> float:
        """Go on with the clock that shares each moment among the requests at the engine, and read it.

        The difference between two readings is the engine's time for one request between them: over all requests, they
        add up to the time in which the engine had something to do.
        """
        now = self._clock()
        if self.n_busy:
            self._share_s += (now - self._advanced_at) / self.n_busy
            self.engine_s += now - self._advanced_at
        self._advanced_at = now
        return self._share_s


class ScheduledEngine:
    """The engine as one chain sees it: each request waits for the chain's slot."""

    def __init__(self, info: EngineInfo, scheduler: Scheduler, slot: SchedulingSlot) -> None:
        self.info = info
        self._scheduler = scheduler
        self._slot = slot

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        return await self._scheduler.ask(self._slot, prompt, sampling)

    async def close(self) -> None:
        """The engine is shared: whoever opened it closes it."""


class _HasIndex(Protocol):
    @property
    def index(self) -> int: ...


P = TypeVar("P", bound=_HasIndex)


async def run_parts(parts: Iterable[P], run: Callable[[P], Coroutine[Any, Any, None]], scheduler: Scheduler) -> None:
    """Run all parts; each begins, which is to read it, as soon as few chains of those before it are left to begin.

    `run` sets `scheduler.opened` of its part. Ends early when the scheduler is closed.
    """
    async with asyncio.TaskGroup() as group:
        for part in parts:
            opened = scheduler.opened(part.index)
            running = group.create_task(run(part))
            waiting = asyncio.ensure_future(opened.wait())
            await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            await scheduler.room()
            if scheduler.closed:
                break
