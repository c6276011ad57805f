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
ROUNDS_PER_CHUNK = 1.5
# The next part is read when fewer chains than this for each request are left to begin.
READ_AHEAD_PER_REQUEST = 2


class ChainNotStartedError(Exception):
    """The run ends before this chain could begin."""


@dataclass(slots=True, eq=False)
class DocumentState:
    """Whether any variant of a document has begun: then all of them are finished before a run stops."""

    started: bool = False


@dataclass(slots=True, eq=False)
class SchedulingSlot:
    """The place of one chain in the schedule. `n_left` chunks are still to be written."""

    due: float
    n_left: int
    document: DocumentState = field(default_factory=DocumentState)
    in_progress: bool = False
    engine_s: float = 0.0
    admitted: bool = False  # it has begun and its first request need not wait

    @property
    def latest_start(self) -> float:
        return self.due - ROUNDS_PER_CHUNK * self.n_left


_Waiting = list[tuple[float, int, SchedulingSlot, "asyncio.Future[None]"]]


class Scheduler:
    """Shares one engine among the chains of all open parts."""

    def __init__(
        self,
        engine: Engine,
        *,
        may_start_chain: Callable[[int], bool] = lambda n_chunks: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`may_start_chain` is told how many chunks are open, and says whether a further chain may begin."""
        self.limit = ConcurrencyLimit(engine.info.max_in_flight, engine.info.initial_in_flight)
        self.closed = False
        self.n_in_flight = 0  # requests at the engine
        self.n_chains_in_progress = 0
        self.n_chains_to_start = 0
        self.n_chunks_open = 0  # of the chains under way
        self.engine_s = 0.0  # in which it had something to do
        self._engine = engine
        self._load = engine.load if isinstance(engine, ReportsLoad) else None
        self._may_start_chain = may_start_chain
        self._clock = clock
        self._due = 0.0
        self._sequence = itertools.count()
        self._waiting_in_progress: _Waiting = []
        self._waiting_to_start: _Waiting = []
        self._part_needed = asyncio.Event()
        self._opened: weakref.WeakValueDictionary[int, asyncio.Event] = weakref.WeakValueDictionary()
        # Time since the start, each moment divided by the requests that shared it: see `_advance`.
        self._share_s = 0.0
        self._advanced_at = clock()

    @property
    def engine_load(self) -> EngineLoad:
        """What the engine tells of itself; nothing but zeros where it does not."""
        return self._load() if self._load else EngineLoad()

    def register_part(self, n_chunks: int) -> float:
        """Hand in the chunks of a part; when they are due."""
        self._due += n_chunks / self.limit.value
        return self._due

    def part_opened(self, part: int) -> asyncio.Event:
        """Set when a part is read and its chains wait in line: then the next part may be read.

        It lives for as long as somebody waits for it.
        """
        return self._opened.setdefault(part, asyncio.Event())

    async def wait_until_part_needed(self) -> None:
        """Wait until so few chains are left to begin that the next part should be read. Returns at once when closed."""
        await self._part_needed.wait()

    async def run_chain(self, slot: SchedulingSlot, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for the chain's turn to begin, then do its work, which asks by way of a ScheduledEngine.

        Raises:
            ChainNotStartedError: the scheduler was closed first.
        """
        if self.closed and not slot.document.started:
            raise ChainNotStartedError
        self.n_chains_to_start += 1
        try:
            await self._wait(self._waiting_to_start, slot)
        finally:
            self.n_chains_to_start -= 1
            self._dispatch()
        try:
            return await work()
        finally:
            self.n_chains_in_progress -= 1
            self.n_chunks_open -= slot.n_left
            slot.in_progress = False
            if slot.admitted:
                self._release(slot)
            self._dispatch()

    def set_chunks_left(self, slot: SchedulingSlot, n_left: int) -> None:
        """A chain under way has `n_left` chunks to go."""
        self.n_chunks_open += n_left - slot.n_left
        slot.n_left = n_left

    async def complete(self, slot: SchedulingSlot, prompt: Prompt, sampling: Sampling) -> Completion:
        """One request of a chain under way, when it is its slot."""
        if not slot.admitted:
            await self._wait(self._waiting_in_progress, slot)
        began = self._advance()
        completion = None
        try:
            completion = await self._engine.complete(prompt, sampling)
            return completion
        finally:
            slot.engine_s += self._advance() - began
            if self._load:
                n_tokens = completion.n_completion_tokens if completion else 0
                at_limit = self.n_in_flight >= self.limit.value
                self.limit.record_answer(self._load(), n_tokens, self._advanced_at, at_limit)
            self._release(slot)
            self._dispatch()

    def close(self) -> None:
        """Let what has begun come to its end, and begin nothing more."""
        self.closed = True
        waiting, self._waiting_to_start = self._waiting_to_start, []
        for item in waiting:
            _, _, slot, future = item
            if slot.document.started:
                heapq.heappush(self._waiting_to_start, item)
            elif not future.done():
                future.set_exception(ChainNotStartedError())
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
                if line is self._waiting_to_start:
                    self.n_chains_in_progress -= 1
                    self.n_chunks_open -= slot.n_left
                self._release(slot)
                self._dispatch()
            raise

    def _dispatch(self) -> None:
        """Give free slots to those whose turn it is."""
        while self.n_in_flight < self.limit.value:
            if slot := self._next(self._waiting_in_progress):
                self._take(slot)
            elif self._another_chain_may_start() and (slot := self._next(self._waiting_to_start)):
                self._take(slot)
                self.n_chains_in_progress += 1
                self.n_chunks_open += slot.n_left
                slot.in_progress = slot.document.started = True
            else:
                break
        if not self.closed and not self.n_chains_in_progress and self._waiting_to_start and not self._may_start_chain(0):
            self.close()
        if self.closed or self.n_chains_to_start <= READ_AHEAD_PER_REQUEST * self.limit.value:
            self._part_needed.set()
        else:
            self._part_needed.clear()

    def _another_chain_may_start(self) -> bool:
        if self.n_chains_in_progress >= CHAINS_PER_REQUEST * self.limit.value:
            return False
        return self.closed or self._may_start_chain(self.n_chunks_open)

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
        self.n_in_flight += 1
        slot.admitted = True

    def _release(self, slot: SchedulingSlot) -> None:
        self._advance()
        self.n_in_flight -= 1
        slot.admitted = False

    def _advance(self) -> float:
        """Go on with the clock that shares each moment among the requests at the engine, and read it.

        The difference between two readings is the engine's time for one request between them: over all requests, they
        add up to the time in which the engine had something to do.
        """
        now = self._clock()
        if self.n_in_flight:
            self._share_s += (now - self._advanced_at) / self.n_in_flight
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
        return await self._scheduler.complete(self._slot, prompt, sampling)

    async def close(self) -> None:
        """The engine is shared: whoever opened it closes it."""


class _HasIndex(Protocol):
    @property
    def index(self) -> int: ...


P = TypeVar("P", bound=_HasIndex)


async def run_parts(parts: Iterable[P], run: Callable[[P], Coroutine[Any, Any, None]], scheduler: Scheduler) -> None:
    """Run all parts; each begins, which is to read it, as soon as few chains of those before it are left to begin.

    `run` sets `scheduler.part_opened` of its part. Ends early when the scheduler is closed.
    """
    async with asyncio.TaskGroup() as group:
        for part in parts:
            opened = scheduler.part_opened(part.index)
            running = group.create_task(run(part))
            waiting = asyncio.ensure_future(opened.wait())
            await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            await scheduler.wait_until_part_needed()
            if scheduler.closed:
                break
