"""A small random LoRA adapter in PEFT's format, for the attention of any Llama-like model."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

ALPHA = 16


def write_adapter(folder: Path, model: str, rank: int = 8, seed: int = 0) -> Path:
    """Write an adapter of q_proj and v_proj that is strong enough to change every token's probability."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, linear in _adapted(AutoModelForCausalLM.from_pretrained(model)):
        n_out, n_in = linear.weight.shape
        down = torch.randn(rank, n_in, generator=generator) / n_in**0.5
        up = torch.randn(n_out, rank, generator=generator) / 8
        weights |= {
            f"base_model.model.{name}.lora_A.weight": down,
            f"base_model.model.{name}.lora_B.weight": up,
        }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": ALPHA, "target_modules": ["q_proj", "v_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def merge(model: torch.nn.Module, folder: Path) -> None:
    """Add the adapter to the weights of a model from transformers: W + alpha / r · B A (arXiv 2106.09685)."""
    from safetensors.torch import load_file

    weights = load_file(folder / "adapter_model.safetensors")
    with torch.no_grad():
        for name, linear in _adapted(model):
            down, up = (weights[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
            linear.weight += (ALPHA / len(down)) * (up @ down)


def _adapted(model: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    return [(name, module) for name, module in model.named_modules() if name.endswith(("q_proj", "v_proj"))]
