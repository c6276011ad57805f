"""The norm of a gradient that is divided among processes, and clipping by it."""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from training.parallel import Ranks, local, n_copies


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float, ranks: Ranks) -> float:
    """Scale all gradients so that their norm is at most `max_norm`; returns the norm before that.

    It is the norm over the parts on all processes, each element counted once, so it is the same everywhere.
    """
    parts: dict[int, list[Tensor]] = defaultdict(list)
    for parameter in parameters:
        if parameter.grad is not None:
            parts[n_copies(parameter, ranks.n_readers)].append(local(parameter.grad))
    squares = [get_total_norm(grads).double() ** 2 / copies for copies, grads in parts.items()]
    norm = ranks.sum(torch.stack(squares).sum()).sqrt().float()
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_([grad for grads in parts.values() for grad in grads], scale)
    return float(norm)
