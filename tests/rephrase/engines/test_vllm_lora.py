"""A LoRA adapter in the real vLLM, in a process of its own: engines of one process share state."""

import pytest
import torch
from adapters import merge, write_adapter
from transformers import AutoModelForCausalLM, AutoTokenizer

from rephrase.engines.engine import EngineError
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
from rephrase.records import Prompt, Sampling

pytestmark = [pytest.mark.model, pytest.mark.slow]
N_TOKENS = 12


async def test_an_adapter_changes_the_model_as_its_merged_weights_would(tmp_path):
    folder = resolve_model(PACKAGED_MODEL)
    adapter = write_adapter(tmp_path / "adapter", folder, rank=5)
    prompt = Prompt(system="You answer questions.", user="What is rain?")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    base = continuation(model, tokenizer, prompt)
    merge(model, adapter)
    expected = continuation(model, tokenizer, prompt)
    options = {"max_num_seqs": 4, "dtype": "float32"}
    engine = VLLMEngine(lora=str(adapter), max_context_tokens=1024, options=options)
    try:
        answer = await engine.complete(prompt, Sampling(temperature=0.0, top_p=1.0, max_tokens=N_TOKENS, seed=1))
    finally:
        await engine.close()
    assert answer.text == expected != base
    model, revision = engine.info.model, engine.info.model_revision
    assert model == f"{PACKAGED_MODEL}+{adapter}"
    assert len(revision) == 25


def continuation(model, tokenizer, prompt):
    """What the model in transformers answers, each token the likeliest."""
    tokens = tokenizer.apply_chat_template(
        prompt.messages(), add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**tokens, max_new_tokens=N_TOKENS, do_sample=False)[0, tokens["input_ids"].shape[1] :]
    return tokenizer.decode(answer, skip_special_tokens=True)


def test_an_adapter_of_another_model_does_not_load(tmp_path):
    from safetensors.torch import load_file, save_file

    adapter = write_adapter(tmp_path, resolve_model(PACKAGED_MODEL))
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: weight.repeat(2, 2) for name, weight in weights.items()}, adapter / "adapter_model.safetensors")
    with pytest.raises(EngineError, match="could not load"):
        VLLMEngine(lora=str(adapter), max_context_tokens=1024, options={"max_num_seqs": 4})
