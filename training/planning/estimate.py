"""What a layout costs for each preset, and which limit it meets first."""

from dataclasses import asdict, dataclass
from typing import Any

from training.model.config import ModelConfig
from training.model.presets import PRESETS
from training.planning.layout import Layout
from training.planning.memory import RankMemory, rank_memories
from training.planning.traffic import rank_traffic

GB = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A GPU and its node: bytes of memory, dense bfloat16 operations per second, bytes per second to other nodes."""

    name: str
    memory: float
    flops: float
    link: float
    n_per_node: int


# What DeepSeek-V3 (arXiv 2412.19437, section 3.1) and Kimi K2 (arXiv 2507.20534, section 2.4.1) were trained on: eight
# GPUs a node, each with a link of 400 Gb/s.
H800 = Device(name="H800", memory=80e9, flops=989e12, link=50e9, n_per_node=8)


def list_layouts(layout: Layout, device: Device = H800) -> list[dict[str, Any]]:
    """A JSON-ready row for each preset; where the layout does not fit one, `error` says why, and nothing else is there.

    Memory is that of the fullest pipeline rank, in bytes; `ranks` has all of them. Traffic is in bytes per step and
    rank. The seconds are those of a step at the device's limits, which no run reaches.
    """
    return [{"name": name} | _row(build(), layout, device) for name, build in PRESETS.items()]


def _row(config: ModelConfig, layout: Layout, device: Device) -> dict[str, Any]:
    try:
        memories = rank_memories(config, layout)
    except ValueError as error:
        return {"error": str(error)}
    fullest = max(memories, key=lambda memory: memory.states + memory.activations)
    traffic = rank_traffic(config, layout, fullest, device.n_per_node)
    n_tokens = layout.rows * config.context_length
    compute_s = n_tokens * config.flops_per_token(config.context_length) / (layout.n_processes * device.flops)
    wire_s = traffic.between_nodes / device.link
    return {
        "n_ranks": layout.n_processes,
        "n_tokens_per_step": n_tokens,
        "fullest": _memory_row(fullest),
        "traffic": asdict(traffic),
        "bubble_share": layout.bubble_share,
        "compute_s": compute_s,
        "between_nodes_s": wire_s,
        "first_limit": first_limit(fullest, compute_s, wire_s, layout.bubble_share, device),
        "ranks": [_memory_row(memory) for memory in memories],
    }


def _memory_row(memory: RankMemory) -> dict[str, int]:
    return asdict(memory) | {"weights": memory.weights, "gradients": memory.gradients}


def first_limit(memory: RankMemory, compute_s: float, wire_s: float, bubble_share: float, device: Device) -> str:
    """The first thing that stops or slows the run: memory, then the largest of what a step spends its time on."""
    room = device.memory - memory.states
    if room < 0:
        return f"memory: states of {memory.states / GB:.1f} GB on a {device.name} of {device.memory / GB:.0f} GB"
    if memory.recomputed > room:
        return f"memory: {memory.recomputed / GB:.1f} GB of activations, even when recomputed, in {room / GB:.1f} GB"
    if memory.activations > room:
        return f"memory: {memory.activations / GB:.1f} GB of activations in {room / GB:.1f} GB; they fit if recomputed"
    bubble_s = compute_s * bubble_share / (1 - bubble_share)
    seconds = {"computation": compute_s, "links between nodes": wire_s, "bubble": bubble_s}
    return f"time: {max(seconds, key=seconds.__getitem__)}"
