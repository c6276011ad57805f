"""The gate of a mixture-of-experts layer: sigmoid scores, a selection bias, and the ways to keep experts balanced.

Shapes: T tokens, M hidden size, E experts, K active experts, G expert groups, H bins of a histogram.

The bias enters the selection only; weights are the chosen scores, renormalised and scaled (DeepSeek-V3, arXiv
2412.19437, section 2.1.2, which also gives the sign step of the bias and the sequence-wise loss). In place of the sign
step, the bias can be set to a quantile (Kimi K3, arXiv 2607.24653, section 2.3.3; first in kexue.fm/archives/11619).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.model.config import ModelConfig

# Bins of each expert's histogram of margins, as many as in K3's report (appendix D).
N_MARGIN_BINS = 1000


def require_one_cut_off(config: ModelConfig) -> None:
    """Check that quantile balancing can balance the gates of a model.

    Raises:
        ValueError: they have expert groups, in which a token has no single cut-off, or all experts are active.
    """
    c = config
    if c.n_expert_groups > 1 or c.n_active_experts == c.n_experts:
        raise ValueError(
            f"quantile balancing is for gates that choose among all experts, not for {c.n_active_experts} of "
            f"{c.n_experts} in {c.n_expert_groups} groups; balance by the sign step"
        )


class Gate(nn.Module):
    """Chooses K experts for each token and counts the tokens routed to each expert."""

    e_score_correction_bias: Tensor
    load_E: Tensor
    margins_EH: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.n_experts, config.hidden_size))
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_experts))
        # Tokens per expert since the last bias update, over micro-batches; zero between steps, hence not saved.
        self.register_buffer("load_E", torch.zeros(config.n_experts), persistent=False)
        # Likewise, by how much each expert's score was below the cut-off of a token; no bins unless they are counted.
        self.register_buffer("margins_EH", torch.zeros(config.n_experts, 0), persistent=False)

    def balance_by_quantile(self) -> None:
        """Count margins from now on, and let `update_bias` set the bias to their quantile.

        Raises:
            ValueError: as `require_one_cut_off`.
        """
        require_one_cut_off(self.config)
        self.margins_EH = torch.zeros(self.config.n_experts, N_MARGIN_BINS, device=self.load_E.device)

    def forward(self, x_TM: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The experts of each token (T, K), their weights (T, K), and all scores (T, E), in float32."""
        with torch.autocast(x_TM.device.type, enabled=False):
            scores_TE = F.linear(x_TM.float(), self.weight.float()).sigmoid()
        chosen_TK = self.select(scores_TE.detach())
        weights_TK = scores_TE.gather(1, chosen_TK)
        weights_TK = weights_TK / (weights_TK.sum(dim=-1, keepdim=True) + 1e-20) * self.config.routed_scaling
        if self.training:
            self.load_E += torch.bincount(chosen_TK.flatten(), minlength=self.config.n_experts)
            if self.margins_EH.numel():
                self._count_margins(scores_TE.detach())
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
    def update_bias(self, speed: float, sum_over_ranks: Callable[[Tensor], Tensor] = lambda counts: counts) -> None:
        """Balance without a loss: raise the bias of experts below the mean load, lower it above; then reset the counts.

        `b += speed · (sign(e) − mean sign(e))` with e = mean load − load. Subtracting the mean keeps the biases from
        drifting together. A step in which nothing was routed changes nothing. With quantile balancing, the bias is set
        at once, whatever the speed; only a speed of 0 freezes it.

        Args:
            sum_over_ranks: adds up the margins of all ranks in place; `load_E` is expected to be added up already.
        """
        if not self.margins_EH.numel():
            direction_E = torch.sign(self.load_E.mean() - self.load_E)
            self.e_score_correction_bias += speed * (direction_E - direction_E.mean())
        elif speed:
            self._set_to_quantile(sum_over_ranks(self.margins_EH))
        self.reset_counts()

    def reset_counts(self) -> None:
        self.load_E.zero_()
        self.margins_EH.zero_()

    def _count_margins(self, scores_TE: Tensor) -> None:
        """Add each token's margins to the histograms: its cut-off, the (K + 1)-th best biased score, minus each score.

        A score in (0, 1) and biases bound them by `_margin_range`.
        """
        cutoff_T1 = (scores_TE + self.e_score_correction_bias).topk(self.config.n_active_experts + 1).values[:, -1:]
        low, high = self._margin_range()
        share_TE = (cutoff_T1 - scores_TE - low) / (high - low)
        bin_TE = (share_TE * N_MARGIN_BINS).long().clamp(0, N_MARGIN_BINS - 1)
        self.margins_EH.scatter_add_(1, bin_TE.mT, torch.ones_like(share_TE.mT))

    def _set_to_quantile(self, margins_EH: Tensor) -> None:
        """Set each bias to the K/E quantile of its expert's margins, and subtract the mean over experts.

        A token chooses an expert whose bias exceeds its margin, so with this bias K/E of the tokens would have chosen
        it, the same share for every expert. Within a bin, margins count as evenly spread.
        """
        cumulative_EH = margins_EH.double().cumsum(dim=1)
        target_E1 = cumulative_EH[:, -1:] * (self.config.n_active_experts / self.config.n_experts)
        if not target_E1.all():
            return
        bin_E1 = torch.searchsorted(cumulative_EH, target_E1)
        count_E1 = margins_EH.gather(1, bin_E1)
        within_E1 = 1 - (cumulative_EH.gather(1, bin_E1) - target_E1) / count_E1
        low, high = self._margin_range()
        quantile_E = low + (high - low) * (bin_E1 + within_E1).squeeze(1) / N_MARGIN_BINS
        self.e_score_correction_bias.copy_(quantile_E - quantile_E.mean())

    def _margin_range(self) -> tuple[Tensor, Tensor]:
        bias_E = self.e_score_correction_bias
        return bias_E.min() - 1, bias_E.max() + 1


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
