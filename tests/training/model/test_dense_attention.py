import torch

from training.data.boundaries import Boundaries
from training.model.chunked_attention import chunked_attention
from training.model.dense_attention import dense_attention


def test_same_results_and_gradients_as_in_blocks(packed: Boundaries) -> None:
    inputs = [torch.randn(2, 3, 10, size, requires_grad=True) for size in (6, 6, 4)]
    results = []
    for attend in (chunked_attention, dense_attention):
        out, maxima = attend(*inputs, packed, 0.4, True)
        results.append((out, maxima, *torch.autograd.grad(out.square().sum(), inputs)))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_maxima_are_left_out_when_not_asked_for(packed: Boundaries) -> None:
    q, k, v = (torch.randn(2, 3, 10, size) for size in (6, 6, 4))
    assert dense_attention(q, k, v, packed, 0.4, False)[1].isneginf().all()
