import torch
from torch import Tensor

from training.data.boundaries import Boundaries
from training.model.attention import LatentAttention
from training.model.config import ModelConfig
from training.model.rotary import RotaryTable


def naive_attention(
    layer: LatentAttention, x_BSM: Tensor, positions_BS: Tensor, visible_BSS: Tensor
) -> tuple[Tensor, Tensor]:
    """One head, one query and one key at a time, from the formulas of DeepSeek-V2, section 2.1."""
    c = layer.config
    n_rows, length, _ = x_BSM.shape
    q = layer.q_b_proj(layer.q_a_layernorm(layer.q_a_proj(x_BSM)))
    compressed = layer.kv_a_proj_with_mqa(x_BSM)
    kv = layer.kv_b_proj(layer.kv_a_layernorm(compressed[..., : c.kv_rank]))
    out = torch.zeros(n_rows, length, c.n_heads, c.v_head_dim)
    maxima = torch.full((c.n_heads,), -torch.inf)

    def rotated(pairs: Tensor, position: Tensor) -> Tensor:
        angles = position * c.rope_theta ** (-torch.arange(0, c.rope_head_dim, 2) / c.rope_head_dim)
        turned = torch.view_as_complex(pairs.view(-1, 2).contiguous()) * torch.polar(torch.ones_like(angles), angles)
        return torch.view_as_real(turned).flatten()

    for b in range(n_rows):
        for h in range(c.n_heads):
            q_h = q[b, :, h * c.qk_head_dim : (h + 1) * c.qk_head_dim]
            kv_h = kv[b, :, h * (c.nope_head_dim + c.v_head_dim) : (h + 1) * (c.nope_head_dim + c.v_head_dim)]
            for i in range(length):
                seen = [j for j in range(length) if visible_BSS[b, i, j]]
                logits = (
                    torch.stack(
                        [
                            q_h[i, : c.nope_head_dim] @ kv_h[j, : c.nope_head_dim]
                            + rotated(q_h[i, c.nope_head_dim :], positions_BS[b, i])
                            @ rotated(compressed[b, j, c.kv_rank :], positions_BS[b, j])
                            for j in seen
                        ]
                    )
                    / c.qk_head_dim**0.5
                )
                maxima[h] = max(maxima[h], logits.max().detach())
                out[b, i, h] = logits.softmax(0) @ kv_h[seen, c.nope_head_dim :]
    return layer.o_proj(out.flatten(2)), maxima


def test_latent_attention_equals_the_naive_loops(tiny: ModelConfig, packed: Boundaries) -> None:
    layer = LatentAttention(tiny).train()
    x = torch.randn(2, 10, tiny.hidden_size)
    out = layer(x, RotaryTable(packed.positions_BS, tiny.rope_head_dim, tiny.rope_theta), packed)
    expected, maxima = naive_attention(layer, x, packed.positions_BS, packed.visible_BSS)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.maxima.max_H, maxima, rtol=1e-4, atol=1e-5)


def test_maxima_grow_over_micro_batches_and_stop_in_evaluation(tiny: ModelConfig) -> None:
    layer, rows = LatentAttention(tiny).train(), Boundaries.whole_rows(1, 8)
    rotary = RotaryTable(rows.positions_BS, tiny.rope_head_dim, tiny.rope_theta)
    inputs = [torch.randn(1, 8, tiny.hidden_size) * size for size in (1, 3, 2)]
    singly = []
    for x in inputs:
        layer.maxima.reset()
        layer(x, rotary, rows)
        singly.append(layer.maxima.max_H.clone())
    layer.maxima.reset()
    for x in inputs:
        layer(x, rotary, rows)
    assert torch.equal(layer.maxima.max_H, torch.stack(singly).amax(0))
    layer.eval()(100 * inputs[0], rotary, rows)
    assert torch.equal(layer.maxima.max_H, torch.stack(singly).amax(0))
