import math

import pytest
import torch
from torch import Tensor

from training.model.config import ModelConfig, RopeScaling
from training.model.rotary import RotaryTable, rotary_frequencies

CPU = torch.device("cpu")
DEEPSEEK_V3 = RopeScaling(factor=40, original_context_length=4096)
KIMI_K2 = RopeScaling(factor=32, original_context_length=4096, beta_fast=1, beta_slow=1)


def yarn_pair(i: int, n_components: int, theta: float, scaling: RopeScaling) -> float:
    """The frequency of one pair, from YaRN's sections 3.2 and 3.3 with bounds rounded to whole pairs."""
    original = theta ** (-2 * i / n_components)

    def pair(turns: float) -> float:
        # turns = context · theta^(-2i/R) / 2π, solved for i
        return n_components / 2 * math.log(scaling.original_context_length / (turns * 2 * math.pi), theta)

    first, last = math.floor(pair(scaling.beta_fast)), math.ceil(pair(scaling.beta_slow))
    share_kept = 1 - min(max((i - first) / (last - first), 0), 1)
    return share_kept * original + (1 - share_kept) * original / scaling.factor


@pytest.mark.parametrize(("scaling", "theta"), [(DEEPSEEK_V3, 10_000.0), (KIMI_K2, 50_000.0)])
def test_frequencies_are_those_of_yarn(scaling: RopeScaling, theta: float) -> None:
    expected = torch.tensor([yarn_pair(i, 64, theta, scaling) for i in range(32)])
    found = rotary_frequencies(64, theta, scaling, CPU)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    plain = rotary_frequencies(64, theta, None, CPU)
    assert found[0] == plain[0]
    torch.testing.assert_close(found[-1], plain[-1] / scaling.factor)


def test_a_context_too_short_for_a_blend_is_a_step() -> None:
    scaling = RopeScaling(factor=4, original_context_length=6)  # no pair turns even once: both bounds are pair 0
    kept = rotary_frequencies(4, 1e4, scaling, CPU) / rotary_frequencies(4, 1e4, None, CPU)
    assert kept.tolist() == [1, 0.25]


def test_rotation_depends_on_distance_only() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8)

    def dots(scaling: RopeScaling | None) -> Tensor:
        found = []
        for shift in (0, 5, 900):
            at_query, at_key = (RotaryTable(torch.tensor([[p + shift]]), 8, 10_000.0, scaling) for p in (7, 3))
            found.append((at_query.rotate(q) * at_key.rotate(k)).sum())
        return torch.stack(found)

    for scaling in (None, RopeScaling(factor=8, original_context_length=64)):
        torch.testing.assert_close(dots(scaling), dots(scaling)[0].expand(3), rtol=1e-3, atol=1e-4)


def test_mscale_sharpens_rotated_components_and_mscale_all_dim_all_of_them(tiny: ModelConfig) -> None:
    scaling = RopeScaling(factor=40, original_context_length=64, mscale=0.7, mscale_all_dim=0.5)
    rotated, every = 0.07 * math.log(40) + 1, 0.05 * math.log(40) + 1
    x = torch.randn(1, 1, 1, 8)
    lengthened = RotaryTable(torch.tensor([[9]]), 8, 1e4, scaling).rotate(x).norm() / x.norm()
    assert lengthened.item() == pytest.approx(rotated / every, rel=1e-5)
    assert tiny.replace(rope_scaling=scaling).attention_scale == pytest.approx(12**-0.5 * every**2)


def test_stretching_again_starts_from_the_first_context(tiny: ModelConfig) -> None:
    twice = tiny.stretched(4).stretched(8)
    assert twice.rope_scaling == RopeScaling(factor=8, original_context_length=64)
    assert twice.context_length == 512


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factor": 0.5}, "factor of rope scaling is 0.5"),
        ({"factor": math.nan}, "factor of rope scaling is nan"),
        ({"original_context_length": 0}, "original_context_length of rope scaling is 0"),
        ({"beta_slow": 0}, "beta_slow of rope scaling is 0"),
        ({"beta_fast": 1, "beta_slow": 2}, "beta_fast is 1, but beta_slow is 2"),
    ],
)
def test_impossible_scaling_is_rejected(change: dict[str, float], message: str) -> None:
    values = {"factor": 2.0, "original_context_length": 64, **change}
    with pytest.raises(ValueError, match=message):
        RopeScaling(**values)  # type: ignore[arg-type]
