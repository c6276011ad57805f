"""Exact attention with the whole score matrix in memory: a few plain operations on any device.

Same arguments and results as `chunked_attention`. It takes S² numbers per head, and in return has no kernel to compile
and no loop over rows: the fast way for many short rows, such as questions or a small model's training rows on a GPU.

Shapes: B rows, H heads, S positions, D components of a query or key head, V components of a value head.
"""

import torch
from torch import Tensor

from training.data.boundaries import Boundaries


def dense_attention(
    q_BHSD: Tensor, k_BHSD: Tensor, v_BHSV: Tensor, boundaries: Boundaries, scale: float, track_max: bool
) -> tuple[Tensor, Tensor]:
    """Causal attention within each piece: the output (B, H, S, V) and each head's largest logit (H,)."""
    with torch.autocast(q_BHSD.device.type, enabled=False):  # scores stay float32
        scores_BHSS = (q_BHSD.float() * scale) @ k_BHSD.float().mT
    scores_BHSS = scores_BHSS.masked_fill(~boundaries.visible_BSS[:, None], -torch.inf)
    if track_max:
        max_H = scores_BHSS.detach().amax(dim=(0, 2, 3))
    else:
        max_H = torch.full((q_BHSD.shape[1],), -torch.inf, device=q_BHSD.device)
    return scores_BHSS.softmax(dim=-1).to(v_BHSV.dtype) @ v_BHSV, max_H
