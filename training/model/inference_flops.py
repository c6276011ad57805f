"""What one more token costs a model at inference, by the length of the context it attends to.

Each parameter in a matrix product takes two operations for a token, at any context length. Attention adds, in each
layer and head, one product of query and key and one weighted value per token of the context:

    attention = 2 · layers · heads · (qk_head_dim + v_head_dim) · context

This is the cost of whole heads, as a prompt is read. Decoding from the latents instead takes products of
2·kv_rank + rope_head_dim per head: fewer bytes, but more operations.

Kimi K2 (arXiv 2507.20534, section 2.3) has half of DeepSeek-V3's heads because with 128 instead of 64 "with a sequence
length of 128k … an 83% increase in inference FLOPs". The report gives no formula. In this one the wider attention costs
83 % more at 128,000 tokens (0.835 of the total with 64 heads); the wider projections, which it adds, make it 86 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.model.config import ModelConfig
from training.model.presets import PRESETS

CONTEXTS = (1_000, 8_000, 32_000, 128_000)


@dataclass(frozen=True, slots=True)
class InferenceFlops:
    """Floating-point operations of one token: in products with parameters, and in attention to its context."""

    parameters: float
    attention: float

    @property
    def total(self) -> float:
        return self.parameters + self.attention


def inference_flops(config: ModelConfig, n_context: int) -> InferenceFlops:
    """The forward pass of one token that attends to `n_context` tokens."""
    head = config.qk_head_dim + config.v_head_dim
    return InferenceFlops(
        parameters=2.0 * config.n_multiplied_parameters(),
        attention=2.0 * config.n_layers * config.n_heads * head * n_context,
    )


def list_inference_flops(contexts: Sequence[int] = CONTEXTS) -> list[dict[str, Any]]:
    """A JSON-ready row for each preset and context, with the same model with twice the heads beside it.

    Increases are shares of the total: all that the further heads cost, and their attention alone, without their
    projections.
    """
    rows = []
    for name, build in PRESETS.items():
        config = build()
        wider = config.replace(n_heads=2 * config.n_heads)
        for n_context in contexts:
            flops, more = inference_flops(config, n_context), inference_flops(wider, n_context)
            rows.append(
                {
                    "name": name,
                    "n_context": n_context,
                    "n_heads": config.n_heads,
                    "flops_per_token": flops.total,
                    "flops_of_parameters": flops.parameters,
                    "flops_of_attention": flops.attention,
                    "increase_with_twice_the_heads": more.total / flops.total - 1,
                    "increase_of_attention_alone": (more.attention - flops.attention) / flops.total,
                }
            )
    return rows
