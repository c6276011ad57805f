"""Pipeline parallelism: micro-batches pass through the stages by torch's 1F1B schedule.

A stage sends on only the hidden state; what else a micro-batch needs (where documents begin, the targets) every process
of a pipeline reads itself. With one forward and one backward pass in turn (1F1B; Narayanan et al., arXiv 2104.04473,
section 2.2.1), stage s of n keeps the activations of n − s micro-batches, however many a step has.

Shapes: B rows, S positions.
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.pipelining import PipelineStage, Schedule1F1B

from training.data.batch import Batch
from training.data.boundaries import Boundaries
from training.model.decoder import Decoder
from training.parallel import Ranks
from training.sharding.micro_batches import MicroBatches, PassOptions, StepLosses, StepPasses
from training.sharding.stage import Stage


def step_passes(model: Decoder, ranks: Ranks, options: PassOptions) -> StepPasses:
    """How this process, with its part of the model, runs the micro-batches of a step."""
    return Pipeline(model, options) if isinstance(model, Stage) else MicroBatches(model, ranks, options)


class Pipeline:
    """The micro-batches of a step, on one stage. All processes of a pipeline call it with the same rows.

    All of them get the loss of every position, and the balance loss of all layers.
    """

    def __init__(self, stage: Stage, options: PassOptions) -> None:
        self._stage, self._options = stage, options
        self._schedule: Schedule1F1B | None = None
        self._weight = 0.0
        self._losses: list[Tensor] = []
        self._balances: list[Tensor] = []

    def __call__(self, batch: Batch, weight: float) -> StepLosses:
        if self._schedule is None:
            self._schedule = self._make_schedule(batch.tokens_BS.shape)
        stage, self._weight = self._stage, weight
        self._losses.clear()
        self._balances.clear()
        self._schedule.step(
            *([batch.tokens_BS] if stage.is_first else []),
            target=batch.targets_BS if stage.is_last else None,
            return_outputs=False,
            starts_BS=batch.starts_BS,
            targets_BS=batch.targets_BS,
        )
        empty_BS = torch.empty(batch.tokens_BS.shape, device=batch.tokens_BS.device)
        losses_BS = stage.ranks.of_last_stage(torch.cat(self._losses) if stage.is_last else empty_BS)
        balance = torch.stack(self._balances).mean()
        dist.all_reduce(balance, group=stage.pipeline)
        return StepLosses(losses_BS, balance)

    def _forward(self, x: Tensor, starts_BS: Tensor, targets_BS: Tensor) -> Tensor:
        """One micro-batch through this stage; 1F1B takes them in their order."""
        o = self._options
        weights_BS = torch.full(targets_BS.shape, self._weight, device=x.device)
        with o.around():
            out, losses_BS, balance = self._stage.train_pass(
                x, targets_BS, weights_BS, Boundaries(starts_BS), o.balance_weight, o.z_weight
            )
        self._balances.append(balance)
        if losses_BS is not None:
            self._losses.append(losses_BS)
        return out

    def _make_schedule(self, shape: torch.Size) -> Schedule1F1B:
        n_rows, length = shape
        micro_batch = (self._options.micro_batch_rows, length)
        n_micro_batches, n_left = divmod(n_rows, micro_batch[0])
        assert n_left == 0
        stage = self._stage
        # Shapes are known, so that no example has to run through the model.
        hidden_BSM = torch.empty(*micro_batch, stage.config.hidden_size, device="meta", requires_grad=True)
        torch_stage = _TorchStage(
            stage,
            stage.index,
            stage.pipeline.size(),
            stage.device,
            input_args=torch.empty(micro_batch, dtype=torch.int64, device="meta") if stage.is_first else hidden_BSM,
            output_args=torch.empty((), device="meta", requires_grad=True) if stage.is_last else hidden_BSM,
            group=stage.pipeline,
        )
        torch_stage.act = self._forward
        # Gradients are added, not averaged, over micro-batches; and the last stage gives the loss itself.
        return Schedule1F1B(torch_stage, n_micro_batches, loss_fn=lambda loss, _: loss, scale_grads=False)


class _TorchStage(PipelineStage):
    """torch's stage, which would call the forward method of its module."""

    act: Callable[..., Tensor]

    def forward_maybe_with_nosync(self, *args: Tensor, **kwargs: Tensor) -> Tensor:
        return self.act(*args, **kwargs)
