"""How much each training token pulls the model towards held-out text: DoGE's score, for all tokens at once.

DoGE (arXiv 2310.15393) scores a source k by ⟨g_k, g_target⟩, the product of its gradient with that of held-out text.
For a linear layer W with inputs x_t and output gradients d_t, g_k = Σ_{t∈k} d_t x_tᵀ, so

    ⟨g_k, g_target⟩ = Σ_{t∈k} d_t · (G x_t),   G the target's gradient of W

and one extra product of the layer gives the score of every token, whatever the number of sources. Only the output
projections of the last layer are used: the target's backward pass then ends there, and the step's own backward pass
yields d_t for free. Gradients are those of the loss, not MuonClip's updates: a score measures what a token teaches, not
how large a step it causes.

Shapes: B rows, S positions, n outputs and m inputs of a layer.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from training.data.batch import PADDING, Batch
from training.model.decoder import Decoder, MixtureOfExperts


def probed_layers(model: Decoder) -> list[nn.Linear]:
    """The last layer's output projections: of attention, and of the dense network or shared experts.

    None on a process that has another stage of the model.
    """
    last: Any = dict(model.own_layers()).get(model.config.n_layers - 1)
    if last is None:
        return []
    network = last.mlp.shared_experts if isinstance(last.mlp, MixtureOfExperts) else last.mlp
    return [last.self_attn.o_proj, network.down_proj]


def target_gradients(model: Decoder, layers: Sequence[nn.Linear], target: Batch) -> list[Tensor]:
    """The gradient (n, m) of the target's mean loss per token in each layer; `.grad` is unchanged."""
    weights_BS = (target.stream_BS != PADDING).float()
    weights_BS = weights_BS / weights_BS.sum()
    # As products of inputs and output gradients: a weight may be divided among processes, what passes it is not.
    passed: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], out_BSn: Tensor) -> None:
        passed.append((inputs[0].detach(), out_BSn))

    # Evaluation mode: held-out text must not count towards gate loads and attention maxima.
    was_training = model.training
    model.eval()
    with _hooks(layers, [keep] * len(layers)):
        loss = model.loss(target.tokens_BS, target.targets_BS, weights_BS, target.boundaries)
    model.train(was_training)
    if not layers:
        return []
    grads = torch.autograd.grad(loss.total, [out_BSn for _, out_BSn in passed])
    return [
        grad_BSn.flatten(0, 1).T @ x_BSm.flatten(0, 1).to(grad_BSn.dtype)
        for grad_BSn, (x_BSm, _) in zip(grads, passed, strict=True)
    ]


class TokenScores:
    """The scores of a micro-batch (B, S), which are there after its backward pass."""

    def __init__(self) -> None:
        self.scores_BS = torch.zeros(())


@contextmanager
def scoring(layers: Sequence[nn.Linear], gradients: Sequence[Tensor]) -> Iterator[TokenScores]:
    """The backward pass of what runs forward within this context gives its scores.

    Scores scale with the loss that is differentiated: divide by each token's loss weight to get scores per token.
    """
    collected = TokenScores()

    def score(layer_gradient: Tensor) -> Any:
        def after_forward(_: nn.Module, inputs: tuple[Tensor, ...], out_BSn: Tensor) -> None:
            x_BSm = inputs[0].detach()

            def after_backward(grad_BSn: Tensor) -> None:
                pulled_BSn = x_BSm.to(grad_BSn.dtype) @ layer_gradient.to(grad_BSn.dtype).T
                scores_BS = (pulled_BSn.float() * grad_BSn.float()).sum(dim=-1)
                collected.scores_BS = collected.scores_BS + scores_BS

            out_BSn.register_hook(after_backward)

        return after_forward

    with _hooks(layers, [score(gradient) for gradient in gradients]):
        yield collected


@contextmanager
def _hooks(layers: Sequence[nn.Linear], after_forward: Sequence[Any]) -> Iterator[None]:
    hooks = [layer.register_forward_hook(act) for layer, act in zip(layers, after_forward, strict=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
