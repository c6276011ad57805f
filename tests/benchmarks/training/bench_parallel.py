"""What each layout of two processes costs: time per step, bytes sent, optimizer state.

All layouts take turns in the same two processes, each with one thread, on the same rows; one process trains all of them
alone for comparison. Bytes are those that a process sends when every collective runs as a ring, as NCCL and gloo do for
large messages: (n − 1)/n of what an all-gather or a reduce-scatter handles, twice that for an all-reduce. Bytes and
state are those of the process that has most of them: the stages of a pipeline are not equal.

    python tests/benchmarks/training/bench_parallel.py [--preset nano] [--rows 8] [--micro-batch-rows 2] [--length 256]
        [--rounds 5]
"""

import argparse
import os
import socket
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.distributed_c10d import _resolve_process_group
from torch.utils._python_dispatch import TorchDispatchMode

from training.data.batch import Batch
from training.model.decoder import Decoder
from training.model.presets import PRESETS, preset
from training.optimizer.gradient_norm import clip_gradients
from training.optimizer.muon_clip import MuonClip
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import QKClip, latent_attention_layers
from training.parallel import MeshSizes, Ranks, Sharding, join, local
from training.sharding.micro_batches import PassOptions
from training.sharding.parallelize import parallelize
from training.sharding.pipeline import step_passes

N_PROCESSES = 2
VOCAB_SIZE = 8192
LAYOUTS: tuple[tuple[str, Sharding], ...] = (
    ("dp=2", "none"),
    ("dp=2", "optimizer"),
    ("dp=2", "weights"),
    ("ep=2", "none"),
    ("ep=2", "optimizer"),
    ("ep=2", "weights"),
    ("pp=2", "none"),
)
# What a ring sends of the larger of a collective's two tensors, in units of (n − 1)/n. A hidden state is sent as it is.
SENT = {
    "_allgather_base_": 1,
    "_reduce_scatter_base_": 1,
    "allreduce_": 2,
    "alltoall_base_": 1,
    "all_to_all_single": 1,
    "broadcast_": 1,
    "send": N_PROCESSES / (N_PROCESSES - 1),
}


class CountBytes(TorchDispatchMode):
    """Adds up what this process sends in collectives of more than one process."""

    def __init__(self) -> None:
        super().__init__()
        self.n_bytes = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        arguments = torch.utils._pytree.tree_leaves((args, kwargs))
        n = next((n for argument in arguments if (n := group_size(argument))), 1)
        name = func._schema.name.partition("::")[2]
        if func.namespace in ("c10d", "_c10d_functional") and name in SENT:
            largest = max(argument.nbytes for argument in arguments if isinstance(argument, Tensor))
            self.n_bytes += SENT[name] * largest * (n - 1) / n
        return func(*args, **(kwargs or {}))


def group_size(argument: Any) -> int | None:
    """The number of processes of a collective's group, which it gets as an object or by name."""
    if isinstance(argument, torch.ScriptObject):
        return dist.ProcessGroup.unbox(argument).size() if "ProcessGroup" in str(argument._type()) else None
    if isinstance(argument, str) and argument.isdigit():
        return _resolve_process_group(argument).size()  # type: ignore[arg-type]
    return None


def trainee(name: str, rows: int, micro_batch_rows: int, length: int, ranks: Ranks) -> tuple[Callable[[], None], int]:
    """A function that takes one step, and the bytes of optimizer state on this process."""
    config = preset(name, VOCAB_SIZE)
    with torch.device("meta"):
        model = Decoder(config)
    model = parallelize(model, ranks).to_empty(device="cpu").initialise(0).train()
    # Alone it must not wait for the maxima of the other process.
    clip = None if ranks.world_size == 1 else QKClip(latent_attention_layers(model))
    optimizer = MuonClip(model.named_parameters(), deepseek_rules(config), clip=clip, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, VOCAB_SIZE, (rows, length + 1), generator=generator)
    own = tokens[ranks.reader * rows // ranks.n_readers : (ranks.reader + 1) * rows // ranks.n_readers]
    starts, unused = torch.zeros(len(own), length, dtype=torch.int32), torch.zeros(len(own), length)
    batch = Batch(own[:, :-1].contiguous(), own[:, 1:].contiguous(), starts, unused, unused, unused)
    options = PassOptions(
        micro_batch_rows=micro_batch_rows,
        balance_weight=1e-4,
        z_weight=0.0,
        around=nullcontext,
        scale=lambda loss: loss,
    )
    passes = step_passes(model, ranks, options)

    def step() -> None:
        passes(batch, 1 / (rows * length))
        clip_gradients(model.parameters(), 1.0, ranks)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for gate in model.gates():
            ranks.sum_rows(gate.load_E)
            gate.update_bias(1e-3)

    return step, sum(local(tensor).nbytes for tensor in optimizer.tensors().values())


def work(rank: int, port: int, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(N_PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    dist.init_process_group("gloo")
    shape = (options.preset, options.rows, options.micro_batch_rows, options.length)
    steps, state, sent = {}, {}, {}
    for mesh, shard in LAYOUTS:
        name = f"{mesh} {shard}"
        steps[name], state[name] = trainee(*shape, join(MeshSizes.parse(mesh), shard, "cpu"))
    times: dict[str, list[float]] = {name: [] for name in ("alone", *steps)}
    alone, state["alone"] = trainee(*shape, Ranks())
    for round_ in range(options.rounds + 1):
        for name, step in steps.items():
            dist.barrier()
            began = time.perf_counter()
            step()
            dist.barrier()
            times[name].append(time.perf_counter() - began)
            if round_ == 0:
                with CountBytes() as counted:
                    step()
                totals = torch.tensor([counted.n_bytes, state[name]], dtype=torch.float64)
                dist.all_reduce(totals, dist.ReduceOp.MAX)
                sent[name], state[name] = totals.tolist()
        began = time.perf_counter()
        if rank == 0:
            alone()
        times["alone"].append(time.perf_counter() - began)
        dist.barrier()
    if rank == 0:
        print("| layout | time per step | sent per process and step, MB | optimizer state per process, MB |")
        print("|---|---|---|---|")
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
        for name, median in medians.items():
            ratio = median / medians["alone"]
            print(f"| {name} | {ratio:.2f} | {sent.get(name, 0) / 1e6:.1f} | {state[name] / 1e6:.1f} |")
        print(f"\nalone: {medians['alone']:.2f} s")
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="nano", choices=PRESETS)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--micro-batch-rows", type=int, default=2)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(work, (port, options), N_PROCESSES)


if __name__ == "__main__":
    main()
