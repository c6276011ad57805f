"""How fast a run really is: waiting for data, evaluation and checkpoints count as well as the steps."""

import time
from collections import deque

import torch

WINDOW = 64


class Pace:
    """Tokens per second, model FLOPs utilisation, and the time left.

    Args:
        peak_flops: floating-point operations per second that all processes together could reach.
    """

    def __init__(self, peak_flops: float) -> None:
        self._peak_flops = peak_flops
        self._ended = time.perf_counter()
        self._seconds: deque[float] = deque(maxlen=WINDOW)

    def end_step(self, n_tokens: int, flops_per_token: float) -> dict[str, float]:
        """The speed from the end of the previous step to now, with all that happened between."""
        now = time.perf_counter()
        self._seconds.append(now - self._ended)
        self._ended = now
        tokens_per_s = n_tokens / self._seconds[-1]
        return {"tokens_per_s": tokens_per_s, "mfu": tokens_per_s * flops_per_token / self._peak_flops}

    def time_left(self, n_steps: int) -> str:
        """How long `n_steps` more take at the pace of the last 64, such as "1 h 05 min"."""
        seconds = round(n_steps * sum(self._seconds) / max(1, len(self._seconds)))
        if seconds < 60:
            return f"{seconds} s"
        minutes = round(seconds / 60)
        return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def measure_peak_flops(device: torch.device | str, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large matrix product here: the best of five.

    Measured rather than looked up, so that it also holds for processors that share their cores; on GPUs it comes to
    about 0.7 to 0.8 of the data sheet, and the utilisation is the higher by as much.
    """
    is_cuda = torch.device(device).type == "cuda"
    n = 8192 if is_cuda else 512
    x = torch.ones(n, n, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        x @ x
        if is_cuda:
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2 * n**3 / best
