import pytest
import torch
from training.boundaries import Boundaries
from training.config import ModelConfig


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture
def tiny() -> ModelConfig:
    """Two layers, one of them a mixture: milliseconds on a CPU."""
    return ModelConfig(
        vocab_size=61,
        hidden_size=32,
        n_layers=2,
        n_dense_layers=1,
        n_heads=2,
        q_rank=16,
        kv_rank=16,
        nope_head_dim=8,
        rope_head_dim=4,
        v_head_dim=12,
        dense_ffn_size=48,
        expert_ffn_size=24,
        n_experts=6,
        n_active_experts=2,
        context_length=64,
        init_std=0.1,
    )


@pytest.fixture
def packed() -> Boundaries:
    """Two rows of 10: pieces of 4 + 6 and of 7 + 1 + 2."""
    return Boundaries(torch.tensor([[0] * 4 + [4] * 6, [0] * 7 + [7] + [8] * 2]))
