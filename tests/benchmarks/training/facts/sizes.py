"""The sizes of the laboratory, and its models."""

from dataclasses import dataclass, replace
from typing import Any

from training.model.config import ModelConfig

# Sizes that the data do not depend on: they may differ between the runs on one world.
OF_TRAINING = (
    *("rows_per_step", "hidden_size", "n_layers", "momentum", "warmup_share", "decay_share"),
    *("n_tuning_steps", "tuning_batch", "tuning_lr"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Everything but the arms, seeds, learning rates and weight decays.

    `fact_share` is the share of trained tokens that rewrites take; the rest is background. `n_people` are read about;
    questions about the first half are for tuning, about the second half for testing. `n_control` are in no document.
    """

    n_people: int = 256
    n_control: int = 64
    n_exposures: int = 64
    fact_share: float = 0.2
    vocab_size: int = 4096
    row_length: int = 256
    rows_per_step: int = 32
    hidden_size: int = 256
    n_layers: int = 4
    momentum: float = 0.9
    warmup_share: float = 0.05
    decay_share: float = 0.4
    n_tuning_steps: int = 120
    tuning_batch: int = 64
    tuning_lr: float = 1e-3
    section_characters: int = 2000
    max_sections: int = 100_000
    world_seed: int = 1

    def replace(self, **changes: Any) -> "Sizes":
        return replace(self, **changes)

    @classmethod
    def tiny(cls) -> "Sizes":
        """For trying the code: nothing is learnt."""
        return cls(
            n_people=8,
            n_control=2,
            n_exposures=4,
            vocab_size=600,
            row_length=384,
            rows_per_step=8,
            hidden_size=32,
            n_layers=2,
            n_tuning_steps=3,
            tuning_batch=8,
            max_sections=40,
        )


ARCHITECTURES = ("dense", "moe")


def model_config(architecture: str, sizes: Sizes, vocab_size: int) -> ModelConfig:
    """A dense model, or a mixture of experts that computes as much for each token.

    Of 16 experts 3 are chosen, and one is shared; each is a quarter as wide as the dense layer. The first layer of both
    is dense.
    """
    ffn_size = 3 * sizes.hidden_size
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=sizes.hidden_size,
        n_layers=sizes.n_layers,
        n_dense_layers=sizes.n_layers if architecture == "dense" else 1,
        n_heads=4,
        q_rank=None,
        kv_rank=64,
        nope_head_dim=32,
        rope_head_dim=16,
        v_head_dim=32,
        dense_ffn_size=ffn_size,
        expert_ffn_size=ffn_size // 4,
        n_experts=16,
        n_active_experts=3,
        context_length=sizes.row_length,
    )
