"""Forward and backward passes over the micro-batches of a step, whose gradients add up: what the trainer calls.

Here a process that holds all layers takes one micro-batch after the other; `training.sharding.pipeline` does the same
for one that holds a stage of them.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from training.data.batch import Batch
from training.model.decoder import Decoder
from training.parallel import Ranks
from training.sharding.parallelize import sharded_modules


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOptions:
    """
    Attributes:
        micro_batch_rows: rows of a forward pass.
        balance_weight: see `Decoder.loss`.
        z_weight: see `Decoder.loss`.
        around: a context for each forward pass.
        scale: applied to what is differentiated, such as `GradScaler.scale`; not in a pipeline.
    """

    micro_batch_rows: int
    balance_weight: float
    z_weight: float
    around: Callable[[], AbstractContextManager[None]]
    scale: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class StepLosses:
    """The loss of each position of this process's rows in nats, and the mean over them of the balance loss."""

    tokens_BS: Tensor
    balance: Tensor


class StepPasses(Protocol):
    def __call__(self, batch: Batch, weight: float) -> StepLosses:
        """Leave the gradients of the rows in the parameters, summed over the processes that share these.

        Args:
            batch: this process's rows of the step, on its device.
            weight: of each position in the loss that is differentiated.
        """
        ...


@dataclass(frozen=True, slots=True)
class MicroBatches:
    """One micro-batch after the other."""

    model: Decoder
    ranks: Ranks
    options: PassOptions

    def __call__(self, batch: Batch, weight: float) -> StepLosses:
        o, n_rows = self.options, len(batch.tokens_BS)
        token_losses, balances = [], []
        for start in range(0, n_rows, o.micro_batch_rows):
            part = batch.rows(start, start + o.micro_batch_rows)
            self._begin(is_last=start + o.micro_batch_rows >= n_rows)
            weights_BS = torch.full(part.tokens_BS.shape, weight, device=part.tokens_BS.device)
            with o.around():
                loss = self.model.loss(
                    part.tokens_BS, part.targets_BS, weights_BS, part.boundaries, o.balance_weight, o.z_weight
                )
            o.scale(loss.total).backward()
            token_losses.append(loss.tokens_BS)
            balances.append(loss.balance * (len(part.tokens_BS) / n_rows))
        return StepLosses(torch.cat(token_losses), torch.stack(balances).sum())

    def _begin(self, is_last: bool) -> None:
        """Say before a forward pass whether it is the last one before the update.

        Only then are gradients reduced and gathered weights dropped, unless all that the weights need is to be divided:
        then each micro-batch does both, so that a process never holds a whole gradient.
        """
        for module in sharded_modules(self.model):
            module.set_requires_gradient_sync(is_last or self.ranks.shard == "weights", recurse=False)
            module.set_reshard_after_backward(is_last or self.ranks.shard == "weights", recurse=False)
