"""Restart an in-process engine when it dies, and find the request that kills it.

When the engine dies, every request it was running is a suspect. The engine is restarted and the suspects are tried in
halves, with nothing else running: a half that completes is cleared, one in which the engine dies is halved again. Of
256 requests, one that kills the engine is isolated after eight restarts; requests with one prompt, which differ in
their seeds, count as one. It is refused once the engine died with it alone and answered others in between; where there
are no others, at its MAX_DEATHS-th death. The rest is answered.

    death with a b c d  ->  a b: dies  ->  a: answered,  b: dies, refused  ->  c d: answered

An engine that dies MAX_DEATHS_IN_A_ROW times without one answer is broken, and so is one that answers nothing for
`stall_s`: a step that hangs cannot be aborted from outside, so the run stops with an error.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from rephrase.engines.engine import (
    Engine,
    EngineError,
    EngineInfo,
    EngineLoad,
    PoisonError,
    ReportsLoad,
)
from rephrase.records import Completion, Prompt, Sampling

logger = logging.getLogger(__name__)

MAX_DEATHS_IN_A_ROW = 12
MAX_DEATHS = 3
STALL_S = 900.0


@dataclass(slots=True, eq=False)
class _Request:
    prompt: Prompt
    n_deaths: int = 0


class SupervisedEngine:
    """The engine that `open_engine` returns, reopened when it dies. The constructor blocks as `open_engine` does."""

    def __init__(
        self,
        open_engine: Callable[[], Engine],
        *,
        stall_s: float = STALL_S,
        on_restart: Callable[[str], None] = lambda message: None,
    ) -> None:
        """
        Raises:
            EngineError, ValueError: what `open_engine` raises.
        """
        self.n_restarts = 0
        self._open = open_engine
        self._engine = open_engine()
        self._stall_s = stall_s
        self._on_restart = on_restart
        self._fatal: EngineError | None = None
        self._generation = 0
        self._restart: asyncio.Task[None] | None = None
        self._running: set[_Request] = set()
        self._groups: deque[set[_Request]] = deque()  # of suspects, tried from left to right
        self._n_deaths_in_a_row = 0
        self._answered_since_death = False  # since the death that created the suspects
        self._last_answer_s = 0.0
        self._poison: dict[Prompt, str] = {}  # and how the engine died of it
        self._changed = asyncio.Event()

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def load(self) -> EngineLoad:
        return self._engine.load() if isinstance(self._engine, ReportsLoad) else EngineLoad()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        request = _Request(prompt)
        try:
            while True:
                await self._admitted(request)
                generation = self._generation
                if not self._running:
                    self._last_answer_s = asyncio.get_running_loop().time()
                self._running.add(request)
                try:
                    answer = await self._watched(self._engine.complete(prompt, sampling))
                except EngineError as error:
                    if generation == self._generation and self._restart is None:
                        self._died(error)
                    if self._fatal:
                        raise self._fatal from error
                else:
                    self._n_deaths_in_a_row = 0
                    self._answered_since_death = True
                    self._last_answer_s = asyncio.get_running_loop().time()
                    return answer
                finally:
                    self._running.discard(request)
        finally:
            self._clear(request)

    async def close(self) -> None:
        if self._restart:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        await self._engine.close()

    async def _admitted(self, request: _Request) -> None:
        """Wait while the engine restarts, or while other requests are tried as suspects."""
        while True:
            if self._fatal:
                raise self._fatal
            if death := self._poison.get(request.prompt):
                raise PoisonError(death)
            if self._restart is None and (not self._groups or request in self._groups[0]):
                return
            await self._changed.wait()

    async def _watched(self, answer: Coroutine[Any, Any, Completion]) -> Completion:
        """
        Raises:
            EngineError: the engine answered nothing for `stall_s`.
        """
        task = asyncio.create_task(answer)
        loop = asyncio.get_running_loop()
        try:
            while not task.done():
                left_s = self._last_answer_s + self._stall_s - loop.time()
                if left_s <= 0:
                    self._fatal = self._fatal or EngineError(
                        f"the engine has answered none of {len(self._running)} requests for {self._stall_s:g} s: it "
                        "hangs, and cannot be restarted in this process. Run the same command again to resume; if it "
                        "hangs again, try fewer concurrent requests (--in-flight)"
                    )
                    self._signal()
                    raise self._fatal
                await asyncio.wait({task}, timeout=left_s)
            return task.result()
        finally:
            task.cancel()

    def _died(self, error: EngineError) -> None:
        """Called once for each death, by the first request that fails with it."""
        if self._fatal:
            return
        self._generation += 1
        self._n_deaths_in_a_row += 1
        for request in self._running:
            request.n_deaths += 1
        if not self._groups:
            self._answered_since_death = False
        tried = self._groups.popleft() if self._groups else set(self._running)
        suspects = tried & self._running
        prompts = dict.fromkeys(request.prompt for request in suspects)
        if len(prompts) == 1:
            n_deaths = max(request.n_deaths for request in suspects)
            if n_deaths > 1 and (self._answered_since_death or (not self._groups and n_deaths >= MAX_DEATHS)):
                self._poison |= dict.fromkeys(
                    prompts,
                    f"the engine died {n_deaths} times with this request, the last time alone with it: {error}",
                )
            else:
                self._groups.append(suspects)  # retry it after all others: do they complete?
        else:
            first = set([*prompts][: len(prompts) // 2])
            half = {request for request in suspects if request.prompt in first}
            self._groups.extendleft([suspects - half, half])
        # Requests of the tried group that were not running are no longer suspects, but still have to be tried.
        if waiting := tried - self._running:
            self._groups.append(waiting)
        if self._n_deaths_in_a_row >= MAX_DEATHS_IN_A_ROW:
            self._fatal = EngineError(
                f"the engine died {self._n_deaths_in_a_row} times in a row without one answer; the last time: {error}"
            )
            self._signal()
            return
        self._restart = asyncio.create_task(self._restart_engine(error))

    async def _restart_engine(self, error: EngineError) -> None:
        self.n_restarts += 1
        message = f"the engine died ({error}) and is being restarted (restart {self.n_restarts} of this run)"
        logger.warning(message)
        self._on_restart(message)
        try:
            await self._engine.close()
            self._engine = await asyncio.to_thread(self._open)
        except Exception as failure:
            self._fatal = EngineError(f"the engine died ({error}) and could not be restarted: {failure}")
        finally:
            self._restart = None
            self._signal()

    def _clear(self, request: _Request) -> None:
        """The request was answered, refused or cancelled."""
        for group in self._groups:
            group.discard(request)
        while self._groups and not self._groups[0]:
            self._groups.popleft()
        self._signal()

    def _signal(self) -> None:
        """Wake all waiting requests, to check again."""
        self._changed.set()
        self._changed = asyncio.Event()
