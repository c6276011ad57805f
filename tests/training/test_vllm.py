"""vLLM's own loading of an exported folder: its prompts, text and log-probabilities against transformers'.

vLLM runs in a process of its own, because it takes its settings from the environment when it is imported.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from training.huggingface import export
from training.model.decoder import Decoder
from training.model.presets import nano

# vLLM 0.32 on CPUs: its rotary kernel takes the stride of a query's heads for that of its tokens, so that every
# DeepSeek model is wrong beyond its first token. Without the kernel, vLLM rotates with torch and is right.
GENERATE = """
import json, sys
from vllm import LLM, SamplingParams

folder, prompt = sys.argv[1:]
llm = LLM(folder, dtype="float32", enforce_eager=True, max_model_len=128, max_num_seqs=1, max_num_batched_tokens=128,
          compilation_config={"custom_ops": ["-rotary_embedding"]})
greedy = SamplingParams(temperature=0, max_tokens=16, logprobs=0, prompt_logprobs=0, ignore_eos=True)
request = llm.generate([prompt], greedy)[0]
text, tokens = request.outputs[0], request.prompt_token_ids + list(request.outputs[0].token_ids)
logprobs = [*request.prompt_logprobs[1:], *text.logprobs]
print("RESULT", json.dumps([tokens, text.text, [d[t].logprob for t, d in zip(tokens[1:], logprobs)]]))
"""
# Our engine chooses these settings itself.
COMPLETE = """
import asyncio, json, sys
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.records import Prompt, Sampling

async def main():
    engine = VLLMEngine(sys.argv[1], max_context_tokens=128, options={"dtype": "float32", "max_num_seqs": 1})
    answer = await engine.complete(
        Prompt(system="", user=sys.argv[2]), Sampling(temperature=0, top_p=1, max_tokens=16, seed=0)
    )
    await engine.close()
    print("RESULT", json.dumps(answer.text))

asyncio.run(main())
"""
SHAPES = {
    # Other latents than DeepSeek's have no kernel on CPUs: there vLLM must attend without absorbing the projections.
    "nano": ({}, {"VLLM_MLA_DISABLE": "1"}),
    "latents of DeepSeek-V3": ({"kv_rank": 512, "rope_head_dim": 64}, {"VLLM_MLA_DISABLE": "0"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SHAPES))
def test_vllm_agrees_with_transformers(name: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    changes, environment = SHAPES[name]
    model = Decoder(nano(vocab_size=61).replace(**changes, init_std=0.1)).initialise(1)
    for gate in model.gates():
        gate.e_score_correction_bias.normal_(0, 0.1)
    export(model, tmp_path / "model", tokenizer_folder, torch.float32)

    tokens, text, logprobs = result_of(GENERATE, tmp_path / "model", environment)

    assert tokens[:4] == [0, 2, 8, 10]  # the start token comes first
    assert text.split() == [f"w{token - 1}" for token in tokens[11:] if token]
    hf = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    logits = hf(torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
    assert logits[10:].argmax(-1).tolist() == tokens[11:]
    expected = logits.gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(logprobs), expected, rtol=1e-3, atol=1e-3)

    template = tmp_path / "model" / "chat_template.jinja"
    template.write_text("{{ bos_token }}{% for message in messages %}{{ message.content }}{% endfor %}")
    answer = result_of(COMPLETE, tmp_path / "model", {})
    assert text.split()[: len(answer.split())] == answer.split()
    assert len(answer.split()) > 3


def result_of(script: str, model: Path, environment: dict[str, str]) -> Any:
    ran = subprocess.run(
        [sys.executable, "-c", script, str(model), "w1 w7 w9 w3 w3 w20 w5 w11 w40 w8"],
        env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "2"} | environment,
        capture_output=True,
        text=True,
    )
    results = [line for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    assert results, ran.stderr[-3000:]
    return json.loads(results[0].removeprefix("RESULT "))
