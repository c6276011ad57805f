"""The bounded memory of token utility: sums by stream, repetition and time.

Shapes: K streams, R repetitions (0 is the first exposure; the last also holds all later ones), T time bins.

All time bins span the same number of steps. When the last one is full, neighbours are merged and the span doubles, so a
run of any length needs the same memory: 16 kB per stream.
"""

from typing import Any

import torch
from torch import Tensor

N_REPETITIONS = 8
N_BINS = 64


class UtilityLedger:
    """Sums over tokens; the mean over any selection is one sum divided by another.

    `tokens_KRT` counts tokens trained on and `loss_KRT` sums their losses in nats; `scored_KRT` counts the tokens whose
    alignment was measured and `score_KRT` sums their alignment scores.
    """

    def __init__(self, n_streams: int) -> None:
        shape = (n_streams, N_REPETITIONS, N_BINS)
        self.tokens_KRT, self.loss_KRT, self.scored_KRT, self.score_KRT = (
            torch.zeros(shape, dtype=torch.float64) for _ in range(4)
        )
        self.bin_steps = 1
        self.n_steps = 0

    def add_step(self, sums_4KR: Tensor) -> None:
        """Add one step's sums (4, K·R): tokens, loss, scored tokens, scores."""
        if self.n_steps == self.bin_steps * N_BINS:
            self._merge_bins()
        time_bin = self.n_steps // self.bin_steps
        sums = sums_4KR.double().cpu().view(4, -1, N_REPETITIONS)
        for total_KRT, step_KR in zip(self._sums(), sums, strict=True):
            total_KRT[:, :, time_bin] += step_KR
        self.n_steps += 1

    def bin_middles(self) -> Tensor:
        """Total tokens trained on by the middle of each bin that has begun (T′,)."""
        n_begun = -(-self.n_steps // self.bin_steps)
        per_bin = self.tokens_KRT.sum(dim=(0, 1))[:n_begun]
        return per_bin.cumsum(0) - per_bin / 2

    def tensors(self) -> dict[str, Tensor]:
        """The sums, for checkpoints to save or to fill in place."""
        names = ("tokens", "loss", "scored", "score")
        return {f"utility.{name}": tensor for name, tensor in zip(names, self._sums(), strict=True)}

    def state_dict(self) -> dict[str, Any]:
        return {"bin_steps": self.bin_steps, "n_steps": self.n_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.bin_steps, self.n_steps = state["bin_steps"], state["n_steps"]

    def _sums(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.tokens_KRT, self.loss_KRT, self.scored_KRT, self.score_KRT

    def _merge_bins(self) -> None:
        for total_KRT in self._sums():
            merged = total_KRT.unflatten(2, (N_BINS // 2, 2)).sum(dim=3)
            total_KRT.zero_()
            total_KRT[:, :, : N_BINS // 2] = merged
        self.bin_steps *= 2
