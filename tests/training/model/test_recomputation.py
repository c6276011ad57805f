import pytest
import torch
from torch import Tensor

from training.data.batch import Batch
from training.data.boundaries import Boundaries
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.utility.alignment import probed_layers, scoring, target_gradients


@pytest.fixture
def batch(packed: Boundaries) -> Batch:
    tokens, targets = torch.randint(0, 61, (2, 2, 10))
    zeros = torch.zeros(2, 10, dtype=torch.int64)
    return Batch(tokens, targets, packed.starts_BS, zeros, zeros, zeros)


def observed(config: ModelConfig, batch: Batch, n_recomputed: int) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The gradients, and everything that is recorded beside them, of two micro-batches and one utility measurement."""
    model = Decoder(config).initialise(1).recompute(n_recomputed).train()
    layers = probed_layers(model)
    target = target_gradients(model, layers, batch)
    weights = torch.full(batch.tokens_BS.shape, 0.05)
    with scoring(layers, target) as collected:
        for _ in range(2):
            model.loss(
                batch.tokens_BS, batch.targets_BS, weights, batch.boundaries, balance_weight=0.1
            ).total.backward()
    recorded = {f"load {i}": gate.load_E for i, gate in enumerate(model.gates())}
    recorded |= {f"maxima {i}": kept.max_H for i, kept in enumerate(model.logit_maxima())}
    recorded |= {f"target {i}": gradient for i, gradient in enumerate(target)} | {"scores": collected.scores_BS}
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None], recorded


@pytest.mark.parametrize("n_recomputed", [1, 3])
@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_and_counts_are_those_without(
    tiny: ModelConfig, batch: Batch, n_recomputed: int, autocast: bool
) -> None:
    config = tiny.replace(n_layers=3)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        gradients, recorded = observed(config, batch, 0)
        recomputed_gradients, recorded_too = observed(config, batch, n_recomputed)
    assert len(gradients) == len(list(Decoder(config).parameters()))
    for gradient, again in zip(gradients, recomputed_gradients, strict=True):
        assert torch.equal(gradient, again)
    assert recorded["load 0"].sum() == 2 * 20 * config.n_active_experts
    assert recorded["scores"].abs().min() > 0
    for name, value in recorded.items():
        assert torch.equal(value, recorded_too[name]), name


def test_activations_are_not_kept(tiny: ModelConfig, batch: Batch) -> None:
    def kept(n_recomputed: int) -> int:
        """Numbers that one forward pass keeps for the backward pass, weights aside."""
        model = Decoder(tiny).initialise(1).recompute(n_recomputed)
        parameters = {parameter.data_ptr() for parameter in model.parameters()}
        sizes = {}

        def note(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in parameters:
                sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model.hidden(batch.tokens_BS, batch.boundaries)
        return sum(sizes.values())

    none, first, both = (kept(n) for n in (0, 1, 2))
    assert both < first < none
    assert both < none / 10


def test_the_mode_of_evaluation_is_kept(tiny: ModelConfig, batch: Batch) -> None:
    model = Decoder(tiny).initialise(1).recompute(2).eval()
    model.loss(batch.tokens_BS, batch.targets_BS, torch.ones(2, 10), batch.boundaries).total.backward()
    assert not any(module.training for module in model.modules())
    assert sum(gate.load_E.sum() for gate in model.gates()) == 0
