"""Expert parallelism: every token's hidden state travels to the processes that hold its experts, and back.

Shapes: T tokens of this process, K active experts, C = T·K choices sorted by expert, R rows received, E experts of the
whole layer, P processes that divide them, M hidden size.

For two processes with two experts each, a process whose tokens chose the experts 3 0 1 3 sends the rows of 0 1 to the
first process and those of 3 3 to the second. What it receives comes sorted by sender, and by expert within a sender.
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed._functional_collectives import all_to_all_single_autograd

from training.model.experts import gather_choices, product_dtype, sum_choices

RunExperts = Callable[[Tensor, Tensor, Tensor], Tensor]


class ExpertDispatch:
    """The forward pass of `Experts`, whose `run_experts` computes the `n_experts / P` that this process holds."""

    def __init__(self, run_experts: RunExperts, n_experts: int, group: dist.ProcessGroup) -> None:
        self._run_experts, self._n_experts, self._group = run_experts, n_experts, group

    def __call__(self, x_TM: Tensor, chosen_TK: Tensor, weights_TK: Tensor) -> Tensor:
        """The weighted sum of each token's experts (T, M), wherever they are."""
        n_active = chosen_TK.shape[1]
        order_C = torch.argsort(chosen_TK.flatten(), stable=True)
        sent_PE = torch.bincount(chosen_TK.flatten(), minlength=self._n_experts).view(self._group.size(), -1)
        received_PE = torch.empty_like(sent_PE)
        dist.all_to_all_single(received_PE, sent_PE, group=self._group)
        n_sent, n_received = sent_PE.sum(dim=1).tolist(), received_PE.sum(dim=1).tolist()
        dtype = product_dtype(x_TM)
        x_CM = gather_choices(x_TM.to(dtype), order_C, n_active)
        # One message: the weight travels as one more column of its row.
        rows_CM = torch.cat([x_CM, weights_TK.flatten()[order_C, None].to(dtype)], dim=1)
        rows_RM = all_to_all_single_autograd(rows_CM, n_received, n_sent, self._group)
        own_E = torch.arange(received_PE.shape[1], device=x_TM.device)
        chosen_R = own_E.repeat(len(n_received)).repeat_interleave(received_PE.flatten())
        out_RM = self._run_experts(rows_RM[:, :-1], chosen_R[:, None], rows_RM[:, -1:])
        out_CM = all_to_all_single_autograd(out_RM, n_sent, n_received, self._group)
        return sum_choices(out_CM, order_C, n_active).to(x_TM.dtype)
