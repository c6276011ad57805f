"""The GPU path of attention: FlexAttention over a block mask of the pieces, with its exact per-query maxima.

Not yet run on a GPU. `chunked_attention` is its reference: same arguments, same results. On CPUs, PyTorch supports
neither FlexAttention's maxima nor its backward pass.

Shapes: B rows, H heads, S positions, D components of a query or key head, V components of a value head.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, create_block_mask, flex_attention

from training.data.boundaries import Boundaries


def flex_attention_with_max(
    q_BHSD: Tensor, k_BHSD: Tensor, v_BHSV: Tensor, boundaries: Boundaries, scale: float, track_max: bool
) -> tuple[Tensor, Tensor]:
    """Causal attention within each piece: the output (B, H, S, V) and each head's largest logit (H,)."""
    out_BHSV, aux = _compiled()(
        *(q_BHSD, k_BHSD, v_BHSV),
        block_mask=block_mask(boundaries),
        scale=scale,
        return_aux=AuxRequest(max_scores=track_max),
    )
    if not track_max:
        return out_BHSV, torch.full((q_BHSD.shape[1],), -torch.inf, device=q_BHSD.device)
    return out_BHSV, aux.max_scores.detach().float().amax(dim=(0, 2))


def block_mask(boundaries: Boundaries) -> BlockMask:
    """The causal mask within pieces, built once per batch and cached on its boundaries."""
    kept = boundaries.__dict__.get("_block_mask")
    if kept is None:
        starts_BS = boundaries.starts_BS

        def visible(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (key <= query) & (key >= starts_BS[row, query])

        n_rows, length = starts_BS.shape
        # Uncompiled, it would first write down all S² pairs of every row.
        device = str(starts_BS.device)
        kept = create_block_mask(visible, n_rows, None, length, length, device=device, _compile=starts_BS.is_cuda)
        boundaries.__dict__["_block_mask"] = kept
    return kept


@cache
def _compiled() -> Any:
    # Uncompiled, FlexAttention materialises the whole score matrix.
    return torch.compile(flex_attention, dynamic=False)
