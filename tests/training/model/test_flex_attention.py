"""The GPU path as far as a CPU can check it: its mask, and its output without maxima and gradients."""

import torch
from torch.nn.attention.flex_attention import flex_attention

from training.data.boundaries import Boundaries
from training.model.chunked_attention import chunked_attention
from training.model.flex_attention import block_mask


def test_the_block_mask_shows_what_the_plain_mask_shows(packed: Boundaries) -> None:
    mask = block_mask(packed)
    for row in range(2):
        for query in range(10):
            seen = [bool(mask.mask_mod(*map(torch.tensor, (row, 0, query, key)))) for key in range(10)]
            assert seen == packed.visible_BSS[row, query].tolist()
    assert block_mask(packed) is mask


def test_output_equals_the_chunked_path() -> None:
    boundaries = Boundaries(torch.tensor([[0] * 100 + [100] * 156, [0] * 256]))
    q, k = (torch.randn(2, 2, 256, 16) for _ in range(2))
    v = torch.randn(2, 2, 256, 16)
    out = flex_attention(q, k, v, block_mask=block_mask(boundaries), scale=0.3)
    torch.testing.assert_close(out, chunked_attention(q, k, v, boundaries, 0.3, False)[0], rtol=1e-4, atol=1e-5)
