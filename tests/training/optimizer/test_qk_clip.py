import math
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.data.boundaries import Boundaries
from training.model.attention import LogitMaxima
from training.model.config import ModelConfig, RopeScaling
from training.model.decoder import Decoder
from training.model.rotary import RotaryTable
from training.optimizer.muon_clip import MuonClip
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import ClippedLayer, HeadRows, QKClip, latent_attention_layers


def maxima(model: Decoder, tokens: Tensor, rows: Boundaries) -> Tensor:
    """The exact maxima (L, H) of one forward pass."""
    for kept in model.logit_maxima():
        kept.reset()
    model(tokens, rows)
    return torch.stack([kept.max_H.clone() for kept in model.logit_maxima()])


QUERIES: dict[str, dict[str, Any]] = {
    "through a latent": {},
    "direct": {"q_rank": None},
    "of a stretched context": {"rope_scaling": RopeScaling(factor=8, original_context_length=4)},
}


@pytest.fixture(params=list(QUERIES))
def model(request: pytest.FixtureRequest, tiny: ModelConfig) -> Decoder:
    # One layer: in deeper ones the clip of the first layer changes what the second sees.
    return Decoder(tiny.replace(**QUERIES[request.param], n_layers=1, init_std=0.5)).initialise(1).train()


def test_the_same_batch_after_the_clip_gives_gamma_times_the_maximum(model: Decoder, packed: Boundaries) -> None:
    tokens = torch.randint(0, 61, (2, 10))
    before = maxima(model, tokens, packed)
    threshold = before.min().item() * 1.01  # one head below, one above
    values_before = [p.clone() for n, p in model.named_parameters() if "kv_b" in n]
    report = QKClip(latent_attention_layers(model), threshold).apply()
    torch.testing.assert_close(report.max_logit_LH, before)
    assert report.share_clipped == 0.5
    after = maxima(model, tokens, packed)
    torch.testing.assert_close(after, before * report.gamma_LH, rtol=1e-4, atol=1e-5)
    assert after.max().item() == pytest.approx(threshold, rel=1e-4)
    # Value rows are unchanged.
    c = model.config
    values_after = [p for n, p in model.named_parameters() if "kv_b" in n]
    for a, b in zip(values_before, values_after, strict=True):
        heads = (c.n_heads, c.nope_head_dim + c.v_head_dim)
        assert torch.equal(a.unflatten(0, heads)[:, c.nope_head_dim :], b.unflatten(0, heads)[:, c.nope_head_dim :])


def test_every_pair_of_logits_scales_not_only_the_largest(model: Decoder) -> None:
    rows, layer = Boundaries.whole_rows(1, 9), model.layers[0].self_attn
    x = torch.randn(1, 9, 32)
    rotary = RotaryTable(rows.positions_BS, model.config.rope_head_dim, model.config.rope_theta)

    def logits() -> Tensor:
        q, k, _ = layer.project(x, rotary)
        return q @ k.mT

    before = logits()
    layer.maxima.record(torch.tensor([200.0, 50.0]))
    QKClip(latent_attention_layers(model), 100.0).apply()
    torch.testing.assert_close(logits(), before * torch.tensor([0.5, 1.0])[:, None, None], rtol=1e-4, atol=1e-4)


def plain_layer(maximum: list[float]) -> tuple[nn.Linear, nn.Linear, ClippedLayer]:
    query, key = nn.Linear(6, 8), nn.Linear(6, 8)
    kept = LogitMaxima(len(maximum))
    kept.record(torch.tensor(maximum))
    rows = tuple(HeadRows(p, 0, 4, 0.5) for p in (query.weight, query.bias, key.weight, key.bias))
    return query, key, ClippedLayer("plain", kept, rows)


def test_plain_attention_with_biases_scales_by_gamma() -> None:
    query, key, layer = plain_layer([400.0, 80.0])
    x = torch.randn(5, 6)
    before = torch.einsum("qhd,khd->hqk", query(x).view(5, 2, 4), key(x).view(5, 2, 4))
    QKClip([layer], 100.0).apply()
    after = torch.einsum("qhd,khd->hqk", query(x).view(5, 2, 4), key(x).view(5, 2, 4))
    torch.testing.assert_close(after, before * torch.tensor([0.25, 1.0])[:, None, None])


@pytest.mark.parametrize("maximum", [-5.0, 0.0, 100.0, -torch.inf, torch.inf, torch.nan])
def test_heads_that_must_not_be_clipped_are_not_touched(maximum: float) -> None:
    query, _, layer = plain_layer([maximum, 10.0])
    weight = query.weight.clone()
    report = QKClip([layer], 100.0).apply()
    assert torch.equal(query.weight, weight)
    assert report.gamma_LH.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(("elsewhere", "gamma"), [(-torch.inf, 0.5), (400.0, 0.25), (torch.nan, 1.0), (torch.inf, 1.0)])
def test_one_message_takes_the_maxima_of_all_processes(
    elsewhere: float, gamma: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose heads did not run has -inf, which must not become nan; a broken one must not break weights."""
    sent = []

    def all_reduce(maxima: Tensor, op: object) -> None:
        sent.append(maxima.shape)
        maxima.copy_(torch.maximum(maxima, torch.tensor([elsewhere, -torch.inf])))

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    layers = [plain_layer([200.0, -5.0])[2], plain_layer([200.0, -torch.inf])[2]]
    report = QKClip(layers, 100.0).apply()
    assert sent == [(2, 2)]
    assert report.gamma_LH.tolist() == [[gamma, 1.0]] * 2
    assert all(rows.parameter.isfinite().all() for layer in layers for rows in layer.rows)


def test_bfloat16_weights_scale_within_their_rounding() -> None:
    query, _, layer = plain_layer([300.0, 10.0])
    query.to(torch.bfloat16)
    expected = query.weight.float().clone()
    expected[:4] *= (1 / 3) ** 0.5
    QKClip([layer], 100.0).apply()
    torch.testing.assert_close(query.weight.float(), expected, rtol=2**-7, atol=0)


def test_accumulated_micro_batches_clip_like_one_batch(tiny: ModelConfig) -> None:
    tokens, targets = torch.randint(0, 61, (2, 4, 12))
    weights, rows = torch.full((4, 12), 1 / 48), Boundaries.whole_rows
    results = []
    for size in (4, 1):
        model = Decoder(tiny.replace(init_std=0.4)).initialise(2).train()
        clip = QKClip(latent_attention_layers(model), 1.0)
        optimizer = MuonClip(model.named_parameters(), deepseek_rules(tiny), clip=clip, dtype=torch.float32)
        for start in range(0, 4, size):
            part = slice(start, start + size)
            model.loss(tokens[part], targets[part], weights[part], rows(size, 12)).total.backward()
        optimizer.step()
        assert clip.report is not None
        assert clip.report.share_clipped > 0
        results.append(clip.report.max_logit_LH)
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


def test_history_survives_a_round_trip() -> None:
    clip = QKClip([plain_layer([400.0, 1.0])[2]])
    clip.apply()
    again = QKClip([plain_layer([1.0, 1.0])[2]])
    again.load_state_dict(clip.state_dict())
    again.apply()
    assert again.n_steps == 2
    assert again.n_clipped_LH.tolist() == [[1, 0]]


def test_misuse_is_rejected() -> None:
    for threshold in (0, math.nan):
        with pytest.raises(ValueError, match=f"threshold is {threshold}"):
            QKClip([plain_layer([1.0])[2]], threshold)
    with pytest.raises(ValueError, match="no attention layers"):
        QKClip([])
