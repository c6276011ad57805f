"""Conversion to and from transformers' `DeepseekV3ForCausalLM`: same parameter names, equal logits.

transformers stacks a layer's experts in memory and writes them to disk one by one; saving through its classes gives the
published layout that vLLM, SGLang and others load. Selection biases stay in float32, as published, because rounding
them sends tokens to other experts.
"""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from training.data.tokenizer import TextTokenizer
from training.model.config import ModelConfig, RopeScaling
from training.model.decoder import Decoder
from training.published import BLOCK, hf_name

# How tokens are routed. transformers knows no other way and leaves these out; without the first two, vLLM and SGLang
# route by a soft-max without selection biases, and SGLang needs the third.
ROUTING = {"topk_method": "noaux_tc", "scoring_func": "sigmoid", "moe_layer_freq": 1}

# Kimi K2 is a DeepSeek-V3 under a name of its own, by which inference engines tell them apart.
MODEL_TYPES = ("deepseek_v3", "kimi_k2")

# Fields of `RopeScaling` that transformers calls otherwise.
HF_ROPE_SCALING = {"original_context_length": "original_max_position_embeddings"}


def to_hf_config(config: ModelConfig, **special_tokens: int | None) -> DeepseekV3Config:
    """The transformers config of the same model; `special_tokens` are bos_token_id, eos_token_id, pad_token_id."""
    return DeepseekV3Config(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.dense_ffn_size,
        moe_intermediate_size=config.expert_ffn_size,
        num_hidden_layers=config.n_layers,
        first_k_dense_replace=config.n_dense_layers,
        num_attention_heads=config.n_heads,
        num_key_value_heads=config.n_heads,
        q_lora_rank=config.q_rank,
        kv_lora_rank=config.kv_rank,
        qk_nope_head_dim=config.nope_head_dim,
        qk_rope_head_dim=config.rope_head_dim,
        v_head_dim=config.v_head_dim,
        n_routed_experts=config.n_experts,
        num_experts_per_tok=config.n_active_experts,
        n_shared_experts=config.n_shared_experts,
        n_group=config.n_expert_groups,
        topk_group=config.n_active_groups,
        routed_scaling_factor=config.routed_scaling,
        norm_topk_prob=True,
        rms_norm_eps=config.norm_eps,
        rope_parameters=_to_rope_parameters(config),
        max_position_embeddings=config.context_length,
        initializer_range=config.init_std,
        num_nextn_predict_layers=0,
        **ROUTING,
        **{"bos_token_id": None, "eos_token_id": None, **special_tokens},
    )


def read_hf_config(folder: str | Path) -> DeepseekV3Config:
    """The configuration in a folder of DeepSeek-V3's family; its code, if it has some, is not run.

    Raises:
        ValueError: it is damaged, the model is of another family, or quantised in a way that cannot be undone here.
    """
    path = Path(folder) / "config.json"
    try:
        values = dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not the configuration of a model: {error}") from error
    kind, quantization = values.get("model_type"), values.pop("quantization_config", None)
    if kind not in MODEL_TYPES:
        raise ValueError(f"{folder} holds a model of type {kind!r}; only {' and '.join(MODEL_TYPES)} can be imported")
    if quantization is not None and (
        quantization.get("quant_method") != "fp8" or quantization.get("weight_block_size") != [BLOCK, BLOCK]
    ):
        raise ValueError(
            f"the weights in {folder} are quantised by {quantization.get('quant_method')!r} in blocks of "
            f"{quantization.get('weight_block_size')}; only fp8 in blocks of {[BLOCK, BLOCK]} can be imported"
        )
    return DeepseekV3Config.from_dict({**values, "model_type": "deepseek_v3"})


def from_hf_config(hf: DeepseekV3Config) -> ModelConfig:
    """The config of a transformers model.

    Raises:
        ValueError: the model uses a feature that this decoder lacks.
    """
    unsupported = {
        "attention_bias": (hf.attention_bias, False),
        "norm_topk_prob": (hf.norm_topk_prob, True),
        "rope_interleave": (hf.rope_interleave, True),
        "tie_word_embeddings": (hf.tie_word_embeddings, False),
        "hidden_act": (hf.hidden_act, "silu"),
        **{name: (getattr(hf, name, value), value) for name, value in ROUTING.items()},
    }
    for name, (value, supported) in unsupported.items():
        if value != supported:
            raise ValueError(f"{name} is {value!r}; only models with {name} = {supported!r} can be imported")
    return ModelConfig(
        vocab_size=hf.vocab_size,
        hidden_size=hf.hidden_size,
        n_layers=hf.num_hidden_layers,
        n_dense_layers=min(hf.first_k_dense_replace or 0, hf.num_hidden_layers),
        n_heads=hf.num_attention_heads,
        q_rank=hf.q_lora_rank,
        kv_rank=hf.kv_lora_rank,
        nope_head_dim=hf.qk_nope_head_dim,
        rope_head_dim=hf.qk_rope_head_dim,
        v_head_dim=hf.v_head_dim,
        dense_ffn_size=hf.intermediate_size,
        expert_ffn_size=hf.moe_intermediate_size,
        n_experts=hf.n_routed_experts,
        n_active_experts=hf.num_experts_per_tok,
        n_shared_experts=hf.n_shared_experts,
        n_expert_groups=hf.n_group or 1,
        n_active_groups=hf.topk_group or 1,
        routed_scaling=hf.routed_scaling_factor,
        norm_eps=hf.rms_norm_eps,
        rope_theta=hf.rope_parameters["rope_theta"],
        rope_scaling=_from_rope_parameters(hf.rope_parameters),
        context_length=hf.max_position_embeddings,
        init_std=hf.initializer_range,
    )


def _to_rope_parameters(config: ModelConfig) -> dict[str, Any]:
    scaling = config.rope_scaling
    if scaling is None:
        return {"rope_type": "default", "rope_theta": config.rope_theta}
    yarn = {HF_ROPE_SCALING.get(name, name): value for name, value in asdict(scaling).items()}
    return {"rope_type": "yarn", "rope_theta": config.rope_theta, **yarn}


def _from_rope_parameters(parameters: dict[str, Any]) -> RopeScaling | None:
    kind = parameters.get("rope_type", "default")
    if kind == "default":
        return None
    known = {HF_ROPE_SCALING.get(field.name, field.name): field.name for field in fields(RopeScaling)}
    unknown = {
        name: value for name, value in parameters.items() if name not in {*known, "rope_type", "type", "rope_theta"}
    }
    if kind != "yarn" or unknown:
        raise ValueError(f"rope scaling is {kind!r} with {unknown}; only yarn with {', '.join(known)} can be imported")
    # Where the two are missing, neither transformers nor DeepSeek's code sharpens components without position.
    given = {"mscale": 1.0, "mscale_all_dim": 0.0, **parameters}
    return RopeScaling(**{ours: given[name] for name, ours in known.items() if name in given})


def to_hf(model: Decoder, **special_tokens: int | None) -> DeepseekV3ForCausalLM:
    """A transformers model with a copy of the weights, in their dtype."""
    hf = DeepseekV3ForCausalLM(to_hf_config(model.config, **special_tokens))
    _cast_parameters(hf, model.lm_head.weight.dtype)
    hf.load_state_dict({hf_name(name): tensor for name, tensor in model.state_dict().items()}, strict=True)
    return hf.eval()


def from_hf(hf: DeepseekV3ForCausalLM) -> Decoder:
    """A decoder with a copy of a transformers model's weights."""
    model = Decoder(from_hf_config(hf.config))
    _cast_parameters(model, hf.lm_head.weight.dtype)
    weights = hf.state_dict()
    model.load_state_dict({name: weights[hf_name(name)] for name in model.state_dict()}, strict=True)
    return model


def export(model: Decoder, folder: str | Path, tokenizer: str | Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write a folder that transformers' Auto classes, vLLM and SGLang load.

    Args:
        tokenizer: the Hub id or folder of the tokenizer that the model was trained with. The exported one puts the
            start token before a prompt: the model has never seen a document without it.

    Raises:
        ValueError: the tokenizer has more tokens than the model.
    """
    loaded = TextTokenizer(tokenizer)
    if loaded.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"the tokenizer {tokenizer} has {loaded.vocab_size} tokens and the model {model.config.vocab_size}; "
            "export with the tokenizer that the model was trained with"
        )
    hf = to_hf(model, bos_token_id=loaded.start_id, eos_token_id=loaded.end_id, pad_token_id=loaded.pad_id)
    _cast_parameters(hf, dtype)
    hf.save_pretrained(folder)
    loaded.save_for_prompts(folder)


def _cast_parameters(model: nn.Module, dtype: torch.dtype) -> None:
    """Unlike `model.to(dtype)`, leave the buffers in float32: the selection biases and the angles of rotation."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
