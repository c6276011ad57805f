"""Bytes that a rank sends per optimizer step, by kind of traffic.

A ring over n ranks sends (n − 1)/n of what it reduces or gathers, once in each direction of ZeRO-1. What telemetry and
QK-Clip send is left out: at Kimi K2's size the maxima are 16 kB.
"""

from dataclasses import dataclass

from training.model.config import ModelConfig
from training.planning.layout import Layout
from training.planning.memory import GRADIENT_BYTES, WEIGHT_BYTES, RankMemory

ACTIVATION_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes sent by a rank in one step.

    Attributes:
        experts: rows to the experts of other ranks and back, forward and backward.
        experts_between_nodes: the part of them that leaves the node.
        pipeline: hidden states to the next stage and their gradients to the one before.
        gradients: reduced to the owners.
        weights: sent by the owners after the update.
    """

    experts: int
    experts_between_nodes: int
    pipeline: int
    gradients: int
    weights: int

    @property
    def between_nodes(self) -> int:
        """What passes the links between nodes, if only the expert-parallel ranks next to each other share one."""
        return self.experts_between_nodes + self.pipeline + self.gradients + self.weights


def rank_traffic(config: ModelConfig, layout: Layout, memory: RankMemory, n_per_node: int) -> Traffic:
    """The traffic of a rank in the middle of the pipeline with the layers and parameters of `memory`.

    A token's row goes to each of its K experts and comes back, and so do the gradients: 4 · K rows per mixture layer,
    with evenly chosen experts (ep − 1)/ep of them to other ranks. No row is sent once for several experts of a node.
    """
    n_tokens = layout.rows // layout.n_readers * config.context_length
    hidden_state = ACTIVATION_BYTES * config.hidden_size * n_tokens
    rows = 4 * config.n_active_experts * hidden_state * memory.n_moe_layers
    n_others = memory.n_parameters - memory.n_expert_parameters
    ring = memory.n_expert_parameters * _ring(layout.dp) + n_others * _ring(layout.n_readers)
    return Traffic(
        experts=round(rows * _ring(layout.ep)),
        experts_between_nodes=round(rows * (1 - min(n_per_node, layout.ep) / layout.ep)),
        pipeline=2 * layout.vpp * hidden_state if layout.pp > 1 else 0,
        gradients=round(GRADIENT_BYTES * ring),
        weights=round(WEIGHT_BYTES * ring),
    )


def _ring(n_ranks: int) -> float:
    return (n_ranks - 1) / n_ranks
