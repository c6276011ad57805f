"""What the ranks of a layout hold: weights, gradients, optimizer state by owner, and activations.

Bytes per parameter are those of mixed precision as Kimi K2 used it (arXiv 2507.20534, section 2.4.2): weights in
bfloat16 and gradients, added up over micro-batches, in float32 on every rank that has the parameter; float32 weights
and optimizer state only at the owner (ZeRO-1, arXiv 1910.02054). Muon needs whole matrices: each has one owner.

Shapes: N matrices of n × m; letters of `ModelConfig`'s sizes as in the modules of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.optimizer.newton_schulz import newton_schulz_flops
from training.optimizer.owners import assign_longest_first
from training.optimizer.parameter_rules import Assignment, assign, deepseek_rules
from training.planning.layout import Layout, virtual_stages

WEIGHT_BYTES, GRADIENT_BYTES = 2, 4
# Float32 weights, and the momentum of Muon or both moments of AdamW, as `MuonClip` keeps them.
MUON_STATE_BYTES, ADAMW_STATE_BYTES = 8, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RankMemory:
    """Bytes of one pipeline rank: of that of its ep · dp ranks whose optimizer state is largest.

    `n_parameters` counts what the rank holds, `n_expert_parameters` the routed experts among them. `recomputed` is what
    `activations` shrink to if only the input of each layer is kept and layers are computed again, one at a time.
    """

    rank: int
    n_layers: int
    n_moe_layers: int
    n_parameters: int
    n_expert_parameters: int
    optimizer: int
    activations: int
    recomputed: int

    @property
    def weights(self) -> int:
        return WEIGHT_BYTES * self.n_parameters

    @property
    def gradients(self) -> int:
        return GRADIENT_BYTES * self.n_parameters

    @property
    def states(self) -> int:
        """All but activations."""
        return self.weights + self.gradients + self.optimizer


def rank_memories(config: ModelConfig, layout: Layout) -> list[RankMemory]:
    """What each pipeline rank holds, counted on the model as it is built, on the meta device.

    Raises:
        ValueError: the layout does not fit the model.
    """
    with torch.device("meta"):
        model = Decoder(config)
    assignments = assign(model.named_parameters(), deepseek_rules(config))
    memories = []
    for rank, stages in enumerate(virtual_stages(config, layout)):
        layers = [layer for stage in stages for layer in stage]
        held = [a for a in assignments if _is_held(a.name, layers, rank, layout.pp)]
        experts = [a for a in held if _is_expert(a)]
        n_expert_parameters = sum(a.parameter.numel() for a in experts) // layout.ep
        n_others = sum(a.parameter.numel() for a in held) - sum(a.parameter.numel() for a in experts)
        per_layer = [activation_bytes(config, layer < config.n_dense_layers) for layer in layers]
        # Virtual stages of a rank differ by at most one layer: its mean stage stands for those in flight.
        n_kept = layout.n_in_flight(rank) * layout.micro * config.context_length / layout.vpp
        memories.append(
            RankMemory(
                rank=rank,
                n_layers=len(layers),
                n_moe_layers=sum(layer >= config.n_dense_layers for layer in layers),
                n_parameters=n_expert_parameters + n_others,
                n_expert_parameters=n_expert_parameters,
                optimizer=largest_optimizer_state(held, layout),
                activations=round(n_kept * sum(per_layer)),
                recomputed=round(
                    n_kept * len(layers) * 2 * config.hidden_size
                    + layout.micro * config.context_length * max(per_layer)
                ),
            )
        )
    return memories


def largest_optimizer_state(assignments: Sequence[Assignment], layout: Layout) -> int:
    """Bytes at the rank that owns most of a stage's optimizer state.

    Muon's matrices go, the costliest to orthogonalise first, to the rank that has least to do so far: an expert to one
    of the dp ranks that hold it, any other matrix to one of all ep · dp ranks. AdamW works element by element, so its
    state is cut into equal parts.
    """
    muon = [a for a in assignments if a.rule.optimizer == "muon"]
    experts = [matrix for a in muon if _is_expert(a) for matrix in _matrices(a, layout.ep)]
    others = [matrix for a in muon if not _is_expert(a) for matrix in _matrices(a)]
    # All expert-parallel ranks own equally much of their experts.
    ranks = _share_out(experts, [(0, 0)] * layout.dp) * layout.ep
    largest = max(size for _, size in _share_out(others, ranks))
    n_adamw = sum(a.parameter.numel() for a in assignments if a.rule.optimizer == "adamw")
    return largest + -(-n_adamw // layout.n_readers) * ADAMW_STATE_BYTES


def activation_bytes(config: ModelConfig, is_dense: bool) -> int:
    """Bytes per token that one layer keeps for its backward pass, in bfloat16, with balanced experts.

    What autograd saves of our modules: for each norm its input and its normalised value in float32 and its result in
    bfloat16, which is also the input of the projections after it; queries and keys with positions, the keys-with-values
    projection (of which values are a view) and the output of attention, but no scores. A SwiGLU keeps gate, its SiLU,
    up and their product. The experts keep these, the weighted product, and a row of input, for every chosen expert; the
    gate keeps its input and the scores in float32.
    """
    c = config
    norms = 2 * c.hidden_size + (c.q_rank or 0) + c.kv_rank
    heads = c.n_heads * (2 * c.qk_head_dim + c.nope_head_dim + 2 * c.v_head_dim)
    attention = 10 * norms + 2 * heads
    if is_dense:
        return attention + 2 * 4 * c.dense_ffn_size
    routed = 2 * c.n_active_experts * (c.hidden_size + 5 * c.expert_ffn_size)
    shared = 2 * 4 * c.n_shared_experts * c.expert_ffn_size
    return attention + 4 * (c.hidden_size + c.n_experts) + routed + shared


def _is_held(name: str, layers: Sequence[int], rank: int, pp: int) -> bool:
    """Whether a pipeline rank holds a parameter: the embedding is on the first, the last norm and head on the last."""
    if name.startswith("layers."):
        return int(name.split(".")[1]) in layers
    return rank == (0 if name.startswith("embed_tokens") else pp - 1)


def _is_expert(assignment: Assignment) -> bool:
    return ".mlp.experts." in assignment.name


def _matrices(assignment: Assignment, ep: int = 1) -> list[tuple[int, int]]:
    """Cost of orthogonalising, in operations of one step, and state bytes of each matrix on one of `ep` ranks."""
    found = []
    for n_matrices, n, m in assignment.rule.layout.matrix_shapes(assignment.parameter.shape):
        found += [(newton_schulz_flops(n, m), n * m * MUON_STATE_BYTES)] * (n_matrices // ep)
    return found


def _share_out(matrices: Sequence[tuple[int, int]], ranks: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(cost, bytes) of each rank with the matrices, (cost, bytes) as well, that it owns in addition to what it had."""
    costs = {number: cost for number, (cost, _) in enumerate(matrices)}
    owned = assign_longest_first(costs, len(ranks), [cost for cost, _ in ranks])
    return [
        (cost + sum(costs[n] for n in mine), size + sum(matrices[n][1] for n in mine))
        for (cost, size), mine in zip(ranks, owned, strict=True)
    ]
