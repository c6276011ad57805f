"""A circuit breaker: whether a server is to be asked, after what came of asking it before.

    closed ──MAX_FAULTS in a row──► open ──after a rest──► half open: one trial ──answer──► closed
                                      ▲                                        └──fault──┘  (a rest twice as long)

So a server that is down costs one request now and then, and one that is back is used again within a rest.
"""

import random
import time
from collections.abc import Callable

MAX_FAULTS = 3
FIRST_COOLDOWN_S = 2.0
MAX_COOLDOWN_S = 60.0


class Breaker:
    """Of one server. Ask `wait_s`, call `begin`, then one of `succeeded`, `failed` and `abandoned`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.last_fault = ""
        self._clock = clock
        self._n_faults = 0
        self._cooldown_s = 0.0  # 0: closed
        self._cooling_until_s = 0.0
        self._on_trial = False

    @property
    def wait_s(self) -> float:
        """0 when it may be asked now, else after how long to look again."""
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
            # Not all clients of a server that is back at the same moment.
            self.cool_down(self._cooldown_s * random.uniform(0.75, 1.25))
        self._on_trial = False

    def abandoned(self) -> None:
        """Nobody waited for the answer: it says nothing about the server."""
        self._on_trial = False

    def cool_down(self, seconds: float) -> None:
        """Ask nothing for so long, as a server that has too much to do may demand."""
        self._cooling_until_s = max(self._cooling_until_s, self._clock() + seconds)
