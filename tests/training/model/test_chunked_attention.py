import pytest
import torch
from torch import Tensor

from training.data import boundaries
from training.data.boundaries import Boundaries
from training.model.chunked_attention import chunked_attention


def plain_attention(q: Tensor, k: Tensor, v: Tensor, visible_BSS: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """All scores at once."""
    scores = (q @ k.mT * scale).masked_fill(~visible_BSS[:, None], -torch.inf)
    return scores.softmax(-1) @ v, scores.amax(dim=(0, 2, 3))


@pytest.mark.parametrize("block", [1, 3, 4, 256])
def test_equals_plain_attention_with_packing(packed: Boundaries, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boundaries, "QUERY_BLOCK", block)
    q, k = (torch.randn(2, 3, 10, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    v = torch.randn(2, 3, 10, 5, dtype=torch.float64, requires_grad=True)
    out, maxima = chunked_attention(q, k, v, packed, 0.3, True)
    expected, expected_maxima = plain_attention(q, k, v, packed.visible_BSS, 0.3)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(maxima, expected_maxima.float())
    grad = torch.randn_like(out)
    for mine, theirs in zip(
        torch.autograd.grad(out, (q, k, v), grad), torch.autograd.grad(expected, (q, k, v), grad), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_the_maximum_is_signed_and_ignores_hidden_pairs() -> None:
    # Every visible logit is negative; the only positive ones are of keys in the future or in another piece.
    q = torch.tensor([[1.0], [1.0], [-1.0]])[None, None]
    k = torch.tensor([[-2.0], [-3.0], [4.0]])[None, None]
    _, maxima = chunked_attention(q, k, k, Boundaries(torch.tensor([[0, 0, 2]])), 1.0, True)
    assert maxima.tolist() == [-2.0]


def test_untracked_maxima_are_minus_infinity() -> None:
    q = torch.randn(1, 2, 4, 3)
    assert chunked_attention(q, q, q, Boundaries.whole_rows(1, 4), 1.0, False)[1].tolist() == [-torch.inf] * 2


def test_bfloat16_maxima_within_their_rounding() -> None:
    q, k = (torch.randn(1, 4, 300, 16, dtype=torch.bfloat16) * 5 for _ in range(2))
    rows = Boundaries.whole_rows(1, 300)
    _, maxima = chunked_attention(q, k, k, rows, 0.25, True)
    _, exact = plain_attention(q.float(), k.float(), k.float(), rows.visible_BSS, 0.25)
    torch.testing.assert_close(maxima, exact, rtol=2**-7, atol=0)
