"""Published configurations and weights. `published/` holds the config.json of deepseek-ai/DeepSeek-V3 and of
moonshotai/Kimi-K2-Base."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import DeepseekV3ForCausalLM

from training.huggingface import from_hf, from_hf_config, read_hf_config
from training.loop.starting import find_start
from training.model.config import ModelConfig, RopeScaling
from training.model.decoder import Decoder
from training.model.presets import deepseek_v3, kimi_k2
from training.published import dequantise, load_published, published_tensors

CONFIGS = Path(__file__).parent / "published"
PRESETS = {
    "deepseek_v3": deepseek_v3().replace(
        init_std=0.02, context_length=163_840, rope_scaling=RopeScaling(factor=40, original_context_length=4096)
    ),
    "kimi_k2": kimi_k2().replace(
        init_std=0.02,
        context_length=131_072,
        rope_scaling=RopeScaling(factor=32, original_context_length=4096, beta_fast=1, beta_slow=1),
    ),
}
# Sizes that leave smaller blocks at the ends, of one matrix in two dimensions.
TINY = {
    "vocab_size": 61, "hidden_size": 160, "intermediate_size": 200, "moe_intermediate_size": 136,
    "num_hidden_layers": 2, "first_k_dense_replace": 1, "n_routed_experts": 16, "num_experts_per_tok": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "q_lora_rank": 144, "kv_lora_rank": 140,
    "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 12, "initializer_range": 0.1,
    "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip


def write_config(folder: Path, name: str, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    config = json.loads((CONFIGS / f"{name}.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


@pytest.mark.parametrize("name", ["deepseek_v3", "kimi_k2"])
def test_published_configurations_are_imported(name: str, tmp_path: Path) -> None:
    """On the meta device: transformers' names and shapes, and as many parameters."""
    config = read_hf_config(write_config(tmp_path, name))
    assert from_hf_config(config) == PRESETS[name]
    with torch.device("meta"):
        hf = DeepseekV3ForCausalLM(config)
        model = from_hf(hf)
    n_parameters = {"kimi_k2": 1_026_408_209_408, "deepseek_v3": sum(p.numel() for p in hf.parameters())}[name]
    assert sum(parameter.numel() for parameter in model.parameters()) == n_parameters
    published = {name: tuple(tensor.shape) for name, tensor in published_tensors(model)}
    last = f"model.layers.60.mlp.experts.{model.config.n_experts - 1}."
    assert published[last + "up_proj.weight"] == (2048, 7168)
    assert published[last + "down_proj.weight"] == (7168, 2048)
    assert published["model.layers.0.self_attn.kv_a_proj_with_mqa.weight"] == (576, 7168)


def plainly_dequantised(stored: Tensor, scales: Tensor) -> Tensor:
    weight = stored.float()
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            weight[128 * i : 128 * (i + 1), 128 * j : 128 * (j + 1)] *= scales[i, j]
    return weight


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """FP8 blocks and their factors, each the largest absolute value over 448, the largest of e4m3."""
    stored = torch.empty_like(weight, dtype=torch.float8_e4m3fn)
    scales = torch.empty(-(-weight.shape[0] // 128), -(-weight.shape[1] // 128))
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            block = (slice(128 * i, 128 * (i + 1)), slice(128 * j, 128 * (j + 1)))
            scales[i, j] = weight[block].abs().max() / 448
            stored[block] = (weight[block] / scales[i, j]).to(torch.float8_e4m3fn)
    return stored, scales


@pytest.fixture(params=["deepseek_v3", "kimi_k2"])
def twin(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, DeepseekV3ForCausalLM]:
    """A tiny random model in published form, FP8 and multi-token prediction included, and the same in transformers."""
    folder, plain = write_config(tmp_path / "published", request.param, **TINY), tmp_path / "plain"
    hf = DeepseekV3ForCausalLM(read_hf_config(folder))
    hf.model.layers[1].mlp.gate.e_score_correction_bias.normal_(0, 0.1)
    hf.save_pretrained(plain)
    weights, stored = load_file(plain / "model.safetensors"), {}
    for name, weight in weights.items():
        if weight.ndim == 2 and re.search(r"_proj(_with_mqa)?\.weight$", name):
            stored[name], stored[f"{name}_scale_inv"] = quantised(weight)
            weights[name] = plainly_dequantised(stored[name], stored[f"{name}_scale_inv"])
        else:
            stored[name] = weight
    stored["model.layers.2.eh_proj.weight"] = torch.zeros(1, 1)
    names = sorted(stored)
    for shard in range(2):
        save_file({name: stored[name] for name in names[shard::2]}, folder / f"model-{shard}.safetensors")
    save_file(weights, plain / "model.safetensors", metadata={"format": "pt"})
    return folder, DeepseekV3ForCausalLM.from_pretrained(plain).eval()


def test_a_published_model_has_the_logits_of_transformers(twin: tuple[Path, DeepseekV3ForCausalLM]) -> None:
    folder, hf = twin
    start = find_start(str(folder))
    model = Decoder(start.config())  # type: ignore[union-attr]
    start.load_into(model)  # type: ignore[union-attr]
    stored = load_file(folder / "model-0.safetensors") | load_file(folder / "model-1.safetensors")
    assert stored["model.layers.1.mlp.experts.15.up_proj.weight"].dtype == torch.float8_e4m3fn
    tokens = torch.randint(0, 61, (2, 40))
    torch.testing.assert_close(model.eval()(tokens), hf(tokens).logits, rtol=1e-5, atol=1e-5)


def test_smaller_blocks_at_the_ends_have_their_own_factors() -> None:
    stored, scales = quantised(torch.randn(140, 300))
    assert scales.shape == (2, 3)
    assert torch.equal(dequantise(stored, scales), plainly_dequantised(stored, scales))


def test_what_does_not_fit_is_refused(tmp_path: Path, tiny: ModelConfig) -> None:
    model = Decoder(tiny).initialise(1)
    with pytest.raises(ValueError, match=r"lack 47 weights of the model, such as lm_head\.weight"):
        load_published(model, tmp_path)
    weights = {name: tensor.clone() for name, tensor in published_tensors(model)}
    save_file({**weights, "model.layers.0.self_attn.q_proj.bias": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"has 1 weights that the model lacks, such as model.layers.0.self_attn.q_pro"):
        load_published(model, tmp_path)
    save_file({**weights, "model.norm.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model.norm.weight has the shape \(1,\); the model needs \(32,\)"):
        load_published(model, tmp_path)
    with pytest.raises(ValueError, match=r"a matrix of 140 × 2 needs \(2, 1\) factors, not \(1, 1\)"):
        dequantise(torch.zeros(140, 2), torch.ones(1, 1))


def test_other_families_and_quantisations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="type 'llama'; only deepseek_v3 and kimi_k2 can be imported"):
        read_hf_config(write_config(tmp_path, "kimi_k2", model_type="llama"))
    packed = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
    with pytest.raises(ValueError, match="quantised by 'compressed-tensors' in blocks of None; only fp8"):
        read_hf_config(write_config(tmp_path, "kimi_k2", quantization_config=packed))


@pytest.mark.parametrize("text", ['{"model_type"', "[1]", "null"])
def test_a_configuration_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json is not the configuration of a model: "):
        read_hf_config(tmp_path)


def test_a_file_cut_short_is_named(twin: tuple[Path, DeepseekV3ForCausalLM]) -> None:
    folder, _ = twin
    path = folder / "model-1.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"model-1.safetensors is damaged or not whole .*download it again"):
        load_published(Decoder(from_hf_config(read_hf_config(folder))), folder)
