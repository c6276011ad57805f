"""Stops a run before the update that would spoil it: on a loss that is not finite, or that jumps.

A jump is a loss above the median of the last steps by more than `n_deviations` of their spread and by `least_rise`
nats.
"""

import math
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WARMUP_STEPS = 16
# From the median absolute deviation to the standard deviation of a normal distribution.
_TO_DEVIATIONS = 1.4826


class TrainingStoppedError(RuntimeError):
    """The step was not taken; weights and optimizer are as they were before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    window: int = 64
    n_deviations: float = 8.0
    least_rise: float = 1.0


class LossGuard:
    """Sees the loss of every step before its update."""

    def __init__(self, config: GuardConfig | None = None) -> None:
        self.config = config or GuardConfig()
        self._recent: deque[float] = deque(maxlen=self.config.window)

    def check(self, step: int, loss: float, grad_norm: float, what: Callable[[], str]) -> None:
        """Remember the loss of a good step.

        Args:
            loss: mean over the whole step, in nats, the same on all ranks.
            what: describes the batch; called only when the run stops.

        Raises:
            TrainingStoppedError: the loss or the gradient is not finite, or the loss has jumped.
        """
        if not math.isfinite(loss) or not math.isfinite(grad_norm):
            raise TrainingStoppedError(
                f"step {step}: the loss is {loss} and the gradient's norm {grad_norm}; stopped before the update. "
                f"{what()}"
            )
        if len(self._recent) >= WARMUP_STEPS:
            median = statistics.median(self._recent)
            spread = _TO_DEVIATIONS * statistics.median(abs(value - median) for value in self._recent)
            if loss > median + max(self.config.least_rise, self.config.n_deviations * spread):
                raise TrainingStoppedError(
                    f"step {step}: the loss jumped to {loss:.3f} from a median of {median:.3f}; stopped before "
                    f"the update. {what()} Leave these documents out, lower the learning rate, or go back a checkpoint."
                )
        self._recent.append(loss)

    def state_dict(self) -> dict[str, Any]:
        return {"recent": list(self._recent)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._recent = deque(state["recent"], maxlen=self.config.window)
