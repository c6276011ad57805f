"""The scheduler on a simulated engine: how long would a corpus take?

The scheduler is the real one. The engine answers after the time its batch would need, on a clock that jumps from one
event to the next. A million documents take minutes to simulate.
"""

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rephrase.corpus.reading import Position
from rephrase.dataset.plan import Part
from rephrase.engines.concurrency_limit import max_in_flight_for
from rephrase.engines.engine import EngineInfo, EngineLoad
from rephrase.records import Completion, Prompt, Sampling
from rephrase.scheduling.part_order import order_parts
from rephrase.scheduling.scheduler import DocumentState, ScheduledEngine, Scheduler, SchedulingSlot, run_parts

T = TypeVar("T")

# The tokens to generate for each chunk of a document, one after the other.
Chain = Sequence[int]

_PROMPT = Prompt(system="", user="")


@dataclass(frozen=True, slots=True)
class BatchSpeed:
    """A step of the engine gives each of b requests one token and takes `fixed_s + b * per_request_s`.

    The time for prefill is included, spread over the generated tokens.
    """

    fixed_s: float
    per_request_s: float

    @classmethod
    def fit(cls, measured: Sequence[tuple[int, float]]) -> "BatchSpeed":
        """Least-squares fit to (concurrent requests, tokens per second); neither term comes out negative."""
        steps = [(b, b / rate) for b, rate in measured]
        mean_b = sum(b for b, _ in steps) / len(steps)
        mean_s = sum(s for _, s in steps) / len(steps)
        spread = sum((b - mean_b) ** 2 for b, _ in steps)
        slope = max(0.0, sum((b - mean_b) * (s - mean_s) for b, s in steps) / spread) if spread else 0.0
        return cls(fixed_s=max(0.0, mean_s - slope * mean_b), per_request_s=slope)

    def step_s(self, n_requests: float) -> float:
        return self.fixed_s + n_requests * self.per_request_s

    def tokens_per_s(self, n_requests: float) -> float:
        return n_requests / self.step_s(n_requests)

    def scaled_to(self, tokens_per_s: float, n_requests: int) -> "BatchSpeed":
        """The same shape, scaled to `tokens_per_s` with `n_requests` concurrent requests."""
        factor = self.tokens_per_s(n_requests) / tokens_per_s
        return BatchSpeed(self.fixed_s * factor, self.per_request_s * factor)


class SimulatedEngine:
    """Answers a request for n tokens after n steps of its batch; `n_slots` requests run, the others wait in a queue.

    Several engines that share the work are simulated as one, whose step takes as long as that of one engine with its
    share of the requests.
    """

    def __init__(self, speed: BatchSpeed, n_slots: int, n_engines: int = 1) -> None:
        self._speed = speed
        self._n_engines = n_engines
        self._n_slots = n_slots * n_engines
        self.n_tokens = 0
        self.info = EngineInfo(
            engine="simulated",
            model="",
            model_revision="",
            tokenizer="",
            max_context_tokens=1 << 30,
            max_in_flight=max_in_flight_for(self._n_slots),
        )
        # Steps since the start; a request that begins at step s ends at step s + n, whatever the batch size meanwhile.
        self._steps = 0.0
        self._stepped_at = 0.0
        self._running: list[tuple[float, int, asyncio.Future[None]]] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._n_taken = 0
        self._sequence = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def load(self) -> EngineLoad:
        return EngineLoad(n_running=len(self._running), n_waiting=len(self._waiting) - self._n_taken)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._advance(loop.time())
        if len(self._running) < self._n_slots:
            self._start(sampling.max_tokens, future)
        else:
            self._waiting.append((sampling.max_tokens, future))
        self._set_timer(loop)
        await future
        self.n_tokens += sampling.max_tokens
        return Completion(text="", finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=sampling.max_tokens)

    async def close(self) -> None: ...

    def _start(self, n_tokens: int, future: "asyncio.Future[None]") -> None:
        heapq.heappush(self._running, (self._steps + n_tokens, next(self._sequence), future))

    def _step_s(self) -> float:
        return self._speed.step_s(len(self._running) / self._n_engines)

    def _advance(self, now_s: float) -> None:
        if self._running:
            self._steps += (now_s - self._stepped_at) / self._step_s()
        self._stepped_at = now_s

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._running:
            return
        at = self._stepped_at + max(0.0, self._running[0][0] - self._steps) * self._step_s()
        if self._timer is None or at < self._timer.when():
            if self._timer:
                self._timer.cancel()
            self._timer = loop.call_at(at, self._finish, loop)

    def _finish(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._advance(loop.time())
        while self._running and self._running[0][0] <= self._steps + 1e-6:
            _, _, future = heapq.heappop(self._running)
            if not future.done():
                future.set_result(None)
            if self._n_taken < len(self._waiting):
                self._start(*self._waiting[self._n_taken])
                self._n_taken += 1
        if self._n_taken > 1000:  # now and then, which makes popping from the front cheap
            del self._waiting[: self._n_taken]
            self._n_taken = 0
        self._set_timer(loop)


class _JumpingClock(selectors.DefaultSelector):
    """Advances the clock instead of waiting."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("deadlock: all tasks wait for each other")
        self.now_s += timeout
        return []


def run_in_virtual_time(main: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on an event loop whose clock jumps to the next timer. Nothing may wait for I/O."""
    clock = _JumpingClock()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now_s  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult:
    """The outcome of `simulate`. No schedule can beat `bound_s`: see `lower_bound_s`."""

    makespan_s: float
    bound_s: float
    n_chunks: int
    n_tokens: int


def lower_bound_s(
    chains: Iterable[Chain], speed: BatchSpeed, n_slots: int, *, n_engines: int = 1, check_s: float = 0.0
) -> float:
    """The larger of all work at full-batch throughput, and the longest chain alone with a check for each chunk."""
    n_tokens = 0
    longest_s = 0.0
    for chain in chains:
        n = sum(chain)
        n_tokens += n
        longest_s = max(longest_s, n * speed.step_s(1) + len(chain) * check_s)
    return max(n_tokens / (speed.tokens_per_s(n_slots) * n_engines), longest_s)


def simulate(
    parts: Sequence[Sequence[Chain]],
    speed: BatchSpeed,
    n_slots: int,
    *,
    n_engines: int = 1,
    check_s: float = 0.0,
    on_scheduler: Callable[[Scheduler], None] = lambda scheduler: None,
) -> SimulationResult:
    """Simulate the chains of all parts.

    Args:
        n_slots: requests that one engine runs concurrently.
        check_s: time between the answer to one chunk and the request for the next.
        on_scheduler: called with the scheduler before the simulation starts.
    """

    async def main(loop: asyncio.AbstractEventLoop) -> float:
        engine = SimulatedEngine(speed, n_slots, n_engines)
        scheduler = Scheduler(engine, clock=loop.time)
        on_scheduler(scheduler)

        async def run_chain(chain: Chain, slot: SchedulingSlot) -> None:
            mine = ScheduledEngine(engine.info, scheduler, slot)

            async def work() -> None:
                for n_tokens in chain:
                    await mine.complete(_PROMPT, Sampling(temperature=0, top_p=1, max_tokens=n_tokens, seed=0))
                    scheduler.set_chunks_left(slot, slot.n_left - 1)
                    if check_s:
                        await asyncio.sleep(check_s)

            await scheduler.run_chain(slot, work)

        async def run_part(part: Part) -> None:
            chains = sorted(parts[part.index], key=len, reverse=True)
            due = scheduler.register_part(sum(map(len, chains)))
            async with asyncio.TaskGroup() as group:
                for chain in chains:
                    slot = SchedulingSlot(due=due, n_left=len(chain), document=DocumentState())
                    group.create_task(run_chain(chain, slot))
                scheduler.part_opened(part.index).set()

        sizes = [
            Part(
                index=index,
                file=0,
                start=Position(),
                n_records=len(chains),
                n_bytes=sum(map(sum, chains)),
                longest_bytes=max(map(sum, chains), default=0),
            )
            for index, chains in enumerate(parts)
        ]
        await run_parts(order_parts(sizes, engine.info.max_in_flight), run_part, scheduler)
        return loop.time()

    return SimulationResult(
        makespan_s=run_in_virtual_time(main),
        bound_s=lower_bound_s(
            (chain for chains in parts for chain in chains), speed, n_slots, n_engines=n_engines, check_s=check_s
        ),
        n_chunks=sum(len(chain) for chains in parts for chain in chains),
        n_tokens=sum(sum(chain) for chains in parts for chain in chains),
    )
