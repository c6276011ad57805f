"""Learning-rate schedules as lists of phases: constant, cosine, WSD, K2's and K3's, each after a warm-up."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Phase:
    """From the end of the previous phase to `end`, as a multiple of the peak learning rate, in `n_steps` steps."""

    n_steps: int
    end: float
    shape: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        if self.n_steps < 0 or self.end < 0:
            raise ValueError(f"a phase of {self.n_steps} steps to {self.end} times the peak: neither may be negative")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Starts at 0; after the last phase it stays at that phase's end."""

    phases: tuple[Phase, ...]

    def factor(self, step: int) -> float:
        """The multiple of the peak learning rate in step `step`, counted from 0.

        A warm-up of n steps ends with its n-th step at the peak, so no step is wasted on a learning rate of 0.
        """
        value, at = 0.0, step + 1
        for phase in self.phases:
            if at <= phase.n_steps:
                progress = at / phase.n_steps
                if phase.shape == "cosine":
                    progress = (1 - math.cos(math.pi * progress)) / 2
                return value + (phase.end - value) * progress
            value, at = phase.end, at - phase.n_steps
        return value


def constant(n_steps: int, n_warmup: int) -> Schedule:
    """Warm-up, then the peak."""
    return Schedule((Phase(n_warmup, 1.0), Phase(_rest(n_steps, n_warmup), 1.0)))


def cosine(n_steps: int, n_warmup: int, end: float = 0.1) -> Schedule:
    """Warm-up, then half a cosine down to `end` times the peak."""
    return Schedule((Phase(n_warmup, 1.0), Phase(_rest(n_steps, n_warmup), end, "cosine")))


def wsd(n_steps: int, n_warmup: int, decay_share: float = 0.2, end: float = 0.0) -> Schedule:
    """Warm-up, stable, and a linear decay over the last `decay_share` of the steps (MiniCPM, arXiv 2404.06395)."""
    if not 0 <= decay_share <= 1:
        raise ValueError(f"decay_share is {decay_share}; it must be between 0 and 1")
    n_decay = min(round(n_steps * decay_share), _rest(n_steps, n_warmup))
    return Schedule((Phase(n_warmup, 1.0), Phase(n_steps - n_warmup - n_decay, 1.0), Phase(n_decay, end)))


def kimi_k2(n_steps: int, n_warmup: int = 500) -> Schedule:
    """K2's proportions (arXiv 2507.20534, section 2.5) on a run of any length.

    2e-4 constant for 10 T tokens, cosine to 2e-5 over 5.5 T, then an anneal to 7e-6, assumed here to take 0.5 T.
    """
    after = _rest(n_steps, n_warmup)
    n_cosine, n_anneal = round(after * 5.5 / 16), round(after * 0.5 / 16)
    stable = Phase(after - n_cosine - n_anneal, 1.0)
    return Schedule((Phase(n_warmup, 1.0), stable, Phase(n_cosine, 0.1, "cosine"), Phase(n_anneal, 0.035)))


def kimi_k3(n_steps: int, n_warmup: int = 0) -> Schedule:
    """K3's cosine (arXiv 2607.24653): a warm-up of 1 % of the run, or `n_warmup` steps if that is longer, then to 0.1.

    Its report finds a cosine better than WSD when the learning rate is tuned for each.
    """
    return cosine(n_steps, max(n_warmup, round(n_steps / 100)), end=0.1)


SCHEDULES = {"constant": constant, "cosine": cosine, "wsd": wsd, "k2": kimi_k2, "k3": kimi_k3}


def schedule(name: str, n_steps: int, n_warmup: int) -> Schedule:
    """The schedule called `name` for a run of `n_steps`.

    Raises:
        ValueError: there is no such schedule, or the warm-up is longer than the run.
    """
    if name not in SCHEDULES:
        raise ValueError(f"there is no schedule {name!r}; choose one of {', '.join(SCHEDULES)}")
    return SCHEDULES[name](n_steps, n_warmup)


def _rest(n_steps: int, n_warmup: int) -> int:
    if not 0 <= n_warmup <= n_steps:
        raise ValueError(f"a warm-up of {n_warmup} steps does not fit into a run of {n_steps}")
    return n_steps - n_warmup
