"""Exact attention in blocks of queries, with the exact largest logit of each head and no stored score matrix.

Shapes: B rows, H heads, S positions, Q queries of a block, K keys visible to a block, D components of a query or key
head, V components of a value head.

It runs on any device. On CPUs it is also the fast path: PyTorch's fused kernel there returns no maxima, needs D = V,
and computes all S² pairs of a packed row, whereas a block here computes only the pairs that its documents can see.
Scores and weights are float32 whatever the dtype of the queries: rounded to bfloat16, logits of 67 would err by 0.25,
and that is the regime in which QK-Clip has to see them.
"""

from typing import Any

import torch
from torch import Tensor

from training.data.boundaries import Boundaries, Span


def chunked_attention(
    q_BHSD: Tensor, k_BHSD: Tensor, v_BHSV: Tensor, boundaries: Boundaries, scale: float, track_max: bool
) -> tuple[Tensor, Tensor]:
    """Causal attention within each piece.

    Returns:
        The output (B, H, S, V), and for each head the largest visible `scale · q·k` (H,), float32, without gradient;
        all -inf when `track_max` is false.
    """
    out_BHSV, max_H = _ChunkedAttention.apply(q_BHSD, k_BHSD, v_BHSV, boundaries, scale, track_max)
    return out_BHSV, max_H


def _scores(q_HSD: Tensor, k_HSD: Tensor, span: Span, scale: float) -> Tensor:
    """The logits of one block in float32 (or float64), -inf at masked pairs."""
    q_HQD, k_HKD = q_HSD[:, span.start : span.end], k_HSD[:, span.first_key : span.end]
    scores_HQK = torch.bmm(_widened(q_HQD) * scale, _widened(k_HKD).mT)
    if span.hidden_QK is not None:
        scores_HQK[..., -span.hidden_QK.shape[1] :].masked_fill_(span.hidden_QK, -torch.inf)
    return scores_HQK


def _widened(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


class _ChunkedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, boundaries: Boundaries, scale: float, track_max: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(q, k, v)
        ctx.boundaries, ctx.scale = boundaries, scale
        out = torch.empty_like(q[..., :1]).expand(*q.shape[:-1], v.shape[-1]).contiguous()
        max_H = torch.full((q.shape[1],), -torch.inf, dtype=torch.float32, device=q.device)
        for span in boundaries.spans:
            scores_HQK = _scores(q[span.row], k[span.row], span, scale)
            if track_max:
                torch.maximum(max_H, scores_HQK.amax(dim=(1, 2)).float(), out=max_H)
            weights_HQK = torch.softmax(scores_HQK, dim=-1).to(v.dtype)
            out[span.row, :, span.start : span.end] = torch.bmm(weights_HQK, v[span.row, :, span.first_key : span.end])
        ctx.mark_non_differentiable(max_H)
        return out, max_H

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        grad_out = grads[0]
        grad_q, grad_k, grad_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for span in ctx.boundaries.spans:
            row, queries, keys = span.row, slice(span.start, span.end), slice(span.first_key, span.end)
            weights_HQK = torch.softmax(_scores(q[row], k[row], span, ctx.scale), dim=-1)
            grad_HQV = grad_out[row, :, queries]
            grad_v[row, :, keys] += torch.bmm(weights_HQK.to(v.dtype).mT, grad_HQV)
            grad_weights_HQK = torch.bmm(_widened(grad_HQV), _widened(v[row, :, keys]).mT)
            grad_scores_HQK = torch._softmax_backward_data(grad_weights_HQK, weights_HQK, -1, weights_HQK.dtype)
            grad_scores_HQK = grad_scores_HQK.to(q.dtype)
            grad_q[row, :, queries] = torch.bmm(grad_scores_HQK, k[row, :, keys]) * ctx.scale
            grad_k[row, :, keys] += torch.bmm(grad_scores_HQK.mT, q[row, :, queries] * ctx.scale)
        return grad_q, grad_k, grad_v, None, None, None
