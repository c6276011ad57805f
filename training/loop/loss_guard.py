"""Stops a run before a harmful update: when the loss or gradient is not finite, or the loss jumps.

A jump is a loss that exceeds the median of recent steps by `n_deviations` standard deviations and by `min_rise` nats.
"""

import math
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WARMUP_STEPS = 16
# Converts a median absolute deviation to the standard deviation of a normal distribution.
_TO_DEVIATIONS = 1.4826


class TrainingStoppedError(RuntimeError):
    """The step was not taken; weights and optimizer state are those before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    window: int = 64
    n_deviations: float = 8.0
    min_rise: float = 1.0


class LossGuard:
    """Checks the loss of every step before its update."""

    def __init__(self, config: GuardConfig | None = None) -> None:
        self.config = config or GuardConfig()
        self._recent: deque[float] = deque(maxlen=self.config.window)

    def check(self, step: int, loss: float, grad_norm: float, describe_batch: Callable[[], str]) -> None:
        """Check the loss of a step, and record it if it is good.

        Args:
            loss: mean over the whole step, in nats, the same on all ranks.
            describe_batch: called only if the run stops.

        Raises:
            TrainingStoppedError: the loss or the gradient is not finite, or the loss has jumped.
        """
        if not math.isfinite(loss) or not math.isfinite(grad_norm):
            raise TrainingStoppedError(
                f"step {step}: the loss is {loss} and the gradient norm {grad_norm}; stopped before the update. "
                f"{describe_batch()}"
            )
        if len(self._recent) >= WARMUP_STEPS:
            median = statistics.median(self._recent)
            spread = _TO_DEVIATIONS * statistics.median(abs(value - median) for value in self._recent)
            if loss > median + max(self.config.min_rise, self.config.n_deviations * spread):
                raise TrainingStoppedError(
                    f"step {step}: the loss jumped to {loss:.3f} from a median of {median:.3f}; stopped before "
                    f"the update. {describe_batch()} Repeat the command with --on-spike skip to leave this step's "
                    "documents out, or go on in a new folder with --from RUN and a lower --lr."
                )
        self._recent.append(loss)

    def state_dict(self) -> dict[str, Any]:
        return {"recent": list(self._recent)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._recent = deque(state["recent"], maxlen=self.config.window)
