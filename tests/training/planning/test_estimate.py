from dataclasses import replace

import pytest

from training.model.presets import kimi_k2
from training.planning.estimate import H800, first_limit, list_layouts
from training.planning.layout import Layout
from training.planning.memory import rank_memories
from training.planning.traffic import rank_traffic


def test_traffic_of_kimi_k2_by_hand() -> None:
    """16,384 rows of 4,096 tokens over 16 · 8 ranks: 524,288 tokens a rank, through 4 mixture layers of 8 experts."""
    config, layout = kimi_k2(), Layout.parse("pp=16,ep=16,dp=8")
    memory = rank_memories(config, layout)[1]
    traffic = rank_traffic(config, layout, memory, n_per_node=8)
    row = 524_288 * 7168 * 2
    assert traffic.experts == 4 * 4 * 8 * row * 15 // 16
    assert traffic.experts_between_nodes == traffic.experts * 8 // 15
    assert traffic.pipeline == 2 * row
    n_experts, n_others = memory.n_expert_parameters, memory.n_parameters - memory.n_expert_parameters
    assert traffic.gradients == pytest.approx(4 * (n_experts * 7 / 8 + n_others * 127 / 128))
    assert traffic.weights * 2 == pytest.approx(traffic.gradients, abs=2)


def test_one_rank_sends_nothing() -> None:
    config, layout = kimi_k2(), Layout()
    traffic = rank_traffic(config, layout, rank_memories(config, layout)[0], n_per_node=8)
    assert (traffic.experts, traffic.between_nodes) == (0, 0)


def test_every_preset_has_its_row_or_the_reason_why_not() -> None:
    rows = {row["name"]: row for row in list_layouts(Layout.parse("pp=16,ep=16,dp=8"))}
    assert rows["nano"]["error"].startswith("4 layers do not fill 16")
    assert rows["kimi_k2"]["first_limit"].endswith("they fit if recomputed")
    assert rows["kimi_k2"]["bubble_share"] == pytest.approx(15 / 143)
    assert len(rows["deepseek_v3"]["ranks"]) == 16


def test_limits_are_met_in_their_order() -> None:
    memory = rank_memories(kimi_k2(), Layout.parse("pp=16,ep=16,dp=8"))[1]
    needed = memory.states + memory.recomputed

    def limit(gb: float, wire_s: float = 1.0) -> str:
        return first_limit(memory, 10.0, wire_s, 0.1, replace(H800, memory=gb * 1e9))

    assert limit(memory.states / 1e9 - 1).startswith("memory: states")
    assert "even when recomputed" in limit(needed / 1e9 - 1)
    assert "they fit if recomputed" in limit(needed / 1e9 + 1)
    assert limit(1000) == "time: computation"
    assert limit(1000, wire_s=11.0) == "time: links between nodes"
