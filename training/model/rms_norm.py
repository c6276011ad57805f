"""Root-mean-square norm with a gain (Zhang and Sennrich, arXiv 1910.07467), always computed in float32."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """`x / √(mean x² + eps) · weight` over the last dimension; the result has the dtype of `x`.

    `torch.nn.RMSNorm` leaves its fused path when a bfloat16 input meets a float32 gain, as it does under autocast.
    """

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).to(x.dtype)
