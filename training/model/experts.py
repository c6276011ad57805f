"""The routed experts: tokens sorted by expert, then one grouped matrix product per projection.

Shapes: T tokens, K active experts, C = T·K choices sorted by expert, E experts, M hidden size, F expert size.

The work per token does not depend on E: each choice is one row of a grouped product. On GPUs (compute capability 8.0
and above, bfloat16; untested) `torch.nn.functional.grouped_mm` is one kernel; on CPUs it is one product per
expert over a contiguous slice.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.model.config import ModelConfig
from training.parallel import local


class Experts(nn.Module):
    """SwiGLU experts with stacked weights: gate over up (E, 2F, M) and down (E, M, F), as transformers stacks them.

    On a process that holds only some of the experts, E counts these.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(config.n_experts, 2 * config.expert_ffn_size, config.hidden_size))
        self.down_proj = nn.Parameter(torch.empty(config.n_experts, config.hidden_size, config.expert_ffn_size))

    def forward(self, x_TM: Tensor, chosen_TK: Tensor, weights_TK: Tensor) -> Tensor:
        """The weighted sum of each token's experts (T, M)."""
        gate_up_proj, down_proj = local(self.gate_up_proj), local(self.down_proj)
        n_active = chosen_TK.shape[1]
        order_C = torch.argsort(chosen_TK.flatten(), stable=True)
        ends_E = torch.bincount(chosen_TK.flatten(), minlength=len(down_proj)).cumsum(0).to(torch.int32)
        dtype = product_dtype(x_TM)
        x_CM = gather_choices(x_TM.to(dtype), order_C, n_active)
        gate_CF, up_CF = F.grouped_mm(x_CM, gate_up_proj.to(dtype).mT, offs=ends_E).chunk(2, dim=-1)
        hidden_CF = F.silu(gate_CF) * up_CF * weights_TK.flatten()[order_C, None].to(dtype)
        out_CM = F.grouped_mm(hidden_CF, down_proj.to(dtype).mT, offs=ends_E)
        return sum_choices(out_CM, order_C, n_active).to(x_TM.dtype)


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which matrix products of `x` run here."""
    return torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype


def gather_choices(x_TM: Tensor, order_C: Tensor, n_active: int) -> Tensor:
    """The token of every choice, in the order of the choices (C, M)."""
    return _GatherChoices.apply(x_TM, order_C, n_active)


def sum_choices(out_CM: Tensor, order_C: Tensor, n_active: int) -> Tensor:
    """The sum over the choices of every token (T, M)."""
    return _SumChoices.apply(out_CM, order_C, n_active)


def _inverse(order_C: Tensor) -> Tensor:
    inverse_C = torch.empty_like(order_C)
    inverse_C[order_C] = torch.arange(order_C.numel(), device=order_C.device)
    return inverse_C


class _GatherChoices(torch.autograd.Function):
    """Row c of the result is token `order[c] // K`.

    Backward sums a token's K rows in a fixed order, so runs repeat bit for bit, which scatter-add does not guarantee.
    """

    @staticmethod
    def forward(ctx: Any, x_TM: Tensor, order_C: Tensor, n_active: int) -> Tensor:
        ctx.save_for_backward(order_C)
        ctx.n_active = n_active
        return x_TM[order_C // n_active]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (order_C,) = ctx.saved_tensors
        return grads[0][_inverse(order_C)].unflatten(0, (-1, ctx.n_active)).sum(dim=1), None, None


class _SumChoices(torch.autograd.Function):
    """The sum of each token's K rows: the transpose of `_GatherChoices`."""

    @staticmethod
    def forward(ctx: Any, out_CM: Tensor, order_C: Tensor, n_active: int) -> Tensor:
        ctx.save_for_backward(order_C)
        ctx.n_active = n_active
        return out_CM[_inverse(order_C)].unflatten(0, (-1, n_active)).sum(dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (order_C,) = ctx.saved_tensors
        return grads[0][order_C // ctx.n_active], None, None
