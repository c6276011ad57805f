"""Decide which chain sends the next request.

Each variant of a document is a chain: a chunk needs the rewrite of the one before it, unless no prompt shows that. So
it takes many chains at once to keep the engine full. Whenever a request ends, the next one is chosen:

1. among the started chains that have a request ready, the one with the earliest latest start (see below);
2. if there is none, a new chain starts, by the same rule over all open parts;
3. if none may start, the slot is spare: a chain may begin a passage before the one in front of it is done, where its
   prompt does not show that one (see `Recipe.shows_written`).

Time is counted in rounds of the engine: one round serves as many requests as may be in flight. A part is due when the
engine could have finished all chunks registered up to and including it. The latest start of a chain is the due time of
its part minus the rounds that its remaining chunks will take. Among chains of the same part or of neighbouring parts,
earliest latest start first means longest remaining chain first; and a short chain of an old part does not starve.

    part 0 of 80 chunks, part 1 of 40, 10 requests in flight: due after 8 and after 12 rounds of the engine
    part 0: a chain of 2 chunks -> 8 - 3 = 5      part 1: a chain of 6 chunks -> 12 - 9 = 3, which goes first

A slot is one request that may be in flight, and is idle while none is at the engine in its place: no chain has one
ready (checks are slow, the last chains end), or none is there to start (a part is read). The share of idle slots of a
run is its idle slot-seconds over all of them, from its first chain to its last commit.

    4 slots for 10 s, one request of 10 s and one of 2 s at the engine: 28 of 40 slot-seconds are idle, 70 %

Nothing polls: a decision is made when a request or chain ends or arrives, and costs O(log n) for n waiting chains.
"""

import asyncio
import contextlib
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

# Chains in progress per request in flight: while some wait for their check, others keep the engine full. When checks
# are so slow that all chains wait for them, no more are started.
CHAINS_PER_REQUEST = 2
# A chunk takes longer than one round of the engine: it waits for its check and for the engine, and may be retried.
ROUNDS_PER_CHUNK = 1.5
# The next part is read when at most this many chains per request in flight are left to start.
READ_AHEAD_PER_REQUEST = 2


class ChainNotStartedError(Exception):
    """The scheduler was closed before this chain could start."""


@dataclass(slots=True, eq=False)
class DocumentState:
    """Whether any variant of a document has started. If so, all its variants are finished before a run stops."""

    started: bool = False


@dataclass(slots=True, eq=False)
class SchedulingSlot:
    """The state of one chain in the schedule. `n_left` chunks are still to be written."""

    due: float
    n_left: int
    document: DocumentState = field(default_factory=DocumentState)
    in_progress: bool = False
    engine_s: float = 0.0
    n_admitted: int = 0  # requests that may be sent without waiting: the first one, and those in spare slots

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
        """
        Args:
            may_start_chain: given the number of open chunks, whether another chain may start.
        """
        self.limit = ConcurrencyLimit(engine.info.max_in_flight, engine.info.initial_in_flight)
        self.closed = False
        self.n_in_flight = 0  # requests admitted: at the engine, or about to be sent
        self.n_chains_in_progress = 0
        self.n_chains_to_start = 0
        self.n_chunks_open = 0  # of the chains in progress
        self.engine_s = 0.0  # seconds in which the engine was busy
        self._engine = engine
        self._load = engine.load if isinstance(engine, ReportsLoad) else None
        self._may_start_chain = may_start_chain
        self._clock = clock
        self._due = 0.0
        self._sequence = itertools.count()
        self._waiting_in_progress: _Waiting = []
        self._waiting_to_start: _Waiting = []
        self._waiting_for_spare: list[tuple[SchedulingSlot, asyncio.Future[None]]] = []
        self._part_needed = asyncio.Event()
        self._opened: weakref.WeakValueDictionary[int, asyncio.Event] = weakref.WeakValueDictionary()
        # Time since the start, each interval divided by the number of requests that shared it: see `_advance`.
        self._n_at_engine = 0
        self._share_s = 0.0
        self._has_begun = False
        self._slot_s = 0.0
        self._idle_slot_s = 0.0
        self._advanced_at = clock()

    @property
    def engine_load(self) -> EngineLoad:
        """The load the engine reports; all zeros for an engine that reports none."""
        return self._load() if self._load else EngineLoad()

    def register_part(self, n_chunks: int) -> float:
        """Register the chunks of a part and return the time, in rounds of the engine, at which they are due."""
        self._due += n_chunks / self.limit.value
        return self._due

    def part_opened(self, part: int) -> asyncio.Event:
        """The event that `run_part` sets once a part is read and its chains are queued: then the next part may be read.

        It is dropped when nobody holds it any more.
        """
        return self._opened.setdefault(part, asyncio.Event())

    async def wait_until_part_needed(self) -> None:
        """Wait until so few chains are left to start that the next part should be read. Returns at once when closed."""
        await self._part_needed.wait()

    async def run_chain(self, slot: SchedulingSlot, work: Callable[[], Awaitable[T]]) -> T:
        """Wait until the chain may start, then run `work`, which sends its requests through a ScheduledEngine.

        Raises:
            ChainNotStartedError: the scheduler was closed first.
        """
        if self.closed and not slot.document.started:
            raise ChainNotStartedError
        if not self._has_begun:
            self._advance()
            self._has_begun = True
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
            self.n_in_flight -= slot.n_admitted
            slot.n_admitted = 0
            self._dispatch()

    def set_chunks_left(self, slot: SchedulingSlot, n_left: int) -> None:
        """A chain in progress has `n_left` chunks still to write."""
        self.n_chunks_open += n_left - slot.n_left
        slot.n_left = n_left

    async def wait_for_spare_slot(self, slot: SchedulingSlot) -> None:
        """Wait until a request of this chain may be sent that nothing else needs to wait for.

        A chain is given one at a time: the next when it has sent a request in the last one.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting_for_spare.append((slot, future))
        self._dispatch()
        try:
            await future
        except asyncio.CancelledError:
            # Unless another request of the chain has taken its place.
            if future.done() and not future.cancelled() and slot.n_admitted:
                slot.n_admitted -= 1
                self.n_in_flight -= 1
                self._dispatch()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting_for_spare.remove((slot, future))

    async def complete(self, slot: SchedulingSlot, prompt: Prompt, sampling: Sampling) -> Completion:
        """Send one request of a chain in progress, once it is admitted; a chain may have several at once."""
        if slot.n_admitted:
            slot.n_admitted -= 1
            self._dispatch()  # it may be given a spare slot again
        else:
            await self._wait(self._waiting_in_progress, slot)
        began = self._advance()
        self._n_at_engine += 1
        completion = None
        try:
            completion = await self._engine.complete(prompt, sampling)
            return completion
        finally:
            slot.engine_s += self._advance() - began
            self._n_at_engine -= 1
            if self._load:
                n_tokens = completion.n_completion_tokens if completion else 0
                at_limit = self.n_in_flight >= self.limit.value
                self.limit.record_answer(self._load(), n_tokens, self._advanced_at, at_limit)
            self.n_in_flight -= 1
            self._dispatch()

    def take_slot_seconds(self) -> tuple[float, float]:
        """All slot-seconds since the last call, and the idle ones among them: each is in one commit only."""
        self._advance()
        taken = self._slot_s, self._idle_slot_s
        self._slot_s = self._idle_slot_s = 0.0
        return taken

    def close(self) -> None:
        """Start no more chains; those of documents that have started run to their end."""
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
        """Accept chains again."""
        self.closed = False
        self._dispatch()

    async def _wait(self, line: _Waiting, slot: SchedulingSlot) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(line, (slot.latest_start, next(self._sequence), slot, future))
        self._dispatch()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # admitted in the same moment: undo that
                if line is self._waiting_to_start:
                    self.n_chains_in_progress -= 1
                    self.n_chunks_open -= slot.n_left
                    slot.n_admitted = 0
                self.n_in_flight -= 1
                self._dispatch()
            raise

    def _dispatch(self) -> None:
        """Fill the engine up to its limit with the most urgent waiting chains."""
        while self.n_in_flight < self.limit.value:
            if self._next(self._waiting_in_progress):
                self.n_in_flight += 1
            elif self._another_chain_may_start() and (slot := self._next(self._waiting_to_start)):
                self.n_in_flight += 1
                self.n_chains_in_progress += 1
                self.n_chunks_open += slot.n_left
                slot.n_admitted = 1
                slot.in_progress = slot.document.started = True
            elif slot := self._next_for_spare_slot():
                self.n_in_flight += 1
                slot.n_admitted += 1
            else:
                break
        if (
            not self.closed
            and not self.n_chains_in_progress
            and self._waiting_to_start
            and not self._may_start_chain(0)
        ):
            self.close()
        if self.closed or self.n_chains_to_start <= READ_AHEAD_PER_REQUEST * self.limit.value:
            self._part_needed.set()
        else:
            self._part_needed.clear()

    def _another_chain_may_start(self) -> bool:
        if self.n_chains_in_progress >= CHAINS_PER_REQUEST * self.limit.value:
            return False
        return self.closed or self._may_start_chain(self.n_chunks_open)

    def _next_for_spare_slot(self) -> SchedulingSlot | None:
        """The most urgent chain that waits for a spare slot and has none, if no chain may start."""
        if self.n_chains_to_start and (self.closed or self._may_start_chain(self.n_chunks_open)):
            return None
        waiting = [item for item in self._waiting_for_spare if not item[0].n_admitted and not item[1].done()]
        if not waiting:
            return None
        slot, future = min(waiting, key=lambda item: item[0].latest_start)
        future.set_result(None)
        return slot

    @staticmethod
    def _next(line: _Waiting) -> SchedulingSlot | None:
        while line:
            _, _, slot, future = heapq.heappop(line)
            if not future.done():  # else it was cancelled
                future.set_result(None)
                return slot
        return None

    def _advance(self) -> float:
        """Advance the clock that divides time among the requests at the engine, and return its reading.

        The difference between two readings is the engine time of one request between them. Summed over all requests,
        this is the time in which the engine was busy.
        """
        now = self._clock()
        elapsed_s = now - self._advanced_at
        if self._n_at_engine:
            self._share_s += elapsed_s / self._n_at_engine
            self.engine_s += elapsed_s
        if self._has_begun:
            # After the limit has fallen, more may be at the engine than it allows.
            n_slots = max(self.limit.value, self._n_at_engine)
            self._slot_s += elapsed_s * n_slots
            self._idle_slot_s += elapsed_s * (n_slots - self._n_at_engine)
        self._advanced_at = now
        return self._share_s


class ScheduledEngine:
    """The engine as one chain sees it: each request waits until the scheduler admits the chain."""

    def __init__(self, info: EngineInfo, scheduler: Scheduler, slot: SchedulingSlot) -> None:
        self.info = info
        self._scheduler = scheduler
        self._slot = slot

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        return await self._scheduler.complete(self._slot, prompt, sampling)

    async def close(self) -> None:
        """Does nothing: the engine is shared, and whoever opened it closes it."""


class _HasIndex(Protocol):
    @property
    def index(self) -> int: ...


P = TypeVar("P", bound=_HasIndex)


async def run_parts(parts: Iterable[P], run: Callable[[P], Coroutine[Any, Any, None]], scheduler: Scheduler) -> None:
    """Run all parts. Each is opened as soon as few chains of the earlier parts are left to start.

    `run` must set `scheduler.part_opened` of its part. Returns early when the scheduler is closed.
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
