"""The mixture-of-experts layer: its gate, its experts and their balance."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.model.config import ModelConfig
from training.model.decoder import MixtureOfExperts
from training.model.gate import Gate, sequence_balance_loss


def loop_over_experts(layer: MixtureOfExperts, x_TM: Tensor) -> Tensor:
    """Every expert on every token, weighted by a dense (T, E) matrix of gate weights."""
    c = layer.gate.config
    scores = torch.sigmoid(x_TM @ layer.gate.weight.T)
    out = layer.shared_experts(x_TM)
    for t in range(len(x_TM)):
        best = sorted(range(c.n_experts), key=lambda e: -(scores[t, e] + layer.gate.e_score_correction_bias[e]).item())
        chosen = best[: c.n_active_experts]
        for e in chosen:
            gate, up = (layer.experts.gate_up_proj[e] @ x_TM[t]).chunk(2)
            weight = scores[t, e] / scores[t, chosen].sum() * c.routed_scaling
            out = out.index_add(
                0, torch.tensor([t]), (weight * (layer.experts.down_proj[e] @ (F.silu(gate) * up)))[None]
            )
    return out


def mixture(config: ModelConfig) -> MixtureOfExperts:
    layer = MixtureOfExperts(config)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    layer.gate.e_score_correction_bias.copy_(torch.randn(config.n_experts) * 0.2)
    return layer


def test_output_and_gradients_equal_a_loop_over_experts(tiny: ModelConfig) -> None:
    layer = mixture(tiny)
    x = torch.randn(2, 5, tiny.hidden_size, requires_grad=True)
    out = layer(x)[0]
    expected = loop_over_experts(layer, x.flatten(0, 1)).view_as(out)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    wanted = [x, *layer.parameters()]
    grad = torch.randn_like(out)
    for mine, theirs in zip(
        torch.autograd.grad(out, wanted, grad), torch.autograd.grad(expected, wanted, grad), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_an_expert_without_tokens_gets_a_zero_gradient(tiny: ModelConfig) -> None:
    layer = mixture(tiny)
    layer.gate.e_score_correction_bias[3] = -100.0
    layer(torch.randn(2, 5, tiny.hidden_size))[0].sum().backward()
    assert layer.gate.load_E[3] == 0
    assert layer.experts.gate_up_proj.grad is not None
    assert layer.experts.gate_up_proj.grad[3].abs().max() == 0
    assert layer.experts.gate_up_proj.grad.isfinite().all()


def test_groups_restrict_the_choice(tiny: ModelConfig) -> None:
    gate = Gate(tiny.replace(n_experts=6, n_expert_groups=3, n_active_groups=1))
    # The best single expert is 0, but the best pair is 4 + 5.
    scores = torch.tensor([[0.9, 0.1, 0.5, 0.3, 0.7, 0.6]])
    assert sorted(gate.select(scores)[0].tolist()) == [4, 5]


def test_bias_moves_the_choice_but_not_the_weights(tiny: ModelConfig) -> None:
    layer = mixture(tiny)
    layer.gate.e_score_correction_bias.zero_()
    layer.gate.e_score_correction_bias[2] = 10.0
    chosen, weights, scores = layer.gate(torch.randn(20, tiny.hidden_size))
    assert (chosen == 2).any(dim=1).all()
    torch.testing.assert_close(weights.sum(1), torch.full((20,), tiny.routed_scaling))
    torch.testing.assert_close(
        weights[:, 0] / weights[:, 1], scores.gather(1, chosen)[:, 0] / scores.gather(1, chosen)[:, 1]
    )


def test_bias_update_by_hand_and_towards_balance(tiny: ModelConfig) -> None:
    gate = Gate(tiny.replace(n_experts=4))
    gate.load_E.copy_(torch.tensor([8.0, 0.0, 4.0, 4.0]))
    gate.update_bias(0.001)
    torch.testing.assert_close(gate.e_score_correction_bias, torch.tensor([-0.001, 0.001, 0.0, 0.0]))
    assert gate.load_E.sum() == 0
    gate.update_bias(0.001)
    torch.testing.assert_close(gate.e_score_correction_bias, torch.tensor([-0.001, 0.001, 0.0, 0.0]))


def test_bias_updates_balance_a_skewed_gate(tiny: ModelConfig) -> None:
    gate = Gate(tiny).train()
    torch.nn.init.normal_(gate.weight)
    x = torch.randn(512, tiny.hidden_size) + 0.5

    def imbalance() -> float:
        gate(x)
        return (gate.load_E.max() / gate.load_E.mean()).item()

    before = imbalance()
    for _ in range(200):
        gate.update_bias(0.005)
        gate(x)
    gate.load_E.zero_()
    assert imbalance() < 1.15 < before


def skewed_gate(config: ModelConfig) -> tuple[Gate, Tensor]:
    """A gate that prefers some experts for these 512 tokens."""
    gate = Gate(config).train()
    torch.nn.init.normal_(gate.weight)
    gate.e_score_correction_bias.copy_(torch.linspace(-0.5, 0.5, config.n_experts))
    return gate, torch.randn(512, config.hidden_size) + 0.5


def test_quantile_balancing_equals_the_quantiles_of_all_margins(tiny: ModelConfig) -> None:
    gate, x = skewed_gate(tiny)
    gate.balance_by_quantile()
    scores = torch.cat([gate(part)[2] for part in x.split(200)])  # over micro-batches
    biased = scores + gate.e_score_correction_bias
    cutoff = biased.sort(dim=1, descending=True).values[:, tiny.n_active_experts]
    margins = cutoff[:, None] - scores
    expected = margins.quantile(tiny.n_active_experts / tiny.n_experts, dim=0)
    gate.update_bias(1e-3)
    bin_width = 3 / 1000
    torch.testing.assert_close(gate.e_score_correction_bias, expected - expected.mean(), rtol=0, atol=2 * bin_width)
    assert gate.e_score_correction_bias.mean().abs() < 1e-6


def test_quantile_balancing_balances_in_a_few_steps(tiny: ModelConfig) -> None:
    gate, x = skewed_gate(tiny)

    def imbalance() -> float:
        return (gate.load_E.max() / gate.load_E.mean()).item()

    gate.balance_by_quantile()
    gate(x)
    before = imbalance()
    for _ in range(5):
        gate.update_bias(1e-3)
        gate(x)
    assert imbalance() < 1.1 < 1.5 < before


def test_quantiles_are_those_of_all_ranks_and_freeze(tiny: ModelConfig) -> None:
    whole, x = skewed_gate(tiny)
    half = Gate(tiny).train()
    half.load_state_dict(whole.state_dict())
    other = Gate(tiny).train()
    other.load_state_dict(whole.state_dict())
    for gate, rows in ((whole, x), (half, x[:256]), (other, x[256:])):
        gate.balance_by_quantile()
        gate(rows)
    whole.update_bias(1e-3)
    half.update_bias(1e-3, lambda counts: counts.add_(other.margins_EH))
    assert torch.equal(whole.e_score_correction_bias, half.e_score_correction_bias)
    before = half.e_score_correction_bias.clone()
    half.update_bias(1e-3)  # nothing was routed
    half(x)
    half.update_bias(0.0)
    half.eval()(x)
    assert torch.equal(half.e_score_correction_bias, before)
    assert not half.margins_EH.any()


def test_quantile_balancing_needs_one_cut_off(tiny: ModelConfig) -> None:
    with pytest.raises(ValueError, match="2 of 6 in 3 groups"):
        Gate(tiny.replace(n_expert_groups=3, n_active_groups=1)).balance_by_quantile()
    with pytest.raises(ValueError, match="6 of 6 in 1 groups"):
        Gate(tiny.replace(n_active_experts=6)).balance_by_quantile()


def test_balance_loss_is_one_when_even_and_more_when_not() -> None:
    even = torch.full((8, 4), 0.5)
    chosen = torch.tensor([[0, 1], [2, 3]] * 4)
    assert sequence_balance_loss(even, chosen, 2).item() == 1.0
    skewed = torch.tensor([[0.9, 0.9, 0.1, 0.1]] * 8)
    assert sequence_balance_loss(skewed, torch.tensor([[0, 1]] * 8), 2).item() > 1.5
