"""An engine in this process that is restarted when it dies, and a request that kills it is found.

When the engine dies, whatever it was working on is under suspicion. The engine is started again and the suspects are
tried in halves, nothing else beside them: a half that comes through is cleared, one in which the engine dies is halved
again. Of 256 requests, one that kills the engine is alone after eight restarts. It is refused when it was alone at a
death and the engine answered others meanwhile; where there are no others, at its MAX_DEATHS-th. The rest is answered.

    death with a b c d  ->  a b: dies  ->  a: answered,  b: dies, refused  ->  c d: answered

An engine that dies MAX_DEATHS_IN_A_ROW times without one answer is broken, and so is one that answers nothing for
`stall_s`: a step that hangs cannot be ended from outside, so the run stops and says so.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from rephrase.engines.engine import (
    Engine,
    EngineError,
    EngineInfo,
    EngineLoad,
    LogprobEngine,
    PoisonError,
    ReportsLoad,
    RequestRefusedError,
)
from rephrase.records import Completion, Prompt, Sampling, TokenLogprobs

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_DEATHS_IN_A_ROW = 12
MAX_DEATHS = 3
STALL_S = 900.0


@dataclass(slots=True, eq=False)
class _Request:
    n_deaths: int = 0
    poison: bool = False


class SupervisedEngine:
    """The engine that `open_engine` makes, and makes again when it dies. Building it blocks, as that one does."""

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
        self._answered_since_death = False  # since the death with which the suspicion began
        self._last_sign_s = 0.0
        self._changed = asyncio.Event()

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def load(self) -> EngineLoad:
        return self._engine.load() if isinstance(self._engine, ReportsLoad) else EngineLoad()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        return await self._supervised(lambda engine: engine.complete(prompt, sampling))

    async def logprobs(self, context: str, text: str) -> TokenLogprobs:
        """As the engine's own; one that cannot score texts refuses each."""

        def ask(engine: Engine) -> Coroutine[Any, Any, TokenLogprobs]:
            if not isinstance(engine, LogprobEngine):
                raise RequestRefusedError("this engine does not score texts")
            return engine.logprobs(context, text)

        return await self._supervised(ask)

    async def close(self) -> None:
        if self._restart:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        await self._engine.close()

    async def _supervised(self, ask: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        request = _Request()
        try:
            while True:
                await self._admitted(request)
                generation = self._generation
                if not self._running:
                    self._last_sign_s = asyncio.get_running_loop().time()
                self._running.add(request)
                try:
                    answer = await self._watched(ask(self._engine))
                except EngineError as error:
                    if generation == self._generation and self._restart is None:
                        self._died(error)
                    if request.poison:
                        raise PoisonError(
                            f"the engine died {request.n_deaths} times with this request, the last time alone with it: "
                            f"{error}"
                        ) from error
                    if self._fatal:
                        raise self._fatal from error
                else:
                    self._n_deaths_in_a_row = 0
                    self._answered_since_death = True
                    self._last_sign_s = asyncio.get_running_loop().time()
                    return answer
                finally:
                    self._running.discard(request)
        finally:
            self._clear(request)

    async def _admitted(self, request: _Request) -> None:
        """Wait while the engine is started, or others are under suspicion."""
        while True:
            if self._fatal:
                raise self._fatal
            if self._restart is None and (not self._groups or request in self._groups[0]):
                return
            await self._changed.wait()

    async def _watched(self, answer: Coroutine[Any, Any, T]) -> T:
        """
        Raises:
            EngineError: nothing was answered for too long.
        """
        task = asyncio.create_task(answer)
        loop = asyncio.get_running_loop()
        try:
            while not task.done():
                left_s = self._last_sign_s + self._stall_s - loop.time()
                if left_s <= 0:
                    self._fatal = self._fatal or EngineError(
                        f"the engine has answered none of {len(self._running)} requests for {self._stall_s:g} s: it "
                        "hangs, and cannot be restarted in this process. The same command goes on; if it hangs again, "
                        "try fewer requests at once (--in-flight)"
                    )
                    self._signal()
                    raise self._fatal
                await asyncio.wait({task}, timeout=left_s)
            return task.result()
        finally:
            task.cancel()

    def _died(self, error: EngineError) -> None:
        """Called once for each death, by the first request that hears of it."""
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
        alone = next(iter(suspects)) if len(suspects) == 1 else None
        if (
            alone
            and alone.n_deaths > 1
            and (self._answered_since_death or (not self._groups and alone.n_deaths >= MAX_DEATHS))
        ):
            alone.poison = True
        elif alone:
            self._groups.append(suspects)  # after all others: do they come through?
        else:
            half = [*suspects][: len(suspects) // 2]
            self._groups.extendleft([suspects.difference(half), {*half}])
        # Those that had not been sent yet, or had been answered, are no suspects; but they were to be tried.
        if waiting := tried - self._running:
            self._groups.append(waiting)
        if self._n_deaths_in_a_row >= MAX_DEATHS_IN_A_ROW:
            self._fatal = EngineError(
                f"the engine died {self._n_deaths_in_a_row} times in a row without one answer; the last time: {error}"
            )
            self._signal()
            return
        self._restart = asyncio.create_task(self._start_again(error))

    async def _start_again(self, error: EngineError) -> None:
        self.n_restarts += 1
        message = f"the engine died ({error}) and is started again, for the {self.n_restarts}. time in this run"
        logger.warning(message)
        self._on_restart(message)
        try:
            await self._engine.close()
            self._engine = await asyncio.to_thread(self._open)
        except Exception as failure:
            self._fatal = EngineError(f"the engine died ({error}) and could not be started again: {failure}")
        finally:
            self._restart = None
            self._signal()

    def _clear(self, request: _Request) -> None:
        """It is answered, refused or no longer wanted."""
        for group in self._groups:
            group.discard(request)
        while self._groups and not self._groups[0]:
            self._groups.popleft()
        self._signal()

    def _signal(self) -> None:
        """Wake all that wait, to look again."""
        self._changed.set()
        self._changed = asyncio.Event()
