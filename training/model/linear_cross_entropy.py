"""Output head and cross-entropy fused, a block of tokens at a time, so that the full logits never exist at once.

Shapes: T tokens, M hidden size, L vocabulary, Q tokens of a block.

At 4,096 tokens and a vocabulary of 49,152 the logits and their gradient would take 1.6 GB in float32. The gradients are
computed in the forward pass, while a block's logits are in memory, and scaled by the incoming gradient in the backward.
"""

from typing import Any

import torch
from torch import Tensor

BLOCK_TOKENS = 512


def linear_cross_entropy(
    hidden_TM: Tensor, head_LM: Tensor, targets_T: Tensor, weights_T: Tensor, z_weight: float = 0.0
) -> tuple[Tensor, Tensor]:
    """`Σ_t weights_t · (loss_t + z_weight · ln² Z_t)` as a scalar, and every token's own loss (T,) without gradient.

    Losses are in nats, float32. Z_t is the normaliser of a token's soft-max, and its penalty the z-loss of PaLM (arXiv
    2204.02311, section 5, which weighs it with 1e-4): logits cannot drift to where bfloat16 is coarse.
    Matrix products run in the autocast dtype if autocast is on; the softmax runs in float32.
    """
    device = hidden_TM.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_TM.dtype
    total, losses_T = _LinearCrossEntropy.apply(hidden_TM, head_LM, targets_T, weights_T, dtype, z_weight)
    return total, losses_T


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_TM: Tensor,
        head_LM: Tensor,
        targets_T: Tensor,
        weights_T: Tensor,
        dtype: torch.dtype,
        z_weight: float,
    ) -> tuple[Tensor, Tensor]:
        head = head_LM.to(dtype)
        wants_grad = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        losses_T = torch.empty(hidden_TM.shape[0], dtype=torch.float32, device=hidden_TM.device)
        normalisers_T = torch.empty_like(losses_T)  # ln Z
        grad_hidden = torch.empty_like(hidden_TM) if wants_grad else None
        grad_head = torch.zeros_like(head_LM) if wants_grad else None
        for start in range(0, hidden_TM.shape[0], BLOCK_TOKENS):
            block = slice(start, start + BLOCK_TOKENS)
            hidden_QM, targets_Q = hidden_TM[block].to(dtype), targets_T[block, None]
            logits_QL = (hidden_QM @ head.T).float()
            target_logits_Q = logits_QL.gather(1, targets_Q)
            top_Q, best_Q = logits_QL.max(dim=-1, keepdim=True)
            # In place: passes over the logits, of 100 MB a block, cost as much as their products.
            softmax_QL = torch.softmax(logits_QL, dim=-1, out=logits_QL)
            # The log of the normaliser from the most likely word, whose probability cannot underflow.
            normalisers_Q = top_Q - softmax_QL.gather(1, best_Q).log()
            losses_T[block] = (normalisers_Q - target_logits_Q)[:, 0]
            normalisers_T[block] = normalisers_Q[:, 0]
            if grad_hidden is None or grad_head is None:
                continue
            # d(w · loss)/d(logits) = w · (softmax − onehot); w scales rows, so the narrow factors can take it.
            weights_Q = weights_T[block, None]
            if z_weight:  # d(ln² Z)/d(logits) = 2 · ln Z · softmax
                softmax_QL.mul_(1 + 2 * z_weight * normalisers_Q)
            grad_QL = softmax_QL.scatter_add_(1, targets_Q, torch.full_like(top_Q, -1.0)).to(dtype)
            grad_hidden[block] = (grad_QL @ head) * weights_Q
            weighted_QM = (hidden_QM * weights_Q).to(dtype)
            if dtype == grad_head.dtype:
                grad_head.addmm_(grad_QL.T, weighted_QM)
            else:
                grad_head += grad_QL.T @ weighted_QM
        if grad_hidden is not None and grad_head is not None:
            ctx.save_for_backward(grad_hidden, grad_head)
        ctx.mark_non_differentiable(losses_T)
        return ((losses_T + z_weight * normalisers_T.square()) * weights_T).sum(), losses_T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_head = ctx.saved_tensors
        return grad_hidden * grads[0], grad_head * grads[0], None, None, None, None
