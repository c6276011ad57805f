"""The shape of a model: a decoder as in DeepSeek-V3 (arXiv 2412.19437) and Kimi K2 (arXiv 2507.20534)."""

import math
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """YaRN: rotary positions stretched over `factor` times the context that the model was first trained with.

    `beta_fast` and `beta_slow` are turns within that context: faster pairs of components keep their frequency, slower
    ones are slowed by `factor`. `mscale` sharpens the rotated components and `mscale_all_dim` all of them. The defaults
    are those of DeepSeek-V3; Kimi K2 has a factor of 32 and 1 for both betas.
    """

    factor: float
    original_context_length: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float = 1.0
    mscale_all_dim: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.factor < math.inf:
            raise ValueError(f"the factor of rope scaling is {self.factor}; it must be 1 or more")
        for name in ("original_context_length", "beta_slow"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} of rope scaling is {getattr(self, name)}; it must be above 0")
        if self.beta_fast < self.beta_slow:
            raise ValueError(f"beta_fast is {self.beta_fast}, but beta_slow is {self.beta_slow}; it cannot be lower")

    def sharpening(self, mscale: float) -> float:
        """`0.1 · mscale · ln(factor) + 1` (YaRN, equation 22)."""
        return 0.1 * mscale * math.log(self.factor) + 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """All sizes of a decoder, validated on construction; `replace` returns a changed copy.

    A query or key head has `nope_head_dim + rope_head_dim` components; only the latter are rotated by position.
    `q_rank` None means that queries are projected directly from the hidden state. `context_length` counts positions
    after `rope_scaling`, if there is any.
    """

    vocab_size: int
    hidden_size: int
    n_layers: int
    n_dense_layers: int
    n_heads: int
    q_rank: int | None
    kv_rank: int
    nope_head_dim: int
    rope_head_dim: int
    v_head_dim: int
    dense_ffn_size: int
    expert_ffn_size: int
    n_experts: int
    n_active_experts: int
    n_shared_experts: int = 1
    n_expert_groups: int = 1
    n_active_groups: int = 1
    routed_scaling: float = 2.5
    norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    context_length: int = 4096
    init_std: float = 0.02

    def __post_init__(self) -> None:
        optional = {"n_dense_layers", "q_rank", "rope_scaling"}
        for name in self.__slots__:
            value = getattr(self, name)
            if name not in optional and value <= 0:
                raise ValueError(f"{name} is {value!r}; it must be above 0")
        if self.q_rank is not None and self.q_rank <= 0:
            raise ValueError(f"q_rank is {self.q_rank}; set it above 0, or to None for a direct query projection")
        if not 0 <= self.n_dense_layers <= self.n_layers:
            raise ValueError(
                f"n_dense_layers is {self.n_dense_layers}; it must be between 0 and {self.n_layers} layers"
            )
        if self.rope_head_dim % 2:
            raise ValueError(f"rope_head_dim is {self.rope_head_dim}; rotation pairs components, so it must be even")
        if self.n_experts % self.n_expert_groups:
            raise ValueError(f"{self.n_experts} experts do not divide into {self.n_expert_groups} equal groups")
        if self.n_active_groups > self.n_expert_groups:
            raise ValueError(f"n_active_groups is {self.n_active_groups}, but there are {self.n_expert_groups} groups")
        # A group is scored by the sum of its two best experts (DeepSeek-V3, section 2.1.2).
        if self.n_expert_groups > 1 and self.n_experts // self.n_expert_groups < 2:
            raise ValueError(
                f"a group of {self.n_experts // self.n_expert_groups} expert cannot be scored; use two or more"
            )
        selectable = self.n_active_groups * (self.n_experts // self.n_expert_groups)
        if self.n_active_experts > selectable:
            raise ValueError(f"n_active_experts is {self.n_active_experts}, but only {selectable} can be selected")

    @property
    def qk_head_dim(self) -> int:
        return self.nope_head_dim + self.rope_head_dim

    @property
    def attention_scale(self) -> float:
        """What query–key products are multiplied by: `qk_head_dim^(-1/2)`, sharpened twice if there is rope scaling."""
        scaling = self.rope_scaling
        return self.qk_head_dim**-0.5 * (1.0 if scaling is None else scaling.sharpening(scaling.mscale_all_dim) ** 2)

    @property
    def n_moe_layers(self) -> int:
        return self.n_layers - self.n_dense_layers

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ModelConfig":
        """From what `asdict` gives; a config written before there was rope scaling has none."""
        scaling = value.get("rope_scaling")
        return cls(**{**value, "rope_scaling": None if scaling is None else RopeScaling(**scaling)})

    def replace(self, **changes: Any) -> "ModelConfig":
        return replace(self, **changes)

    def stretched(self, factor: float) -> "ModelConfig":
        """The same model with its context extended by YaRN to `factor` times what it was first trained with."""
        scaling = self.rope_scaling
        original = self.context_length if scaling is None else scaling.original_context_length
        extended = RopeScaling(factor=factor, original_context_length=original)
        return self.replace(rope_scaling=extended, context_length=int(original * factor))

    def n_parameters(self) -> int:
        """Parameters of the whole model, without the gates' selection biases, which are buffers."""
        return self._count(self.n_experts)

    def n_active_parameters(self) -> int:
        """Parameters left when every layer keeps only as many routed experts as one token uses.

        Both the embedding and the output head count, as in K2's published 32.6 B.
        """
        return self._count(self.n_active_experts)

    def n_multiplied_parameters(self) -> int:
        """Active parameters in matrix products: without the embedding, of which a token only looks up one row."""
        return self.n_active_parameters() - self.vocab_size * self.hidden_size

    def flops_per_token(self, sequence_length: int) -> float:
        """Training operations for one token: 6 per parameter in a matrix product, and causal attention."""
        attention = 6 * self.n_layers * self.n_heads * (self.qk_head_dim + self.v_head_dim) * sequence_length / 2
        return 6 * self.n_multiplied_parameters() + attention

    def _count(self, n_experts: int) -> int:
        hidden, heads = self.hidden_size, self.n_heads
        queries = heads * self.qk_head_dim
        attention = queries * hidden if self.q_rank is None else self.q_rank * (hidden + 1 + queries)
        attention += (self.kv_rank + self.rope_head_dim) * hidden + self.kv_rank
        attention += heads * (self.nope_head_dim + self.v_head_dim) * self.kv_rank + heads * self.v_head_dim * hidden
        dense = 3 * hidden * self.dense_ffn_size
        moe = 3 * hidden * self.expert_ffn_size * (n_experts + self.n_shared_experts) + self.n_experts * hidden
        layers = self.n_layers * (attention + 2 * hidden) + self.n_dense_layers * dense + self.n_moe_layers * moe
        return layers + 2 * self.vocab_size * hidden + hidden
