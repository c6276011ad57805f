"""A LoRA adapter in the real vLLM, in a process of its own: engines of one process share state."""

import pytest
from adapters import merge, write_adapter

from fidelity.checks.causal_scorer import CausalScorer
from rephrase.engines.engine import EngineError
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
from rephrase.records import Prompt, Sampling

pytestmark = pytest.mark.model


async def test_an_adapter_changes_the_model_as_its_merged_weights_would(tmp_path):
    folder = resolve_model(PACKAGED_MODEL)
    adapter = write_adapter(tmp_path / "adapter", folder, rank=5)
    context, text = "Text:\nRain fell.\n\nThe same in other words:\n", "It rained in the town of Ulm."
    scorer = CausalScorer(folder)
    (base,) = scorer.score([(context, text)])
    merge(scorer._model, adapter)
    (expected,) = scorer.score([(context, text)])
    engine = VLLMEngine(lora=str(adapter), max_context_tokens=1024, options={"max_num_seqs": 4})
    try:
        found = await engine.logprobs(context, text)
        answer = await engine.complete(
            Prompt(system="You answer questions.", user="What is rain?"),
            Sampling(temperature=0.8, top_p=0.9, max_tokens=16, seed=1),
        )
    finally:
        await engine.close()
    assert max(abs(a - b) for a, b in zip(base.logprobs, expected.logprobs, strict=True)) > 2
    assert max(abs(a - b) for a, b in zip(found.logprobs, expected.logprobs, strict=True)) < 0.5
    assert answer.n_completion_tokens > 0
    model, revision = engine.info.model, engine.info.model_revision
    assert model == f"{PACKAGED_MODEL}+{adapter}"
    assert len(revision) == 25


@pytest.mark.slow
def test_an_adapter_of_another_model_does_not_load(tmp_path):
    from safetensors.torch import load_file, save_file

    adapter = write_adapter(tmp_path, resolve_model(PACKAGED_MODEL))
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: weight.repeat(2, 2) for name, weight in weights.items()}, adapter / "adapter_model.safetensors")
    with pytest.raises(EngineError, match="could not load"):
        VLLMEngine(lora=str(adapter), max_context_tokens=1024, options={"max_num_seqs": 4})
