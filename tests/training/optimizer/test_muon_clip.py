import copy
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.optimizer import muon_clip
from training.optimizer.matrix_layout import MatrixLayout
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import Rule, deepseek_rules


def train(model: nn.Module, optimizer: torch.optim.Optimizer, n_steps: int = 4) -> None:
    generator = torch.Generator().manual_seed(5)
    for _ in range(n_steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def twins(*shapes: tuple[int, ...]) -> tuple[nn.ParameterList, nn.ParameterList]:
    weights = [torch.randn(shape) for shape in shapes]
    first, second = (nn.ParameterList([weight.clone() for weight in weights]) for _ in range(2))
    return first, second


@pytest.mark.parametrize("nesterov", [True, False])
def test_equals_torch_muon(nesterov: bool) -> None:
    mine, theirs = twins((12, 20), (20, 12), (16, 16))
    config = MuonClipConfig(lr=0.02, coefficients="jordan", nesterov=nesterov)
    train(mine, MuonClip(mine.named_parameters(), [Rule("*", "muon")], config, dtype=torch.bfloat16))
    reference = torch.optim.Muon(
        theirs.parameters(), lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=nesterov, adjust_lr_fn="match_rms_adamw"
    )
    train(theirs, reference)
    for a, b in zip(mine, theirs, strict=True):
        # Both orthogonalise in bfloat16, whose rounding a different order of operations changes.
        torch.testing.assert_close(a, b, rtol=0, atol=2e-3)


def test_equals_torch_adamw() -> None:
    mine, theirs = twins((7,), (5, 3))
    config = MuonClipConfig(lr=0.02, adamw_betas=(0.8, 0.9))
    train(mine, MuonClip(mine.named_parameters(), [Rule("*", "adamw")], config))
    train(theirs, torch.optim.AdamW(theirs.parameters(), lr=0.02, betas=(0.8, 0.9), weight_decay=0.1))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_per_head_muon_is_muon_on_each_head(tiny: ModelConfig) -> None:
    """K3's per-head Muon against one step by hand: W ← W(1 − ηλ) − η · 0.2·√max(n, m) · UVᵀ of each head's gradient."""
    model = Decoder(tiny).initialise(0)
    config = MuonClipConfig(lr=0.1, nesterov=False)
    optimizer = MuonClip(model.named_parameters(), deepseek_rules(tiny, split_heads=True), config, dtype=torch.float32)
    weight = model.layers[0].self_attn.kv_b_proj.weight
    before, grad = weight.detach().clone(), torch.randn_like(weight)
    weight.grad = grad.clone()
    optimizer.step()
    keys, values = tiny.nope_head_dim, tiny.v_head_dim
    for start in range(0, len(weight), keys + values):
        for rows in (slice(start, start + keys), slice(start + keys, start + keys + values)):
            update = torch.linalg.svd(grad[rows], full_matrices=False)
            size = 0.1 * 0.2 * max(grad[rows].shape) ** 0.5
            exact = before[rows] * (1 - 0.1 * 0.1) - size * update.U @ update.Vh
            # Five steps leave singular values within a few percent of 1.
            torch.testing.assert_close(weight[rows], exact, rtol=0, atol=0.1 * size)


@pytest.mark.parametrize("limit", [1, 700, 1 << 26])
def test_stacked_and_fused_weights_are_updated_like_separate_matrices(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three experts' fused gate and up, and two heads' fused keys and values, against one parameter per matrix."""
    monkeypatch.setattr(muon_clip, "MAX_BATCH_ELEMENTS", limit)
    experts, fused = torch.randn(3, 2 * 6, 10), torch.randn(2 * (4 + 3), 10)
    keys_values = MatrixLayout(2, (4, 3))

    def split(experts: Tensor, fused: Tensor) -> list[Tensor]:
        pieces = [half for expert in experts for half in expert.chunk(2)]
        return [piece.clone() for piece in pieces] + [part[0].clone() for part in keys_values.split(fused)]

    together = nn.ParameterDict({"experts": experts.clone(), "fused": fused.clone()})
    apart = nn.ParameterList(split(experts, fused))
    rules = [Rule("experts", "muon", MatrixLayout(parts=(6, 6))), Rule("fused", "muon", keys_values)]
    config = MuonClipConfig(lr=0.05)
    one = MuonClip(together.named_parameters(), rules, config, dtype=torch.float32)
    many = MuonClip(apart.named_parameters(), [Rule("*", "muon")], config, dtype=torch.float32)
    for _ in range(3):
        grads = torch.randn_like(experts), torch.randn_like(fused)
        together["experts"].grad, together["fused"].grad = grads[0].clone(), grads[1].clone()
        for parameter, grad in zip(apart, split(*grads), strict=True):
            parameter.grad = grad
        one.step()
        many.step()
    for a, b in zip(split(together["experts"].data, together["fused"].data), apart, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_update_has_the_root_mean_square_of_adamw() -> None:
    weight = nn.ParameterDict({"w": torch.zeros(64, 256)})
    optimizer = MuonClip(weight.named_parameters(), [Rule("w", "muon")], MuonClipConfig(lr=1.0, weight_decay=0.0))
    weight["w"].grad = torch.randn(64, 256)
    optimizer.step()
    assert weight["w"].square().mean().sqrt().item() == pytest.approx(0.2, rel=0.05)


def test_state_round_trip_continues_exactly(tiny: ModelConfig) -> None:
    first, second = (Decoder(tiny).initialise(4) for _ in range(2))
    one, other = (MuonClip(m.named_parameters(), deepseek_rules(tiny)) for m in (first, second))
    train(first, one)
    second.load_state_dict(first.state_dict())
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    train(first, one)
    train(second, other)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_describe_names_the_optimizer_of_each_parameter(tiny: ModelConfig) -> None:
    rows = {row["name"]: row for row in MuonClip(Decoder(tiny).named_parameters(), deepseek_rules(tiny)).describe()}
    assert rows["layers.1.mlp.experts.gate_up_proj"]["matrices"] == [(6, 24, 32), (6, 24, 32)]
    assert rows["layers.0.self_attn.kv_b_proj.weight"]["matrices"] == [(1, 16, 16), (1, 24, 16)]
    assert rows["embed_tokens.weight"]["optimizer"] == "adamw"
    heads = MuonClip(Decoder(tiny).named_parameters(), deepseek_rules(tiny, split_heads=True)).describe()
    (query,) = (row["matrices"] for row in heads if "0.self_attn.q_b" in row["name"])
    assert query == [(2, 8, 16), (2, 4, 16)]


def test_parameters_without_a_gradient_are_unchanged() -> None:
    weights = nn.ParameterDict({"a": torch.ones(3, 3), "b": torch.ones(3)})
    optimizer = MuonClip(weights.named_parameters(), [Rule("a", "muon"), Rule("b", "adamw")])
    optimizer.step()
    assert torch.equal(weights["a"], torch.ones(3, 3))
    assert torch.equal(weights["b"], torch.ones(3))


@pytest.mark.parametrize("shape", [(3, 8, 12), (8, 12)])
def test_weights_without_a_gradient_of_their_own_rest(shape: tuple[int, ...]) -> None:
    """An expert without tokens: Newton–Schulz would blow its fading momentum up to full steps."""
    weights = nn.ParameterDict({"w": torch.randn(shape)})
    optimizer = MuonClip(weights.named_parameters(), [Rule("w", "muon")], MuonClipConfig(lr=0.1), dtype=torch.float32)
    weights["w"].grad = torch.randn(shape)
    optimizer.step()
    before = weights["w"].detach().clone()
    grad = torch.randn(shape)
    (grad[1] if len(shape) == 3 else grad).zero_()
    weights["w"].grad = grad
    optimizer.step()
    moved = (weights["w"] - before).detach()
    if len(shape) == 3:
        assert moved[1].abs().max() == 0
        assert all(moved[e].square().mean().sqrt() > 0.01 for e in (0, 2))
    else:
        assert moved.abs().max() == 0
    weights["w"].grad = torch.randn(shape)
    optimizer.step()
    assert (weights["w"] - before).abs().amax() > 0.01  # it moves again


def test_named_parameters_can_be_added() -> None:
    weights = nn.ParameterDict({"a": torch.ones(3, 3)})
    optimizer = MuonClip(weights.named_parameters(), [Rule("*norm", "adamw"), Rule("*", "muon")])
    new = nn.ParameterDict({"b": torch.ones(3, 4), "norm": torch.ones(3)})
    optimizer.add_param_group({"params": new.named_parameters(), "lr": 0.5})
    assert [(group["optimizer"], group["lr"]) for group in optimizer.param_groups] == [
        ("muon", 2e-4),
        ("muon", 0.5),
        ("adamw", 0.5),
    ]
    train(new, optimizer, 1)
    assert (new["b"] - 1).abs().max() > 0.05
    assert (new["norm"] - 1).abs().max() > 0.05
    assert {"optimizer.b.momentum", "optimizer.norm.exp_avg"} < optimizer.tensors().keys()
    with pytest.raises(ValueError, match=r"needs names, such as .*named_parameters"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2, 2))]})


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_weights_divided_by_fsdp2_are_updated() -> None:
    plain, divided = (nn.Linear(4, 6, bias=False) for _ in range(2))
    divided.load_state_dict(plain.state_dict())
    fully_shard(divided, mesh=init_device_mesh("cpu", (1,)))
    for layer in (plain, divided):
        optimizer = MuonClip(layer.named_parameters(), [Rule("*", "muon")], MuonClipConfig(lr=0.1))
        layer(torch.ones(2, 4)).sum().backward()
        optimizer.step()
    assert torch.equal(divided.weight.full_tensor(), plain.weight)


def test_weights_divided_by_columns_are_refused() -> None:
    dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    try:
        mesh = init_device_mesh("cpu", (2,))
        weight = nn.Parameter(DTensor.from_local(torch.zeros(4, 2), mesh, [Shard(1)], run_check=False))
        with pytest.raises(ValueError, match=r"weight is divided as \(Shard\(dim=1\),\): .*without tensor parallelism"):
            MuonClip([("weight", weight)], [Rule("*", "muon")])
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": -1.0}, "lr is -1"),
        ({"lr": math.nan}, "lr is nan"),
        ({"momentum": 1.0}, "momentum is 1"),
        ({"coefficients": "x"}, "polar"),
    ],
)
def test_bad_hyperparameters_are_rejected(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MuonClipConfig(**change)
