"""How many requests an engine gets at once: additive increase, multiplicative decrease.

As in TCP (Chiu and Jain 1989), with an engine's signs of overload: requests that are refused (429), time out or are
preempted for lack of KV cache, and a queue that never empties. An engine that does not report its load gets the number
of requests that it states as its maximum.
"""

import math

from rephrase.engines.engine import EngineLoad

# Requests that may queue behind the running batch, as a share of it, so that a free place is filled in the next step.
# About one request in 150 ends per step, and the engine's queue is first in, first out, however urgent a request is.
WAITING_SHARE = 1 / 32
DECREASE = 0.75
# Share of the KV cache in use; above it, another request would soon cause a preemption.
FULL_CACHE = 0.95
# Not every server reports its queue. Where GROWTH_PER_PROBE more requests gain less throughput than this, it is full.
MIN_GAIN = 0.05
GROWTH_PER_PROBE = 1.25


def max_in_flight_for(n_running: int) -> int:
    """Requests to have in flight at an engine that runs `n_running` at once."""
    return n_running + math.ceil(n_running * WAITING_SHARE)


class ConcurrencyLimit:
    """`value` is the limit of requests in flight, between 1 and `maximum`."""

    def __init__(self, maximum: int, initial: int | None = None) -> None:
        self.maximum = maximum
        self._value = float(min(initial or maximum, maximum))
        self._n_overloads = 0
        self._n_until_decrease = 0  # many answers see the same overload, which counts once
        self._queue: list[int] = []  # its length at each answer of this round
        self._probing = initial is not None  # doubling each round, until the first sign of overload
        self._round = _Round(self._value)
        self._before: _Round | None = None

    @property
    def value(self) -> int:
        return int(self._value)

    def record_answer(self, load: EngineLoad, n_tokens: int, now_s: float, at_limit: bool) -> None:
        """Adjust the limit after an answer of `n_tokens`; `at_limit`: whether `value` requests were in flight."""
        self._n_until_decrease -= 1
        overloaded = load.n_overloads > self._n_overloads
        self._n_overloads = load.n_overloads
        if overloaded:
            if self._n_until_decrease <= 0:
                self._decrease_to(self._value * DECREASE)
                self._n_until_decrease = self.value
            return
        allowed = max(1.0, load.n_running * WAITING_SHARE)
        if (too_many := self._standing_queue(load.n_waiting) - allowed) > 0:
            self._decrease_to(max(self._value * DECREASE, self._value - too_many))
            return
        if (before := self._as_fast_before(n_tokens, now_s)) is not None:
            self._probing, self._value = False, before
            return
        if at_limit and load.n_waiting <= allowed and load.kv_cache_use < FULL_CACHE:
            self._value = min(float(self.maximum), self._value + (1.0 if self._probing else 1.0 / self._value))

    def _standing_queue(self, n_waiting: int) -> int:
        """At the end of each round, its minimum queue length, as in CoDel: a burst leaves no standing queue."""
        self._queue.append(n_waiting)
        if len(self._queue) < self._value:
            return 0
        shortest = min(self._queue)
        self._queue.clear()
        return shortest

    def _decrease_to(self, value: float) -> None:
        self._value = max(1.0, value)
        self._probing, self._before, self._round = False, None, _Round(self._value)

    def _as_fast_before(self, n_tokens: int, now_s: float) -> float | None:
        """While probing: the limit before the last increase, if that increase did not raise the throughput."""
        if not self._probing:
            return None
        self._round.add(n_tokens, now_s)
        if self._value < self._round.value * GROWTH_PER_PROBE or self._round.n_answers < self._round.value:
            return None
        before, self._before, self._round = self._before, self._round, _Round(self._value)
        if before is None or self._before.tokens_per_s >= before.tokens_per_s * (1 + MIN_GAIN):
            return None
        return before.value


class _Round:
    """The throughput at one setting of the limit."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.n_answers = self._n_tokens = 0
        self._first_s = self._last_s = 0.0

    def add(self, n_tokens: int, now_s: float) -> None:
        if self.n_answers:  # the first answer only starts the clock
            self._n_tokens += n_tokens
        else:
            self._first_s = now_s
        self._last_s = now_s
        self.n_answers += 1

    @property
    def tokens_per_s(self) -> float:
        seconds = self._last_s - self._first_s
        return self._n_tokens / seconds if seconds else 0.0
