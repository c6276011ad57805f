"""One stage of a pipeline: the layers of a decoder that one process runs, with the calls of a whole decoder.

Shapes: B rows, S positions, M hidden size, L vocabulary.

Parameters keep the names that they have in the whole model, so that their first values, the optimizer's rules and
checkpoints do not depend on the number of stages.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.data.boundaries import Boundaries
from training.model.decoder import Decoder, Loss
from training.model.experts import product_dtype
from training.parallel import Ranks


class Stage(Decoder):
    """The part of a decoder that belongs to this process of a pipeline.

    The first stage has the embedding, the last one the output norm and head; what is elsewhere is None here. `forward`
    and `loss` are for evaluation: all processes of a pipeline call them with the same rows, and every one gets the
    logits or the losses. `train_pass` is for `training.sharding.pipeline`.

    Args:
        whole: the model, on any device; the stage takes its modules over.

    Raises:
        ValueError: there are more stages than layers.
    """

    def __init__(self, whole: Decoder, ranks: Ranks) -> None:
        nn.Module.__init__(self)
        assert ranks.pipeline is not None
        self.config, self.n_recomputed_layers = whole.config, whole.n_recomputed_layers
        self.ranks, self.pipeline = ranks, ranks.pipeline
        self.index, n_stages = self.pipeline.rank(), self.pipeline.size()
        self.is_first, self.is_last = self.index == 0, self.index == n_stages - 1
        own = divide_layers(len(whole.layers), n_stages)[self.index]
        parts: dict[str, Any] = {
            "embed_tokens": whole.embed_tokens if self.is_first else None,
            "layers": nn.ModuleList(layer if i in own else None for i, layer in enumerate(whole.layers)),  # type: ignore[misc]
            "norm": whole.norm if self.is_last else None,
            "lm_head": whole.lm_head if self.is_last else None,
        }
        for name, module in parts.items():
            self.add_module(name, module)

    def train_pass(
        self,
        x: Tensor,
        targets_BS: Tensor,
        weights_BS: Tensor,
        boundaries: Boundaries,
        balance_weight: float,
        z_weight: float,
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """This stage's part of a forward pass.

        Args:
            x: tokens (B, S) on the first stage, else the hidden state (B, S, M) of the stage before.

        Returns:
            The hidden state for the next stage, or on the last one the loss to differentiate; the loss of each position
            on the last stage; and this stage's share of the mean balance loss. Both without gradient.
        """
        x_BSM, balance = self.run_layers(self.embed_tokens(x) if self.is_first else x, boundaries)
        if self.is_last:
            loss = self.loss_after(self.norm(x_BSM), balance, targets_BS, weights_BS, balance_weight, z_weight)
            return loss.total, loss.tokens_BS, loss.balance
        penalty = self.balance_penalty(balance, weights_BS, balance_weight)
        return _AddToLoss.apply(x_BSM, penalty), None, balance.detach()

    def logits(self, tokens_BS: Tensor, boundaries: Boundaries) -> Tensor:
        hidden_BSM, _ = self.hidden(tokens_BS, boundaries)
        if self.is_last:
            return self.ranks.of_last_stage(self.lm_head(hidden_BSM))
        shape = (*tokens_BS.shape, self.config.vocab_size)
        return self.ranks.of_last_stage(hidden_BSM.new_empty(shape, dtype=product_dtype(hidden_BSM)))

    def loss(
        self,
        tokens_BS: Tensor,
        targets_BS: Tensor,
        weights_BS: Tensor,
        boundaries: Boundaries,
        balance_weight: float = 0.0,
        z_weight: float = 0.0,
    ) -> Loss:
        """As of a whole decoder, but `total` is 0 before the last stage, and `balance` that of this stage's layers."""
        hidden_BSM, balance = self.hidden(tokens_BS, boundaries)
        if self.is_last:
            loss = self.loss_after(hidden_BSM, balance, targets_BS, weights_BS, balance_weight, z_weight)
        else:
            loss = Loss(hidden_BSM.new_zeros(()), hidden_BSM.new_empty(tokens_BS.shape, dtype=torch.float32), balance)
        self.ranks.of_last_stage(loss.tokens_BS)
        return loss

    def hidden(self, tokens_BS: Tensor, boundaries: Boundaries) -> tuple[Tensor, Tensor]:
        """The hidden state after this stage; received and sent without a gradient."""
        if self.is_first:
            x_BSM = self.embed_tokens(tokens_BS)
        else:
            shape = (*tokens_BS.shape, self.config.hidden_size)
            x_BSM = torch.empty(shape, dtype=next(self.parameters()).dtype, device=tokens_BS.device)
            dist.recv(x_BSM, group=self.pipeline, group_src=self.index - 1)
        x_BSM, balance = self.run_layers(x_BSM, boundaries)
        if self.is_last:
            return self.norm(x_BSM), balance
        dist.send(x_BSM.detach().contiguous(), group=self.pipeline, group_dst=self.index + 1)
        return x_BSM.detach(), balance.detach()


class _AddToLoss(torch.autograd.Function):
    """The identity of the first argument; the second, a scalar, gets the gradient that it has as a part of the loss."""

    @staticmethod
    def forward(ctx: Any, x_BSM: Tensor, penalty: Tensor) -> Tensor:
        return x_BSM.view_as(x_BSM)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        return grads[0], grads[0].new_ones(())


def divide_layers(n_layers: int, n_stages: int) -> list[range]:
    """The layers of each stage.

    Stages differ by at most one layer, and the shorter ones are at the ends, beside the embedding and the output head:
    61 layers over 16 stages are 3 at the first and the last two, and 4 between them.

    Raises:
        ValueError: there are more stages than layers.
    """
    base, n_longer = divmod(n_layers, n_stages)
    if not base:
        raise ValueError(f"{n_layers} layers do not fill {n_stages} pipeline stages")
    inner_first = sorted(range(n_stages), key=lambda stage: min(stage, n_stages - stage - 1.5), reverse=True)
    longer = set(inner_first[:n_longer])
    stages, start = [], 0
    for stage in range(n_stages):
        end = start + base + (stage in longer)
        stages.append(range(start, end))
        start = end
    return stages
