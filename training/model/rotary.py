"""Rotary position embeddings, and YaRN, which stretches them over contexts longer than those trained on.

YaRN (arXiv 2309.00071, sections 3.2 to 3.4) as DeepSeek-V3 and Kimi K2 publish it: pairs of components that turn often
within the trained context keep their frequency, pairs that turn less than `beta_slow` times are slowed by `factor`, and
those between are blended. Attention over more positions spreads, so logits are sharpened by `mscale`.

Shapes: B rows, S positions, H heads, R rotated components of a head.
"""

import math

import torch
from torch import Tensor

from training.model.config import RopeScaling


class RotaryTable:
    """cos and sin of every position's angles (B, 1, S, R/2) in float32: `angle = position · frequency`."""

    def __init__(
        self, positions_BS: Tensor, n_components: int, theta: float, scaling: RopeScaling | None = None
    ) -> None:
        frequencies = rotary_frequencies(n_components, theta, scaling, positions_BS.device)
        angles = positions_BS[:, None, :, None].float() * frequencies
        self.cos, self.sin = angles.cos(), angles.sin()
        if scaling is not None:
            length = scaling.sharpening(scaling.mscale) / scaling.sharpening(scaling.mscale_all_dim)
            self.cos, self.sin = self.cos * length, self.sin * length

    def rotate(self, x_BHSR: Tensor) -> Tensor:
        """Rotate neighbouring components as pairs; the first halves of all pairs come out before the second halves."""
        even, odd = x_BHSR[..., 0::2].float(), x_BHSR[..., 1::2].float()
        rotated = torch.cat([even * self.cos - odd * self.sin, odd * self.cos + even * self.sin], dim=-1)
        return rotated.to(x_BHSR.dtype)


def rotary_frequencies(n_components: int, theta: float, scaling: RopeScaling | None, device: torch.device) -> Tensor:
    """The angle per position of each pair (R/2,), float32: `theta^(-2i/R)`, or slower by YaRN."""
    exponents = torch.arange(0, n_components, 2, dtype=torch.float32, device=device) / n_components
    frequencies = 1.0 / theta**exponents
    if scaling is None:
        return frequencies

    def pair_that_turns(n_times: float) -> float:
        """The (fractional) index of the pair that turns so often within the trained context."""
        turns_of_first = scaling.original_context_length / (2 * math.pi)
        return n_components * math.log(turns_of_first / n_times) / (2 * math.log(theta))

    first = max(math.floor(pair_that_turns(scaling.beta_fast)), 0)
    last = min(math.ceil(pair_that_turns(scaling.beta_slow)), n_components - 1)
    # Equal bounds would divide by 0; 0.001 makes them a step, as in the published code.
    pairs = torch.arange(n_components // 2, device=device)
    slowed = ((pairs - first) / (last - first or 0.001)).clamp(0, 1)
    return frequencies * (1 - slowed) + frequencies / scaling.factor * slowed
