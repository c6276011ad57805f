"""The processes of a run, how they divide the work, and the few collectives that the loop needs.

A mesh has three dimensions: stages of layers, data and experts. With `dp=2,ep=2` four processes each read a quarter of
a step's rows, and each holds half of every layer's experts. With `pp=2,dp=2` each holds half of the layers, and the two
processes of a pipeline read the same half of the rows. `shard` says what the processes of a stage divide besides:

| `--shard` | whole on every process | divided among them |
|---|---|---|
| none | weights, gradients, optimizer state | |
| optimizer | weights, gradients until the step's last micro-batch | optimizer state (ZeRO-1) |
| weights | | weights, gradients, optimizer state (ZeRO-3) |

All three are torch's FSDP2; `training.sharding` applies it and the stages to a model.
"""

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

Sharding = Literal["none", "optimizer", "weights"]
T = TypeVar("T")

# Tokenising a corpus and writing a checkpoint may take longer than a collective of the training loop is allowed to.
FILES_TIMEOUT = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSizes:
    """Processes: `pp` stages of layers, each of `dp` groups that read different rows and share no experts, of `ep`
    processes that read different rows too, and share the experts of their group.
    """

    pp: int = 1
    dp: int = 1
    ep: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """`pp=2,dp=4`; what is left out has its default.

        Raises:
            ValueError: it is not a list of known names with numbers of 1 or more; the message says which part.
        """
        known = [field.name for field in fields(cls)]
        sizes: dict[str, int] = {}
        for part in map(str.strip, text.split(",")):
            pair = re.fullmatch(r"(\w+)\s*=\s*(\d+)", part)
            if pair is None or pair[1] not in known or int(pair[2]) < 1:
                raise ValueError(
                    f"{part!r} in the layout {text!r} is not one of {', '.join(known)} with a number of 1 or more, "
                    "as in pp=2,dp=4"
                )
            if pair[1] in sizes:
                raise ValueError(f"{pair[1]} is given twice in the layout {text!r}")
            sizes[pair[1]] = int(pair[2])
        return cls(**sizes)

    def __str__(self) -> str:
        return ",".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))

    @property
    def n_readers(self) -> int:
        """Processes that read different rows: those of one stage."""
        return self.dp * self.ep

    @property
    def n_processes(self) -> int:
        return self.pp * self.n_readers


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among `world_size` processes; rank 0 writes the files that are not checkpoints.

    `pipeline` is the group of the processes that read the same rows, one of each stage, in the order of the stages;
    `readers` that of the processes of this stage. Both are None without stages.

    `dense` and `expert` are the meshes (replicate, shard) over which FSDP2 copies and divides the weights of a stage:
    of all its processes for weights that every one of them uses, and of those that hold the same experts for these.
    `owner` is the mesh of the processes that divide the experts. These are None in a process that has a stage for
    itself. `files` is the group that writes checkpoints, None in a single process.
    """

    rank: int = 0
    world_size: int = 1
    shard: Sharding = "none"
    dense: DeviceMesh | None = None
    expert: DeviceMesh | None = None
    owner: DeviceMesh | None = None
    pipeline: dist.ProcessGroup | None = None
    readers: dist.ProcessGroup | None = None
    files: dist.ProcessGroup | None = None

    @property
    def is_writer(self) -> bool:
        return self.rank == 0

    @property
    def n_readers(self) -> int:
        """The number of processes that read different rows."""
        return self.world_size // (1 if self.pipeline is None else self.pipeline.size())

    @property
    def reader(self) -> int:
        """Which of a step's rows this process reads, as do the other stages of its pipeline."""
        return self.rank % self.n_readers

    @property
    def is_first_stage(self) -> bool:
        return self.pipeline is None or self.pipeline.rank() == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, in place."""
        if self.world_size > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_rows(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks that read different rows, in place."""
        if self.n_readers > 1:
            dist.all_reduce(tensor, group=self.readers)
        return tensor

    def of_last_stage(self, tensor: Tensor) -> Tensor:
        """The values of the last stage of this rank's pipeline, in place."""
        if self.pipeline is not None:
            dist.broadcast(tensor, group=self.pipeline, group_src=self.pipeline.size() - 1)
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
    # `torchrun` keeps its store when it starts the processes again: without a prefix of their own they would find the
    # addresses of those before them there.
    store, rank, _ = next(rendezvous("env://"))
    store = dist.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", store=store, rank=rank, world_size=world_size)
    try:
        files = dist.new_group(backend="gloo", timeout=FILES_TIMEOUT)
        yield replace(join(sizes, shard, device), files=files)
    finally:
        dist.destroy_process_group()


def join(sizes: MeshSizes, shard: Sharding, device: str) -> Ranks:
    """This process's place among those of the default process group."""
    ranks = Ranks(dist.get_rank(), sizes.n_processes, shard)
    if sizes.pp > 1:
        # Stages send the least, so they are the farthest apart.
        stages = init_device_mesh(device, (sizes.pp, sizes.n_readers), mesh_dim_names=("stage", "reader"))
        ranks = replace(ranks, pipeline=stages.get_group("stage"), readers=stages.get_group("reader"))
        if sizes.n_readers == 1:
            return ranks
    names = ("stage", "replicate", "shard", "expert")
    dense_shape = (sizes.n_readers, 1) if shard == "none" else (1, sizes.n_readers)
    dense = init_device_mesh(device, (sizes.pp, *dense_shape), mesh_dim_names=names[:3])
    # Expert-parallel processes are neighbours: their messages are the most urgent, and neighbours share a machine.
    expert_shape = (sizes.dp, 1, sizes.ep) if shard == "none" else (1, sizes.dp, sizes.ep)
    experts = init_device_mesh(device, (sizes.pp, *expert_shape), mesh_dim_names=names)
    return replace(
        ranks,
        dense=dense["replicate", "shard"],
        expert=experts["replicate", "shard"],
        owner=experts["expert"],
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


def n_copies(tensor: Tensor, n_readers: int) -> int:
    """On how many of the `n_readers` processes of a stage each element of a tensor is."""
    if not isinstance(tensor, DTensor):
        return n_readers
    return n_readers // math.prod(tensor.device_mesh.size(dimension) for dimension in divided_dimensions(tensor))
