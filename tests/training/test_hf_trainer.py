from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    TrainingArguments,
)

from training.hf_trainer import MuonClipTrainer, max_logits, track_max_logits
from training.huggingface import to_hf
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.optimizer.muon_clip import MuonClip
from training.optimizer.parameter_rules import Rule
from training.optimizer.qk_clip import QKClip


def llama(n_kv_heads: int, **changes: Any) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=n_kv_heads, initializer_range=0.4, **changes,
    )  # fmt: skip
    torch.manual_seed(3)
    return LlamaForCausalLM(config)


def deepseek(tiny: ModelConfig) -> Any:
    return to_hf(Decoder(tiny.replace(n_layers=1, init_std=0.5)).initialise(1))


@pytest.fixture(params=["deepseek", "llama", "llama with grouped keys", "llama with biases"])
def model(request: pytest.FixtureRequest, tiny: ModelConfig) -> Any:
    if request.param == "deepseek":
        return deepseek(tiny)
    return llama(2 if "grouped" in request.param else 4, attention_bias="biases" in request.param)


def plain_maxima(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """The maxima of the only layer, from the logits of eager attention before its softmax."""
    from transformers.models.deepseek_v3 import modeling_deepseek_v3
    from transformers.models.llama import modeling_llama

    seen = []
    softmax = torch.nn.functional.softmax
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    for module in (modeling_llama, modeling_deepseek_v3):
        assert module.nn.functional is torch.nn.functional

    def spy(scores: Tensor, *arguments: Any, **named: Any) -> Tensor:
        if scores.ndim == 4:
            seen.append(scores.detach().clone())
        return softmax(scores, *arguments, **named)

    torch.nn.functional.softmax = spy
    try:
        model(**batch)
    finally:
        torch.nn.functional.softmax = softmax
        model.set_attn_implementation(before)
    scores = seen[0]
    return torch.where(scores > -1e30, scores, -torch.inf).amax(dim=(0, 2, 3))


@pytest.mark.parametrize("n_padding", [0, 3])
def test_maxima_are_exact_and_the_clip_scales_them(model: Any, n_padding: int) -> None:
    tokens = torch.randint(0, 61, (2, 300))
    mask = torch.ones_like(tokens)
    if n_padding:
        mask[0, -n_padding:] = 0
    batch = {"input_ids": tokens, "attention_mask": mask}
    expected = plain_maxima(model, batch)
    layers = track_max_logits(model.train())
    model(**batch)
    torch.testing.assert_close(layers[0].maxima.max_H, expected, rtol=1e-4, atol=1e-4)
    threshold = float(expected.median())
    report = QKClip(layers, threshold).apply()
    assert 0 < report.share_clipped < 1
    model(**batch)
    torch.testing.assert_close(layers[0].maxima.max_H, expected * report.gamma_LH[0], rtol=1e-3, atol=1e-3)


def test_evaluation_leaves_no_maxima(model: Any) -> None:
    layers = track_max_logits(model)
    model.eval()(torch.randint(0, 61, (1, 8)))
    assert layers[0].maxima.max_H.max() == -torch.inf


def test_additive_masks_and_cached_keys() -> None:
    q, k = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 4)
    scores = q @ k.mT
    visible = torch.ones(3, 5, dtype=torch.bool).tril(2)
    expected = scores.masked_fill(~visible, -torch.inf).amax(dim=(0, 2, 3))
    assert torch.equal(max_logits(q, k, None, 1.0), expected)
    assert torch.equal(max_logits(q, k, visible[None, None], 1.0), expected)
    additive = torch.zeros(1, 1, 3, 5).masked_fill(~visible, torch.finfo(torch.float32).min)
    assert torch.equal(max_logits(q, k, additive, 1.0), expected)


def test_trainer_trains_and_keeps_logits_at_the_threshold(model: Any, tmp_path: Path) -> None:
    class Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
        def __len__(self) -> int:
            return 64

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            tokens = (torch.arange(16) * (1 + index % 3) + index) % 61
            return {"input_ids": tokens, "labels": tokens}

    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=8, per_device_train_batch_size=4, gradient_accumulation_steps=2,
        learning_rate=0.02, weight_decay=0.1, logging_steps=1, save_steps=4, report_to=[], use_cpu=True, seed=1,
        disable_tqdm=True,
    )  # fmt: skip
    trainer = MuonClipTrainer(model=model, args=arguments, train_dataset=Rows(), clip_threshold=2.0)
    trainer.train()
    logged = [row for row in trainer.state.log_history if "loss" in row]
    assert logged[-1]["loss"] < logged[0]["loss"] - 0.5
    assert any(row["share_clipped"] > 0 for row in logged)
    optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
    assert isinstance(optimizer, MuonClip)
    assert optimizer.clip is not None
    assert optimizer.clip.n_steps == 8
    state = torch.load(tmp_path / "checkpoint-4" / "optimizer.pt")
    assert state["clip"]["n_steps"] == 4
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    resumed = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert resumed == pytest.approx([row["loss"] for row in logged], abs=1e-4)


def test_models_that_normalise_queries_are_rejected() -> None:
    config = Qwen3Config(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
    )
    with pytest.raises(ValueError, match=r"normalises its queries.*qk_clip=False"):
        track_max_logits(Qwen3ForCausalLM(config))


def test_models_that_cap_their_logits_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"caps its logits.*qk_clip=False"):
        track_max_logits(gemma())


def test_a_model_that_bounds_its_own_logits_trains_without_the_clip(tmp_path: Path) -> None:
    model = gemma()
    attention = model.config._attn_implementation
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=2, learning_rate=0.01, logging_steps=1, save_strategy="no", report_to=[],
        use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    rows = [{"input_ids": torch.arange(16), "labels": torch.arange(16)}] * 16
    trainer = MuonClipTrainer(model=model, args=arguments, train_dataset=rows, qk_clip=False)
    trainer.train()
    assert not any("max_logit" in row for row in trainer.state.log_history)
    assert model.config._attn_implementation == attention  # which keeps the soft-cap


def gemma() -> Gemma2ForCausalLM:
    config = Gemma2Config(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, attn_logit_softcapping=0.5, initializer_range=0.4,
    )  # fmt: skip
    torch.manual_seed(3)
    return Gemma2ForCausalLM(config)


def test_a_model_that_the_rules_do_not_cover_is_rejected(tmp_path: Path) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to=[], use_cpu=True)
    trainer = MuonClipTrainer(model=llama(4), args=arguments, rules=[Rule("*norm.weight", "adamw")])
    with pytest.raises(ValueError, match=r"no rule says.*q_proj"):
        trainer.create_optimizer()
