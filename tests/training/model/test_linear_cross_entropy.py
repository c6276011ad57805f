import pytest
import torch
import torch.nn.functional as F

from training.model import linear_cross_entropy as module
from training.model.linear_cross_entropy import linear_cross_entropy


@pytest.mark.parametrize("block", [3, 7, 512])
@pytest.mark.parametrize("z_weight", [0.0, 0.1])
def test_equals_cross_entropy_of_all_logits(block: int, z_weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_TOKENS", block)
    hidden, head = torch.randn(7, 5, requires_grad=True), torch.randn(11, 5, requires_grad=True)
    targets, weights = torch.randint(0, 11, (7,)), torch.rand(7)
    total, losses = linear_cross_entropy(hidden, head, targets, weights, z_weight)
    expected = F.cross_entropy(hidden @ head.T, targets, reduction="none")
    torch.testing.assert_close(losses, expected)
    expected = expected + z_weight * (hidden @ head.T).exp().sum(dim=-1).log() ** 2
    torch.testing.assert_close(total, (expected * weights).sum())
    # Scaled, as gradient scaling for float16 does.
    mine = torch.autograd.grad(total * 8, (hidden, head))
    for grad, wanted in zip(mine, torch.autograd.grad((expected * weights).sum() * 8, (hidden, head)), strict=True):
        torch.testing.assert_close(grad, wanted, rtol=1e-4, atol=1e-5)


def test_large_logits_stay_finite() -> None:
    total, _ = linear_cross_entropy(
        torch.full((1, 1), 1e4), torch.tensor([[1.0], [-1.0]]), torch.tensor([1]), torch.ones(1)
    )
    assert total.item() == pytest.approx(2e4)


def test_evaluation_needs_no_gradients() -> None:
    with torch.no_grad():
        total, losses = linear_cross_entropy(
            torch.randn(4, 3), torch.randn(9, 3), torch.zeros(4, dtype=torch.long), torch.ones(4)
        )
    torch.testing.assert_close(total, losses.sum())
