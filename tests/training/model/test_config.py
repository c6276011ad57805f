import pytest
import torch

from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.model.presets import PRESETS, kimi_k2, list_presets, nano, preset


@pytest.mark.parametrize(("name", "n_total", "n_active"), [("kimi_k2", 1.04e12, 32.6e9), ("deepseek_v3", 671e9, 37e9)])
def test_published_parameter_counts(name: str, n_total: float, n_active: float) -> None:
    config = preset(name)
    assert config.n_parameters() == pytest.approx(n_total, rel=0.02)
    assert config.n_active_parameters() == pytest.approx(n_active, rel=0.02)


def test_kimi_k2_has_the_parameters_of_the_published_checkpoint() -> None:
    assert kimi_k2().n_parameters() == 1_026_408_209_408


@pytest.mark.parametrize("name", list(PRESETS))
def test_counts_are_those_of_the_real_modules(name: str) -> None:
    with torch.device("meta"):
        model = Decoder(preset(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == preset(name).n_parameters()


def test_active_parameters_without_the_idle_experts() -> None:
    config = nano(vocab_size=64)
    idle = config.n_moe_layers * (config.n_experts - config.n_active_experts) * 3 * 192 * 128
    assert config.n_parameters() - config.n_active_parameters() == idle


def test_presets_list_is_complete_and_plain() -> None:
    rows = {row["name"]: row for row in list_presets()}
    assert set(rows) == {"nano", "micro", "mini", "deepseek_v3", "kimi_k2"}
    assert ModelConfig.from_json(rows["kimi_k2"]["shape"]) == kimi_k2()


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'huge'.*nano"):
        preset("huge")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"rope_head_dim": 5}, "rope_head_dim is 5"),
        ({"n_dense_layers": 9}, "n_dense_layers is 9"),
        ({"n_expert_groups": 3}, "3 equal groups"),
        ({"n_expert_groups": 4, "n_active_groups": 1, "n_active_experts": 5}, "only 4 can be selected"),
        ({"q_rank": 0}, "q_rank is 0"),
    ],
)
def test_impossible_shapes_are_rejected(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nano().replace(**change)
