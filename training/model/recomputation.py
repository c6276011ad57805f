"""Activation checkpointing by layer (arXiv 1604.06174): a layer keeps its input; the backward pass computes the rest.

It is selective by layer: the first ones, as many as memory asks for. The last ones would save little, since their
backward pass comes first, while all other activations are still there. A policy of operations, which keeps the results
of matrix products (`create_selective_checkpoint_contexts`), was worse on CPUs in both respects: with nano, 142 MiB kept
where whole layers keep 50, and 41 % more time instead of 21 %, since every operation passes through Python.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from training.model.gate import Gate


def recomputed(layer: nn.Module, *inputs: Any) -> Any:
    """The layer's output; between its forward and its backward pass only `inputs` are kept."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _counted_before(layer)

    # Nothing in a layer is random.
    return checkpoint(layer, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


@contextmanager
def _counted_before(layer: nn.Module) -> Iterator[None]:
    """Gates in evaluation mode, so that they count no token twice; a maximum that is recorded again does not change."""
    gates = [module for module in layer.modules() if isinstance(module, Gate) and module.training]
    for gate in gates:
        gate.eval()
    try:
        yield
    finally:
        for gate in gates:
            gate.train()
