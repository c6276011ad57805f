import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, DeepseekV3ForCausalLM, PreTrainedTokenizerFast

from training.huggingface import export, from_hf, from_hf_config, to_hf, to_hf_config
from training.model.config import ModelConfig, RopeScaling
from training.model.decoder import Decoder

SHAPES = {
    "plain": {},
    "direct queries": {"q_rank": None},
    "expert groups": {"n_experts": 8, "n_expert_groups": 4, "n_active_groups": 2, "n_active_experts": 3},
    "all dense": {"n_dense_layers": 2},
    "stretched as DeepSeek-V3": {"rope_scaling": RopeScaling(factor=40, original_context_length=8)},
    "stretched as Kimi K2": {
        "rope_theta": 50_000.0,
        "rope_scaling": RopeScaling(factor=32, original_context_length=8, beta_fast=1, beta_slow=1),
    },
    "stretched, other scales": {
        "rope_scaling": RopeScaling(factor=4, original_context_length=16, mscale=0.7, mscale_all_dim=0.5)
    },
    "all mixture, two shared": {"n_dense_layers": 0, "n_shared_experts": 2, "rope_theta": 50_000.0},
}


@pytest.fixture(params=list(SHAPES))
def model(request: pytest.FixtureRequest, tiny: ModelConfig) -> Decoder:
    model = Decoder(tiny.replace(**SHAPES[request.param])).initialise(3).eval()
    for gate in model.gates():
        gate.e_score_correction_bias.normal_(0, 0.1)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def test_logits_equal_those_of_transformers(model: Decoder) -> None:
    tokens = torch.randint(0, 61, (2, 40))
    torch.testing.assert_close(model(tokens), to_hf(model)(tokens).logits, rtol=1e-5, atol=1e-5)


def test_import_undoes_export(model: Decoder) -> None:
    again = from_hf(to_hf(model))
    assert again.config == model.config
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_greedy_generation_is_the_same(model: Decoder) -> None:
    tokens = torch.randint(0, 61, (1, 5))
    generated = to_hf(model).generate(tokens, max_new_tokens=20, do_sample=False, pad_token_id=0)
    for _ in range(20):
        tokens = torch.cat([tokens, model(tokens)[:, -1:].argmax(-1)], dim=1)
    assert generated.tolist() == tokens.tolist()


def small_tokenizer(folder: Path, n_words: int) -> Path:
    words = {"<end>": 0} | {f"w{i}": i + 1 for i in range(n_words - 1)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    return folder


def test_exported_folder_loads_with_its_tokenizer(tiny: ModelConfig, tmp_path: Path) -> None:
    model = Decoder(tiny).initialise(3).eval()
    export(model, tmp_path / "out", small_tokenizer(tmp_path / "words", 61), dtype=torch.float32)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    tokens = tokenizer("w1 w7 w9 w3", return_tensors="pt").input_ids
    assert tokens.tolist() == [[0, 2, 8, 10, 4]]  # 0 began every document in training
    torch.testing.assert_close(loaded(tokens).logits, model(tokens), rtol=1e-5, atol=1e-5)
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (generation["bos_token_id"], generation["eos_token_id"]) == (0, 0)


def test_a_tokenizer_with_a_start_token_keeps_it(tiny: ModelConfig, tmp_path: Path) -> None:
    words = {"<end>": 0, "<start>": 1, "w0": 2, "w1": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", bos_token="<start>").save_pretrained(
        tmp_path / "words"
    )
    export(Decoder(tiny).initialise(3), tmp_path / "out", tmp_path / "words")
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("w1 w0").input_ids == [1, 3, 2]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 0)


def test_the_exported_configuration_and_biases_are_as_published(tiny: ModelConfig, tmp_path: Path) -> None:
    model = Decoder(tiny).initialise(3)
    for gate in model.gates():
        gate.e_score_correction_bias.normal_(0, 0.1)
    export(model, tmp_path / "out", small_tokenizer(tmp_path / "words", 61))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["topk_method"], config["scoring_func"]) == ("noaux_tc", "sigmoid")
    weights = load_file(tmp_path / "out" / "model.safetensors")
    biases = {name: tensor for name, tensor in weights.items() if "e_score" in name}
    assert [tensor.tolist() for tensor in biases.values()] == [
        g.e_score_correction_bias.tolist() for g in model.gates()
    ]
    assert {tensor.dtype for name, tensor in weights.items() if name not in biases} == {torch.bfloat16}
    again = from_hf(AutoModelForCausalLM.from_pretrained(tmp_path / "out"))
    assert [g.e_score_correction_bias.tolist() for g in again.gates()] == [
        tensor.tolist() for tensor in biases.values()
    ]


def test_export_rejects_a_larger_tokenizer(tiny: ModelConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="62 tokens and the model 61"):
        export(Decoder(tiny).initialise(3), tmp_path / "out", small_tokenizer(tmp_path / "words", 62))


def test_import_rejects_what_the_decoder_does_not_support(tiny: ModelConfig) -> None:
    config = to_hf_config(tiny)
    config.attention_bias = True
    with pytest.raises(ValueError, match="attention_bias is True"):
        from_hf_config(config)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rope_type": "linear", "factor": 2.0}, "rope scaling is 'linear'"),
        (
            {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64, "attention_factor": 1.5},
            "{'attention_factor': 1.5}; only yarn with factor, original_max_position_embeddings",
        ),
    ],
)
def test_import_rejects_another_rope_scaling(tiny: ModelConfig, parameters: dict[str, Any], message: str) -> None:
    config = to_hf_config(tiny)
    config.rope_parameters = {"rope_theta": 10_000.0, **parameters}
    with pytest.raises(ValueError, match=re.escape(message)):
        from_hf_config(config)


def test_import_without_scales_sharpens_as_transformers_does(tiny: ModelConfig) -> None:
    config = to_hf_config(tiny)
    config.rope_parameters = {
        "rope_type": "yarn",
        "rope_theta": 10_000.0,
        "factor": 8.0,
        "original_max_position_embeddings": 8,
    }
    hf = DeepseekV3ForCausalLM(config).eval()
    tokens = torch.randint(0, 61, (2, 40))
    torch.testing.assert_close(from_hf(hf).eval()(tokens), hf(tokens).logits, rtol=1e-5, atol=1e-5)


def test_import_rejects_another_routing(tiny: ModelConfig) -> None:
    config = to_hf_config(tiny)
    config.scoring_func = "softmax"
    with pytest.raises(ValueError, match="scoring_func is 'softmax'"):
        from_hf_config(config)
