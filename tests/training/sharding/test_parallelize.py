from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from training.data.batch import Batch
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.optimizer.muon_clip import MuonClip
from training.optimizer.parameter_rules import deepseek_rules
from training.parallel import MeshSizes, Ranks, join
from training.sharding.expert_dispatch import ExpertDispatch
from training.sharding.micro_batches import MicroBatches, PassOptions
from training.sharding.parallelize import parallelize


@pytest.fixture
def second_of_two() -> Iterator[None]:
    """A process group that sends nothing."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=1, world_size=2, store=FakeStore())
    yield
    dist.destroy_process_group()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Ranks]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield join(MeshSizes(), "weights", "cpu")
    dist.destroy_process_group()


def on_meta(config: ModelConfig) -> Decoder:
    with torch.device("meta"):
        return Decoder(config)


def test_a_single_process_changes_nothing(tiny: ModelConfig) -> None:
    model = parallelize(Decoder(tiny), Ranks())
    assert not any(isinstance(module, FSDPModule) for module in model.modules())


@pytest.mark.usefixtures("second_of_two")
@pytest.mark.parametrize(("mesh", "shard"), [("dp=2", "none"), ("dp=2", "optimizer"), ("ep=2", "weights")])
def test_weights_begin_the_same_however_they_are_divided(tiny: ModelConfig, mesh: str, shard: str) -> None:
    whole = dict(Decoder(tiny).initialise(3).named_parameters())
    ranks = join(MeshSizes.parse(mesh), shard, "cpu")  # type: ignore[arg-type]
    model = parallelize(on_meta(tiny), ranks).to_empty(device="cpu").initialise(3)
    for name, parameter in model.named_parameters():
        assert isinstance(parameter, DTensor)
        expected = whole[name].detach()
        if shard != "none" or (mesh == "ep=2" and ".experts." in name):
            expected = expected.chunk(2)[1]
        assert torch.equal(parameter.to_local(), expected), name
    for gate in model.gates():
        assert gate.load_E.tolist() == gate.e_score_correction_bias.tolist() == [0.0] * 6
    assert all(kept.max_H.tolist() == [-torch.inf] * 2 for kept in model.logit_maxima())


@pytest.mark.usefixtures("second_of_two")
def test_divided_experts_stay_with_muon(tiny: ModelConfig) -> None:
    model = parallelize(on_meta(tiny), join(MeshSizes(ep=2), "weights", "cpu"))
    rows = {row["name"]: row for row in MuonClip(model.named_parameters(), deepseek_rules(tiny)).describe()}
    assert rows["layers.1.mlp.experts.gate_up_proj"]["optimizer"] == "muon"
    assert rows["layers.1.mlp.experts.gate_up_proj"]["matrices"] == [(6, 24, 32), (6, 24, 32)]
    assert {name for name, row in rows.items() if row["optimizer"] == "adamw"} == {
        name for name in rows if "norm" in name or name in ("embed_tokens.weight", "lm_head.weight")
    }


@pytest.mark.usefixtures("second_of_two")
def test_experts_that_do_not_divide_are_refused(tiny: ModelConfig) -> None:
    with pytest.raises(ValueError, match="5 experts do not divide evenly among the 2 processes of ep"):
        parallelize(on_meta(tiny.replace(n_experts=5)), join(MeshSizes(ep=2), "none", "cpu"))


def test_gradients_accumulate_over_micro_batches(alone: Ranks, tiny: ModelConfig) -> None:
    tokens, targets = torch.randint(0, 61, (2, 3, 10))
    zeros = torch.zeros(3, 10, dtype=torch.int32)
    batch = Batch(tokens, targets, zeros, zeros, zeros, zeros)
    plain = Decoder(tiny).initialise(1)
    expected = plain.loss(tokens, targets, torch.full((3, 10), 1 / 30), batch.boundaries, 0.1)
    expected.total.backward()
    for n_rows in (1, 2):
        divided = parallelize(Decoder(tiny).initialise(1), alone)
        options = PassOptions(
            micro_batch_rows=n_rows, balance_weight=0.1, z_weight=0.0, around=nullcontext, scale=lambda loss: loss
        )
        losses = MicroBatches(divided, alone, options)(batch, 1 / 30)
        torch.testing.assert_close(losses.tokens_BS, expected.tokens_BS)
        torch.testing.assert_close(losses.balance, expected.balance)
        for a, b in zip(plain.parameters(), divided.parameters(), strict=True):
            assert a.grad is not None
            assert isinstance(b.grad, DTensor)
            torch.testing.assert_close(b.grad.to_local(), a.grad)


def test_dispatching_to_oneself_changes_nothing(alone: Ranks, tiny: ModelConfig) -> None:
    assert alone.owner is not None
    experts = Decoder(tiny).initialise(1).layers[1].mlp.experts
    x, chosen, weights = torch.randn(7, 32), torch.rand(7, 6).topk(2).indices, torch.rand(7, 2)
    dispatched = ExpertDispatch(experts.forward, 6, alone.owner.get_group())
    torch.testing.assert_close(dispatched(x, chosen, weights), experts(x, chosen, weights))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(dispatched(x, chosen, weights), experts(x, chosen, weights))
