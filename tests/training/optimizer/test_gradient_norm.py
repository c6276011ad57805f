import pytest
import torch
from torch import nn

from training.optimizer.gradient_norm import clip_gradients
from training.parallel import Ranks


@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_in_one_process_it_is_torchs_own_to_the_bit(max_norm: float) -> None:
    mine, theirs = ([nn.Parameter(torch.zeros(shape)) for shape in ((5, 7), (3,), (2, 4, 6))] for _ in range(2))
    for a, b in zip(mine, theirs, strict=True):
        a.grad = torch.randn(a.shape)
        b.grad = a.grad.clone()
    without = nn.Parameter(torch.zeros(2))
    norm = clip_gradients([*mine, without], max_norm, Ranks())
    assert norm == float(torch.nn.utils.clip_grad_norm_(theirs, max_norm))
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(mine, theirs, strict=True))  # type: ignore[arg-type]
