"""The processes of a run, how they divide the work, and the few collectives that the loop needs.

A mesh has two dimensions, data and experts: with `dp=2,ep=2` four processes each read a quarter of a step's rows, and
each holds half of every layer's experts. `shard` says what else is divided:

| `--shard` | whole on every process | divided among them |
|---|---|---|
| none | weights, gradients, optimizer state | |
| optimizer | weights, gradients until the step's last micro-batch | optimizer state (ZeRO-1) |
| weights | | weights, gradients, optimizer state (ZeRO-3) |

All three are torch's FSDP2; `training.sharding.parallelize` applies it to a model.
"""

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

Sharding = Literal["none", "optimizer", "weights"]
T = TypeVar("T")

# Writing a checkpoint may take longer than a collective of the training loop is allowed to.
FILES_TIMEOUT = timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSizes:
    """`dp` groups of processes read different rows; the `ep` processes of a group do too, and share its experts."""

    dp: int = 1
    ep: int = 1

    @classmethod
    def parse(cls, text: str) -> "MeshSizes":
        """`dp=2,ep=4`; what is left out is 1.

        Raises:
            ValueError: it is written otherwise, or a size is below 1.
        """
        names = [field.name for field in fields(cls)]
        pairs = [re.fullmatch(r"\s*(\w+)\s*=\s*(\d+)\s*", part) for part in text.split(",")]
        sizes = {pair[1]: int(pair[2]) for pair in pairs if pair}
        if len(sizes) < len(pairs) or not sizes.keys() <= set(names) or 0 in sizes.values():
            raise ValueError(
                f"the mesh is {text!r}; write sizes of 1 or more for {' and '.join(names)}, as in dp=2,ep=2"
            )
        return cls(**sizes)

    @property
    def n_processes(self) -> int:
        return math.prod(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among `world_size` processes; rank 0 writes the files that are not checkpoints.

    `dense` and `expert` are the meshes (replicate, shard) over which FSDP2 copies and divides the weights: of all
    processes for weights that every one of them uses, and of those that hold the same experts for these. `owner` is the
    mesh of the processes that divide the experts, and `files` the group that writes checkpoints. All are None in a
    single process.
    """

    rank: int = 0
    world_size: int = 1
    shard: Sharding = "none"
    dense: DeviceMesh | None = None
    expert: DeviceMesh | None = None
    owner: DeviceMesh | None = None
    files: dist.ProcessGroup | None = None

    @property
    def is_writer(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, in place."""
        if self.world_size > 1:
            dist.all_reduce(tensor)
        return tensor

    def same(self, tensor: Tensor) -> Tensor:
        """The values of rank 0, in place: for results that decide how often all ranks go on to call the model."""
        if self.world_size > 1:
            dist.broadcast(tensor, 0)
        return tensor

    def barrier(self) -> None:
        if self.world_size > 1:
            dist.barrier()

    # The two below have a process group of their own, so that a checkpoint can be written while training goes on.

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, which may be of any type that pickles."""
        values: list[Any] = [value] * self.world_size
        if self.world_size > 1:
            dist.all_gather_object(values, value, self.files)
        return values

    def on_writer(self, act: Callable[[], T]) -> T:
        """What `act` returns on rank 0; an error there is raised on all ranks, so that none waits for the others."""
        if self.world_size == 1:
            return act()
        outcome: list[Any] = [None, None]
        if self.is_writer:
            try:
                outcome[0] = act()
            except Exception as error:
                outcome[1] = error
        dist.broadcast_object_list(outcome, 0, self.files)
        if outcome[1] is not None:
            raise outcome[1]
        result: T = outcome[0]
        return result


@contextmanager
def process_group(mesh: str | None = None, shard: Sharding = "none") -> Iterator[Ranks]:
    """Join the other processes, as the environment (RANK, WORLD_SIZE, …, which `torchrun` sets) describes them.

    Args:
        mesh: as for `MeshSizes.parse`; None makes all processes data-parallel.

    Raises:
        ValueError: the sizes do not fit the number of processes.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    sizes = MeshSizes(dp=world_size) if mesh is None else MeshSizes.parse(mesh)
    if sizes.n_processes != world_size:
        raise ValueError(
            f"the mesh {mesh} is for {sizes.n_processes} processes and there are {world_size}; start as many with "
            f"`palimpsest train --mesh {mesh}` on one machine, or with `torchrun --nproc-per-node` on several"
        )
    if world_size == 1:
        yield Ranks()
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        files = dist.new_group(backend="gloo", timeout=FILES_TIMEOUT)
        yield replace(join(sizes, shard, device), files=files)
    finally:
        dist.destroy_process_group()


def join(sizes: MeshSizes, shard: Sharding, device: str) -> Ranks:
    """This process's place among those of the default process group."""
    n_replicas, n_shards = (sizes.dp, 1) if shard == "none" else (1, sizes.dp)
    # Expert-parallel processes are neighbours: their messages are the most urgent, and neighbours share a machine.
    experts = init_device_mesh(
        device, (n_replicas, n_shards, sizes.ep), mesh_dim_names=("replicate", "shard", "expert")
    )
    dense_shape = (sizes.n_processes, 1) if shard == "none" else (1, sizes.n_processes)
    return Ranks(
        dist.get_rank(),
        sizes.n_processes,
        shard,
        init_device_mesh(device, dense_shape, mesh_dim_names=("replicate", "shard")),
        experts["replicate", "shard"],
        experts["expert"],
    )


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that is on this process: a view of the same memory, or the tensor itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def local_rows(tensor: Tensor) -> slice:
    """Where `local(tensor)` lies along the first dimension of the whole tensor, the only one that is ever divided."""
    if not isinstance(tensor, DTensor):
        return slice(0, len(tensor))
    shape, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
    return slice(offset[0], offset[0] + shape[0])


def divided_dimensions(tensor: Tensor) -> list[int]:
    """The dimensions of its mesh that divide a tensor; none for a tensor that is whole here."""
    if not isinstance(tensor, DTensor):
        return []
    return [
        dimension
        for dimension, placement in enumerate(tensor.placements)
        if tensor.device_mesh.size(dimension) > 1 and not isinstance(placement, Replicate)
    ]


def n_copies(tensor: Tensor, world_size: int) -> int:
    """On how many of the processes each element of a tensor is."""
    if not isinstance(tensor, DTensor):
        return world_size
    return world_size // math.prod(tensor.device_mesh.size(dimension) for dimension in divided_dimensions(tensor))
