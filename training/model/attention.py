"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1) that records each head's largest logit.

Shapes: B rows, S positions, M hidden size, H heads, D = N + R components of a query or key head (N without position, R
rotated), V components of a value head.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.data.boundaries import Boundaries
from training.model.chunked_attention import chunked_attention
from training.model.config import ModelConfig
from training.model.flex_attention import flex_attention_with_max
from training.model.rms_norm import RMSNorm
from training.model.rotary import RotaryTable

# DeepSeek-V3 normalises the latents with this epsilon, whatever the config sets for the other norms.
LATENT_NORM_EPS = 1e-6

# Queries, keys, values, boundaries, scale, whether to track maxima; returns the output and each head's maximum.
Attend = Callable[[Tensor, Tensor, Tensor, Boundaries, float, bool], tuple[Tensor, Tensor]]


class LogitMaxima(nn.Module):
    """The largest attention logit of each head since the last reset: over micro-batches, before any clamping.

    -inf before the first forward pass in training mode. Reset between steps, hence not part of the saved state.
    """

    max_H: Tensor

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.enabled = True
        self.register_buffer("max_H", torch.full((n_heads,), -torch.inf, dtype=torch.float32), persistent=False)

    @torch.no_grad()
    def record(self, max_H: Tensor) -> None:
        torch.maximum(self.max_H, max_H.to(self.max_H), out=self.max_H)

    def reset(self) -> None:
        self.max_H.fill_(-torch.inf)


class LatentAttention(nn.Module):
    """Queries and keys-with-values come through low-rank latents; one rotated key is shared by all heads.

    Parameters have the names that `DeepseekV3ForCausalLM` gives them. `attend` None is what is fast for long rows
    on the device; `dense_attention` is for short ones.
    """

    attend: Attend | None = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        hidden, heads = config.hidden_size, config.n_heads
        if config.q_rank is None:
            self.q_proj = nn.Linear(hidden, heads * config.qk_head_dim, bias=False)
        else:
            self.q_a_proj = nn.Linear(hidden, config.q_rank, bias=False)
            self.q_a_layernorm = RMSNorm(config.q_rank, eps=LATENT_NORM_EPS)
            self.q_b_proj = nn.Linear(config.q_rank, heads * config.qk_head_dim, bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(hidden, config.kv_rank + config.rope_head_dim, bias=False)
        self.kv_a_layernorm = RMSNorm(config.kv_rank, eps=LATENT_NORM_EPS)
        self.kv_b_proj = nn.Linear(config.kv_rank, heads * (config.nope_head_dim + config.v_head_dim), bias=False)
        self.o_proj = nn.Linear(heads * config.v_head_dim, hidden, bias=False)
        self.maxima = LogitMaxima(heads)

    def forward(self, x_BSM: Tensor, rotary: RotaryTable, boundaries: Boundaries) -> Tensor:
        q_BHSD, k_BHSD, v_BHSV = self.project(x_BSM, rotary)
        attend = self.attend or (flex_attention_with_max if x_BSM.is_cuda else chunked_attention)
        track_max = self.training and self.maxima.enabled
        out_BHSV, max_H = attend(q_BHSD, k_BHSD, v_BHSV, boundaries, self.config.attention_scale, track_max)
        if track_max:
            self.maxima.record(max_H)
        return self.o_proj(out_BHSV.transpose(1, 2).flatten(2))

    def project(self, x_BSM: Tensor, rotary: RotaryTable) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys (B, H, S, D) with positions applied, and values (B, H, S, V)."""
        c = self.config
        n_rows, length, _ = x_BSM.shape
        q = self.q_proj(x_BSM) if c.q_rank is None else self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x_BSM)))
        q_nope, q_rope = (
            q.view(n_rows, length, c.n_heads, -1).transpose(1, 2).split([c.nope_head_dim, c.rope_head_dim], dim=-1)
        )
        latent, k_rope = self.kv_a_proj_with_mqa(x_BSM).split([c.kv_rank, c.rope_head_dim], dim=-1)
        kv = self.kv_b_proj(self.kv_a_layernorm(latent)).view(n_rows, length, c.n_heads, -1).transpose(1, 2)
        k_nope, v_BHSV = kv.split([c.nope_head_dim, c.v_head_dim], dim=-1)
        k_rope = rotary.rotate(k_rope[:, None]).expand(-1, c.n_heads, -1, -1)
        q_BHSD = torch.cat([q_nope, rotary.rotate(q_rope)], dim=-1)
        return q_BHSD, torch.cat([k_nope, k_rope], dim=-1), v_BHSV
