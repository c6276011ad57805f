"""The processes of a data-parallel run, and the few collectives they need.

Every rank holds all weights and optimizer state; a step's gradients are summed once, after its last micro-batch.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

# Gradients are reduced in buckets of about this many elements: few messages, and a copy of bounded size.
BUCKET_ELEMENTS = 1 << 24


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among `world_size` processes; rank 0 writes files."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_writer(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, in place."""
        if self.world_size > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over all ranks.

        A parameter without a gradient on some rank contributes zeros, so that all ranks send the same messages.
        """
        if self.world_size == 1:
            return
        bucket: list[Tensor] = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            if sum(grad.numel() for grad in bucket) >= BUCKET_ELEMENTS:
                _sum_together(bucket)
                bucket = []
        if bucket:
            _sum_together(bucket)

    def barrier(self) -> None:
        if self.world_size > 1:
            dist.barrier()


def _sum_together(grads: list[Tensor]) -> None:
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
        grad.copy_(part.view_as(grad))


@contextmanager
def process_group() -> Iterator[Ranks]:
    """Join the process group that `torchrun` set up; without it, a single process."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield Ranks()
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Ranks(dist.get_rank(), world_size)
    finally:
        dist.destroy_process_group()
