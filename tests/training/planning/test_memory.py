import pytest
import torch
from torch import Tensor

from training.data.boundaries import Boundaries
from training.model.attention import RotaryTable
from training.model.config import ModelConfig
from training.model.decoder import Decoder, Layer
from training.model.presets import deepseek_v3, kimi_k2, nano
from training.optimizer.parameter_rules import assign, deepseek_rules
from training.planning.layout import Layout, virtual_stages
from training.planning.memory import (
    ADAMW_STATE_BYTES,
    MUON_STATE_BYTES,
    activation_bytes,
    largest_optimizer_state,
    rank_memories,
)


@pytest.mark.parametrize("config", [kimi_k2(), deepseek_v3()], ids=["kimi_k2", "deepseek_v3"])
def test_a_rank_holds_the_parameters_of_its_layers_built_alone(config: ModelConfig) -> None:
    """Each pipeline rank's layers with 1/16 of the experts, as modules on the meta device, gates of full width."""
    layout = Layout(pp=16, ep=16)
    memories = rank_memories(config, layout)
    ends = (config.vocab_size * config.hidden_size, config.vocab_size * config.hidden_size + config.hidden_size)
    for memory, (layers,) in zip(memories, virtual_stages(config, layout), strict=True):
        with torch.device("meta"):
            held = [Layer(config.replace(n_experts=config.n_experts // 16), layer) for layer in layers]
        n_gate_rows = (config.n_experts - config.n_experts // 16) * memory.n_moe_layers
        expected = sum(p.numel() for layer in held for p in layer.parameters()) + n_gate_rows * config.hidden_size
        expected += ends[0] * (memory.rank == 0) + ends[1] * (memory.rank == 15)
        assert memory.n_parameters == expected
    n_others = sum(memory.n_parameters - memory.n_expert_parameters for memory in memories)
    assert n_others + 16 * sum(memory.n_expert_parameters for memory in memories) == config.n_parameters()


def test_kimi_k2_takes_what_its_report_says() -> None:
    """Section 2.4.2: weights and gradients about 6 TB over 256 GPUs, about 30 GB of states on each."""
    assert 6 * kimi_k2().n_parameters() == pytest.approx(6e12, rel=0.03)
    fullest = max(rank_memories(kimi_k2(), Layout(pp=16, ep=16, dp=8)), key=lambda memory: memory.states)
    assert fullest.weights + fullest.gradients == pytest.approx(30e9, rel=0.05)
    with_many_replicas = rank_memories(kimi_k2(), Layout(pp=16, ep=16, dp=64))[1]
    assert with_many_replicas.states == pytest.approx(30e9, rel=0.05)


def test_optimizer_state_has_one_owner_and_falls_as_one_over_the_replicas() -> None:
    config = nano(vocab_size=1024)
    with torch.device("meta"):
        assignments = assign(Decoder(config).named_parameters(), deepseek_rules(config))
    whole = sum(
        a.parameter.numel() * (MUON_STATE_BYTES if a.rule.optimizer == "muon" else ADAMW_STATE_BYTES)
        for a in assignments
    )
    assert largest_optimizer_state(assignments, Layout()) == whole
    largest = [largest_optimizer_state(assignments, Layout(dp=n)) for n in (2, 4, 8)]
    assert [n * size / whole for n, size in zip((2, 4, 8), largest, strict=True)] == pytest.approx([1, 1, 1], abs=0.1)
    # With one replica of the experts, their state cannot be divided further than the experts are.
    assert largest_optimizer_state(assignments, Layout(ep=2)) == pytest.approx(whole / 2, rel=0.1)


@pytest.mark.parametrize("index", [0, 1])
def test_activations_are_what_autograd_saves(index: int) -> None:
    config = kimi_k2(vocab_size=64).replace(
        hidden_size=448, n_heads=4, q_rank=96, kv_rank=32, nope_head_dim=32, rope_head_dim=16, v_head_dim=32,
        dense_ffn_size=1152, expert_ffn_size=128, n_experts=24, n_active_experts=8,
    )  # fmt: skip
    n_tokens, layer = 512, Layer(config, index).bfloat16()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    rows = Boundaries.whole_rows(1, n_tokens)
    rotary = RotaryTable(rows.positions_BS, config.rope_head_dim, config.rope_theta)
    weights = {parameter.data_ptr() for parameter in layer.parameters()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights and tensor.numel() >= n_tokens:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    x = torch.randn(1, n_tokens, config.hidden_size, dtype=torch.bfloat16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(x, rotary, rows)
    measured = sum(tensor.untyped_storage().nbytes() for tensor in saved.values()) / n_tokens
    assert activation_bytes(config, is_dense=index == 0) == pytest.approx(measured, rel=0.02)


def test_recomputation_keeps_the_input_of_each_layer_and_one_whole_layer() -> None:
    config = kimi_k2()
    memory = rank_memories(config, Layout(pp=16, ep=16, dp=8))[1]
    n_tokens = config.context_length
    assert memory.activations == 15 * 4 * n_tokens * activation_bytes(config, is_dense=False)
    assert memory.recomputed == n_tokens * (15 * 4 * 2 * 7168 + activation_bytes(config, is_dense=False))
