import torch

from training.data.boundaries import Boundaries
from training.model.config import ModelConfig
from training.model.decoder import Decoder


def test_packed_documents_do_not_see_each_other(tiny: ModelConfig, packed: Boundaries) -> None:
    model = Decoder(tiny).initialise(1).eval()
    tokens = torch.randint(0, tiny.vocab_size, (2, 10))
    together = model(tokens, packed)
    torch.testing.assert_close(together[0, 4:], model(tokens[:1, 4:])[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together[1, 8:], model(tokens[1:, 8:])[0], rtol=1e-4, atol=1e-5)


def test_loss_is_the_weighted_cross_entropy_of_the_logits(tiny: ModelConfig, packed: Boundaries) -> None:
    model = Decoder(tiny.replace(n_layers=3)).initialise(1)  # two of them mixtures
    tokens, targets = torch.randint(0, tiny.vocab_size, (2, 2, 10))
    weights = torch.rand(2, 10)
    loss = model.loss(tokens, targets, weights, packed)
    expected = torch.nn.functional.cross_entropy(
        model(tokens, packed).flatten(0, 1), targets.flatten(), reduction="none"
    )
    torch.testing.assert_close(loss.tokens_BS.flatten(), expected)
    torch.testing.assert_close(loss.total, (expected * weights.flatten()).sum())
    with_balance = model.loss(tokens, targets, weights, packed, balance_weight=0.5)
    torch.testing.assert_close(with_balance.total, loss.total + 0.5 * 2 * loss.balance * weights.sum())
    with_z = model.loss(tokens, targets, weights, packed, z_weight=0.5)
    normalisers = model(tokens, packed).logsumexp(dim=-1)
    torch.testing.assert_close(with_z.total, loss.total + 0.5 * (normalisers**2 * weights).sum())
    assert torch.equal(with_z.tokens_BS, loss.tokens_BS)


def test_every_parameter_learns(tiny: ModelConfig, packed: Boundaries) -> None:
    model = Decoder(tiny).initialise(1)
    tokens, targets = torch.randint(0, tiny.vocab_size, (2, 2, 10))
    model.loss(tokens, targets, torch.full((2, 10), 0.05), packed).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_initialisation_repeats_with_its_seed(tiny: ModelConfig) -> None:
    first, same, other = (Decoder(tiny).initialise(seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert abs(first.std().item() - tiny.init_std) < 0.01
