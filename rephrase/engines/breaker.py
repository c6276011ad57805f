"""A circuit breaker: whether to send requests to a server, given the outcome of the previous ones.

    closed ──MAX_FAULTS in a row──► open ──cooldown──► half open: one trial ──answer──► closed
                                      ▲                                    └──fault──┘  (the cooldown doubles)

So a server that is down costs one request now and then, and one that is back is used again within one cooldown.
"""

import random
import time
from collections.abc import Callable

MAX_FAULTS = 3
FIRST_COOLDOWN_S = 2.0
MAX_COOLDOWN_S = 60.0


class Breaker:
    """The breaker of one server. Check `wait_s`, call `begin`, then one of `succeeded`, `failed` and `abandoned`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.last_fault = ""
        self._clock = clock
        self._n_faults = 0
        self._cooldown_s = 0.0  # 0: closed
        self._cooling_until_s = 0.0
        self._on_trial = False

    @property
    def wait_s(self) -> float:
        """0 if the server may be used now, else the time after which to check again."""
        remaining_s = max(0.0, self._cooling_until_s - self._clock())
        return max(remaining_s, FIRST_COOLDOWN_S / 2) if self._on_trial else remaining_s

    @property
    def is_open(self) -> bool:
        return self._cooldown_s > 0

    def begin(self) -> None:
        self._on_trial = self.is_open

    def succeeded(self) -> None:
        self._n_faults = 0
        self._cooldown_s = 0.0
        self._on_trial = False

    def failed(self, fault: str) -> None:
        self.last_fault = fault
        self._n_faults += 1
        if self._on_trial or (self._n_faults >= MAX_FAULTS and not self.is_open):
            self._cooldown_s = min(MAX_COOLDOWN_S, 2 * self._cooldown_s or FIRST_COOLDOWN_S)
            # Jitter: not all clients retry at the same moment.
            self.cool_down(self._cooldown_s * random.uniform(0.75, 1.25))
        self._on_trial = False

    def abandoned(self) -> None:
        """The request was cancelled, which says nothing about the server."""
        self._on_trial = False

    def cool_down(self, seconds: float) -> None:
        """Send nothing for this long, as an overloaded server may demand."""
        self._cooling_until_s = max(self._cooling_until_s, self._clock() + seconds)
