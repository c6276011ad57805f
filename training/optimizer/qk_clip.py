"""QK-Clip: after the update, shrink the query and key weights of every head whose logits passed τ (K2, section 2.1).

Shapes: L attention layers, H heads, R rows and m columns of a weight.

For a head with maximum logit S > τ, γ = τ/S multiplies both terms of its logits, so recomputing the same batch would
give exactly γ·S. Plain attention shares γ between queries and keys. In latent attention, non-rotary queries and keys
get √γ each; the rotary key is shared by all heads and stays unchanged, so the rotary query takes all of γ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.model.attention import LogitMaxima
from training.model.decoder import Decoder
from training.parallel import local, local_rows

THRESHOLD = 100.0


@dataclass(frozen=True, slots=True)
class HeadRows:
    """Rows of a weight (or entries of a bias) that belong to the heads, and the power of γ that scales them.

    The parameter's first dimension is H equal blocks, one per head; the rows are `[start, end)` of a block.
    """

    parameter: Tensor
    start: int
    end: int
    power: float

    @torch.no_grad()
    def scale(self, gamma_H: Tensor) -> None:
        factor_R = torch.ones(len(self.parameter))
        factor_R.view(len(gamma_H), -1)[:, self.start : self.end] = (gamma_H**self.power)[:, None]
        # A process may hold any of the rows: a part of a head, or parts of several.
        own_Rm = local(self.parameter.detach())
        factor_R = factor_R[local_rows(self.parameter)].to(own_Rm)
        own_Rm.mul_(factor_R.view(-1, *[1] * (own_Rm.ndim - 1)))


@dataclass(frozen=True, slots=True)
class ClippedLayer:
    """One attention layer: its recorded maxima, and the rows to scale."""

    name: str
    maxima: LogitMaxima
    rows: tuple[HeadRows, ...]


@dataclass(frozen=True, slots=True)
class ClipReport:
    """The clip of one step, on the CPU: unclamped maxima (-inf for a layer that did not run) and the factors γ."""

    max_logit_LH: Tensor
    gamma_LH: Tensor

    @property
    def max_logit(self) -> float:
        return float(self.max_logit_LH.max())

    @property
    def share_clipped(self) -> float:
        return float((self.gamma_LH < 1).float().mean())


@dataclass
class QKClip:
    """Applied once after each optimizer update. All layers must have the same number of heads.

    `n_steps` and `n_clipped_LH` are totals since the start of training.
    """

    layers: Sequence[ClippedLayer]
    threshold: float = THRESHOLD
    report: ClipReport | None = field(default=None, init=False)
    n_steps: int = field(default=0, init=False)
    n_clipped_LH: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if not self.threshold > 0:  # true for nan too
            raise ValueError(f"the QK-Clip threshold is {self.threshold}; it must be above 0")
        if not self.layers:
            raise ValueError("QK-Clip received no attention layers; omit it for a model without attention")
        n_heads = {len(layer.maxima.max_H) for layer in self.layers}
        if len(n_heads) > 1:
            raise ValueError(f"all layers must have the same number of heads, not {sorted(n_heads)}")
        self.n_clipped_LH = torch.zeros(len(self.layers), n_heads.pop(), dtype=torch.int64)

    @torch.no_grad()
    def apply(self) -> ClipReport:
        """Clip by the maxima of all ranks since the last call, then reset them.

        A head that did not run, or whose maximum is not positive or not finite, is left unchanged: stopping
        at a non-finite maximum is up to the trainer, and the clip must not destroy weights.
        """
        max_logit_LH = torch.stack([layer.maxima.max_H for layer in self.layers])
        if dist.is_available() and dist.is_initialized():
            # One message for all layers and heads.
            dist.all_reduce(max_logit_LH, op=dist.ReduceOp.MAX)
        max_logit_LH = max_logit_LH.cpu()
        clipped_LH = (max_logit_LH > self.threshold) & max_logit_LH.isfinite()
        gamma_LH = torch.where(clipped_LH, self.threshold / max_logit_LH, 1.0)
        for layer, gamma_H, is_clipped_H in zip(self.layers, gamma_LH, clipped_LH, strict=True):
            if is_clipped_H.any():
                for rows in layer.rows:
                    rows.scale(gamma_H)
            layer.maxima.reset()
        self.n_steps += 1
        self.n_clipped_LH += clipped_LH
        self.report = ClipReport(max_logit_LH, gamma_LH)
        return self.report

    def state_dict(self) -> dict[str, Any]:
        return {"n_steps": self.n_steps, "n_clipped": self.n_clipped_LH.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n_steps, self.n_clipped_LH = int(state["n_steps"]), state["n_clipped"].clone()


def latent_attention_layers(model: Decoder) -> list[ClippedLayer]:
    """The clipped layers of our `Decoder`; one that is on another process is there without rows to scale."""
    c, own = model.config, dict(model.own_layers())
    layers = []
    for index in range(c.n_layers):
        name = f"layers.{index}.self_attn"
        if index in own:
            attention = own[index].self_attn
            layers.append(ClippedLayer(name, attention.maxima, latent_rows(attention, c.nope_head_dim, c.qk_head_dim)))
        else:
            layers.append(ClippedLayer(name, LogitMaxima(c.n_heads).to(model.device), ()))
    return layers


def latent_rows(attention: nn.Module, nope_head_dim: int, qk_head_dim: int) -> tuple[HeadRows, ...]:
    """The rows of a latent attention layer with DeepSeek-V3's parameter names."""
    query = getattr(attention, "q_b_proj", None) or attention.q_proj
    keys = attention.kv_b_proj
    assert isinstance(query, nn.Linear)
    assert isinstance(keys, nn.Linear)
    return (
        HeadRows(query.weight, 0, nope_head_dim, 0.5),
        HeadRows(query.weight, nope_head_dim, qk_head_dim, 1.0),
        HeadRows(keys.weight, 0, nope_head_dim, 0.5),
    )
