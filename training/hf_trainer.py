"""MuonClip for transformers models: an attention function that records maxima, and a `Trainer` that clips with them.

    trainer = MuonClipTrainer(model=model, args=TrainingArguments(learning_rate=2e-3, weight_decay=0.1, ...), ...)
    trainer.train()

DeepSeek-V3 and Llama-style models (separate q, k, v projections, with or without grouped-query attention) work as they
are; other models need their own `Rule`s. Gates of mixture-of-experts models keep transformers' behaviour.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel, Trainer
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from training.huggingface import from_hf_config
from training.model.attention import LogitMaxima
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import Rule, deepseek_rules, llama_rules
from training.optimizer.qk_clip import THRESHOLD, ClippedLayer, HeadRows, QKClip, latent_rows

ATTENTION = "palimpsest_max_logits"
QUERY_BLOCK = 256


def max_logits(
    q_BHSD: Tensor, k_BHKD: Tensor, visible_BxSK: Tensor | None, scale: float, is_causal: bool = True
) -> Tensor:
    """The largest visible `scale · q·k` of each head (H,), computed one block of queries at a time.

    Args:
        visible_BxSK: a boolean or additive mask; None with `is_causal` for queries at the end of the keys, each
            seeing the keys up to itself.
    """
    max_H = torch.full((q_BHSD.shape[1],), -torch.inf, dtype=torch.float32, device=q_BHSD.device)
    n_queries, n_keys = q_BHSD.shape[2], k_BHKD.shape[2]
    keys_K = torch.arange(n_keys, device=q_BHSD.device)
    for start in range(0, n_queries, QUERY_BLOCK):
        queries_Q = torch.arange(start, min(start + QUERY_BLOCK, n_queries), device=q_BHSD.device)
        scores_BHQK = q_BHSD[:, :, start : start + QUERY_BLOCK] @ k_BHKD.mT * scale
        if visible_BxSK is not None:
            mask = visible_BxSK[:, :, start : start + QUERY_BLOCK, :n_keys]
            hidden = ~mask if mask.dtype == torch.bool else mask < 0
            scores_BHQK = scores_BHQK.masked_fill(hidden, -torch.inf)
        elif is_causal:
            hidden = keys_K[None, :] > queries_Q[:, None] + (n_keys - n_queries)
            scores_BHQK = scores_BHQK.masked_fill(hidden, -torch.inf)
        max_H = torch.maximum(max_H, scores_BHQK.amax(dim=(0, 2, 3)).float())
    return max_H


def attention_with_maxima(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' scaled-dot-product attention; in training it also records each head's largest logit."""
    if module.training and isinstance(kept := getattr(module, "logit_maxima", None), LogitMaxima):
        with torch.no_grad():
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            keys = repeat_kv(key, query.shape[1] // key.shape[1])
            kept.record(max_logits(query, keys, attention_mask, scale, getattr(module, "is_causal", True)))
    out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    return out, None


def track_max_logits(model: PreTrainedModel) -> list[ClippedLayer]:
    """Switch the model to `attention_with_maxima`, and return its attention layers for QK-Clip.

    Raises:
        ValueError: an attention layer whose logits do not scale with its projections, or no attention layer.
    """
    AttentionInterface.register(ATTENTION, attention_with_maxima)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)
    layers = []
    for name, module in model.named_modules():
        if not hasattr(module, "o_proj") or not (hasattr(module, "k_proj") or hasattr(module, "kv_b_proj")):
            continue
        if hasattr(module, "q_norm") or hasattr(module, "k_norm"):
            raise ValueError(
                f"{name} normalises its queries or keys after projecting them, so scaling the projections cannot bound "
                "its logits, and need not; train this model without QK-Clip (qk_clip=False)"
            )
        if getattr(module, "attn_logit_softcapping", None) or hasattr(module, "sinks"):
            raise ValueError(
                f"{name} caps its logits or has attention sinks, which the attention that records maxima does not "
                "compute; train this model without QK-Clip (qk_clip=False)"
            )
        n_heads = module.config.num_attention_heads
        module.logit_maxima = LogitMaxima(n_heads).to(next(module.parameters()).device)
        layers.append(ClippedLayer(name, module.logit_maxima, _rows(module)))
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no attention layer with q, k and o projections that QK-Clip supports"
        )
    return layers


def _rows(module: Any) -> tuple[HeadRows, ...]:
    if hasattr(module, "kv_b_proj"):
        return latent_rows(module, module.qk_nope_head_dim, module.qk_head_dim)
    # Keys shared by several query heads cannot be scaled for one of them: the queries take all of γ instead.
    shared = module.config.num_key_value_heads != module.config.num_attention_heads
    projections = [(module.q_proj, 1.0)] if shared else [(module.q_proj, 0.5), (module.k_proj, 0.5)]
    return tuple(
        HeadRows(parameter, 0, module.head_dim, power)
        for projection, power in projections
        for parameter in (projection.weight, projection.bias)
        if parameter is not None
    )


def rules_for(model: PreTrainedModel) -> list[Rule]:
    """Rules for DeepSeek-V3 models, or Llama's for all others; `MuonClip` rejects parameters they do not cover."""
    config = model.config
    if config.model_type == "deepseek_v3":
        return deepseek_rules(from_hf_config(config))
    return llama_rules(config.num_attention_heads, config.num_key_value_heads)


class MuonClipTrainer(Trainer):
    """`transformers.Trainer` with MuonClip; learning rate and weight decay come from its `TrainingArguments`.

    Args:
        rules: which optimizer updates which parameter; None for `rules_for(model)`.
        clip_threshold: QK-Clip's τ.
        qk_clip: False for models that bound their logits themselves (Qwen 3's norms, Gemma 2's soft-cap): Muon and
            AdamW alone, with the model's own attention.
    """

    optimizer: Any

    def __init__(
        self,
        *arguments: Any,
        rules: Sequence[Rule] | None = None,
        clip_threshold: float = THRESHOLD,
        qk_clip: bool = True,
        **named_arguments: Any,
    ) -> None:
        super().__init__(*arguments, **named_arguments)
        self._rules, self._clip_threshold, self._qk_clip = rules, clip_threshold, qk_clip

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            config = MuonClipConfig(lr=self.args.learning_rate, weight_decay=self.args.weight_decay)
            clip = QKClip(track_max_logits(self.model), self._clip_threshold) if self._qk_clip else None
            rules = rules_for(self.model) if self._rules is None else self._rules
            self.optimizer = MuonClip(self.model.named_parameters(), rules, config, clip)
        return self.optimizer

    def log(self, logs: dict[str, float], *arguments: Any, **named_arguments: Any) -> None:
        """Adds the largest logit and the share of clipped heads of the last step."""
        # accelerate wraps the optimizer.
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        if isinstance(optimizer, MuonClip) and optimizer.clip is not None and optimizer.clip.report is not None:
            report = optimizer.clip.report
            logs = {**logs, "max_logit": report.max_logit, "share_clipped": report.share_clipped}
        super().log(logs, *arguments, **named_arguments)
