"""Predefined model shapes, each a function that returns a complete config."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from training.model.config import ModelConfig

# The vocabulary of SmolLM2's tokenizer, the default of the small presets.
SMALL_VOCAB_SIZE = 49_152


def nano(vocab_size: int = SMALL_VOCAB_SIZE) -> ModelConfig:
    """Trains in minutes on two CPU cores."""
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=192,
        n_layers=4,
        n_dense_layers=1,
        n_heads=4,
        q_rank=96,
        kv_rank=64,
        nope_head_dim=32,
        rope_head_dim=16,
        v_head_dim=32,
        dense_ffn_size=512,
        expert_ffn_size=128,
        n_experts=16,
        n_active_experts=4,
        context_length=1024,
    )


def micro(vocab_size: int = SMALL_VOCAB_SIZE) -> ModelConfig:
    """Trains in hours on a many-core CPU or minutes on a GPU."""
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=512,
        n_layers=8,
        n_dense_layers=1,
        n_heads=8,
        q_rank=256,
        kv_rank=128,
        nope_head_dim=64,
        rope_head_dim=32,
        v_head_dim=64,
        dense_ffn_size=1408,
        expert_ffn_size=256,
        n_experts=32,
        n_active_experts=4,
        context_length=2048,
    )


def mini(vocab_size: int = SMALL_VOCAB_SIZE) -> ModelConfig:
    """Fits on one GPU together with its optimizer state."""
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=1024,
        n_layers=16,
        n_dense_layers=1,
        n_heads=16,
        q_rank=512,
        kv_rank=256,
        nope_head_dim=64,
        rope_head_dim=32,
        v_head_dim=64,
        dense_ffn_size=2816,
        expert_ffn_size=512,
        n_experts=64,
        n_active_experts=6,
        context_length=4096,
    )


def deepseek_v3(vocab_size: int = 129_280) -> ModelConfig:
    """DeepSeek-V3 (arXiv 2412.19437, section 4.2) without its multi-token-prediction module."""
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=7168,
        n_layers=61,
        n_dense_layers=3,
        n_heads=128,
        q_rank=1536,
        kv_rank=512,
        nope_head_dim=128,
        rope_head_dim=64,
        v_head_dim=128,
        dense_ffn_size=18_432,
        expert_ffn_size=2048,
        n_experts=256,
        n_active_experts=8,
        n_expert_groups=8,
        n_active_groups=4,
        init_std=0.006,
    )


def kimi_k2(vocab_size: int = 163_840) -> ModelConfig:
    """Kimi K2 (arXiv 2507.20534, table 2): more experts and fewer heads than DeepSeek-V3, and no expert groups.

    1,026,408,209,408 parameters, as in the published checkpoint. The report's 1.04 T is that plus one module of
    multi-token prediction, which is not published and not part of this decoder.
    """
    return deepseek_v3(vocab_size).replace(
        n_dense_layers=1,
        n_heads=64,
        n_experts=384,
        n_expert_groups=1,
        n_active_groups=1,
        routed_scaling=2.827,
        rope_theta=50_000.0,
    )


PRESETS: dict[str, Callable[..., ModelConfig]] = {
    preset.__name__: preset for preset in (nano, micro, mini, deepseek_v3, kimi_k2)
}


def preset(name: str, vocab_size: int | None = None) -> ModelConfig:
    """The preset called `name`, with its own vocabulary size unless one is given.

    Raises:
        ValueError: there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]() if vocab_size is None else PRESETS[name](vocab_size)


def list_presets() -> list[dict[str, Any]]:
    """A JSON-ready row for each preset: name, n_parameters, n_active_parameters and the shape."""
    configs = {name: build() for name, build in PRESETS.items()}
    return [
        {
            "name": name,
            "n_parameters": config.n_parameters(),
            "n_active_parameters": config.n_active_parameters(),
            "shape": asdict(config),
        }
        for name, config in configs.items()
    ]
