"""The gate of a mixture-of-experts layer: sigmoid scores, a selection bias, and the two ways to keep experts balanced.

Shapes: T tokens, M hidden size, E experts, K active experts, G expert groups.

The bias enters the selection only; weights are the chosen scores, renormalised and scaled (DeepSeek-V3, arXiv
2412.19437, section 2.1.2, which also gives both balance rules).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.model.config import ModelConfig


class Gate(nn.Module):
    """Chooses K experts for each token and counts the tokens routed to each expert."""

    e_score_correction_bias: Tensor
    load_E: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.n_experts, config.hidden_size))
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_experts))
        # Tokens per expert since the last bias update, over micro-batches; zero between steps, hence not saved.
        self.register_buffer("load_E", torch.zeros(config.n_experts), persistent=False)

    def forward(self, x_TM: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The experts of each token (T, K), their weights (T, K), and all scores (T, E), in float32."""
        with torch.autocast(x_TM.device.type, enabled=False):
            scores_TE = F.linear(x_TM.float(), self.weight.float()).sigmoid()
        chosen_TK = self.select(scores_TE.detach())
        weights_TK = scores_TE.gather(1, chosen_TK)
        weights_TK = weights_TK / (weights_TK.sum(dim=-1, keepdim=True) + 1e-20) * self.config.routed_scaling
        if self.training:
            self.load_E += torch.bincount(chosen_TK.flatten(), minlength=self.config.n_experts)
        return chosen_TK, weights_TK, scores_TE

    def select(self, scores_TE: Tensor) -> Tensor:
        """The K best experts by biased score, within the best groups if there are groups."""
        c = self.config
        biased_TE = scores_TE + self.e_score_correction_bias
        if c.n_expert_groups > 1:
            grouped_TGe = biased_TE.unflatten(1, (c.n_expert_groups, -1))
            group_scores_TG = grouped_TGe.topk(2, dim=-1).values.sum(dim=-1)
            allowed_TG = torch.zeros_like(group_scores_TG, dtype=torch.bool)
            allowed_TG.scatter_(1, group_scores_TG.topk(c.n_active_groups, dim=-1).indices, True)
            biased_TE = grouped_TGe.masked_fill(~allowed_TG[..., None], -torch.inf).flatten(1)
        return biased_TE.topk(c.n_active_experts, dim=-1).indices

    @torch.no_grad()
    def update_bias(self, speed: float) -> None:
        """Balance without a loss: raise the bias of experts below the mean load, lower it above; then reset the load.

        `b += speed · (sign(e) − mean sign(e))` with e = mean load − load. Subtracting the mean keeps the biases from
        drifting together. A step in which nothing was routed changes nothing.
        """
        direction_E = torch.sign(self.load_E.mean() - self.load_E)
        self.e_score_correction_bias += speed * (direction_E - direction_E.mean())
        self.load_E.zero_()


def sequence_balance_loss(scores_TE: Tensor, chosen_TK: Tensor, n_rows: int) -> Tensor:
    """The sequence-wise balance loss, 1 when perfectly even: `Σ_i f_i P_i`, averaged over rows.

    f_i is the share of a row's choices that went to expert i, times E; P_i is the mean of its normalised scores.
    """
    n_experts = scores_TE.shape[1]
    chosen_BC = chosen_TK.view(n_rows, -1)
    counts_BE = torch.zeros(n_rows, n_experts, device=scores_TE.device)
    counts_BE.scatter_add_(1, chosen_BC, torch.ones_like(chosen_BC, dtype=counts_BE.dtype))
    frequency_BE = counts_BE * (n_experts / chosen_BC.shape[1])
    share_TE = scores_TE / scores_TE.sum(dim=-1, keepdim=True)
    share_BE = share_TE.view(n_rows, -1, n_experts).mean(dim=1)
    return (frequency_BE * share_BE).sum(dim=-1).mean()
