"""The engine in the process, side by side: numeric format, 8-bit weights, speculation.

    python tests/benchmarks/bench_engine.py DATA [--prompts 192] [--variants float32,float32+ngram]

DATA has documents/*.jsonl. Every variant runs the packaged model on the same prompts, in a process of its own and in
turns of some seconds with the others: on a shared machine, changes in speed affect all of them equally. The rewrites
are then judged by the verdict. `int8` are weights of 8 bits, one scale for each output channel, and activations of 8
bits, one scale for each token, made here from the packaged model; `ngram` drafts the tokens that follow the same words
earlier in the prompt or the text, and accepts them with the probability that the model gives them.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common.generation import RECIPE, Request, read_documents, requests_of
from common.turns import clock, take_turns

from fidelity.checker import FidelityConfig, open_checker
from rephrase.engines.engine import EngineError
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.models.precision import fast_precision
from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
from rephrase.models.unpacking import unpacked_once
from rephrase.records import Completion, Prompt, Sampling

NGRAM = {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_min": 2, "prompt_lookup_max": 4}
VARIANTS = ("bfloat16", "float32", "float32+ngram", "int8", "int8+ngram")
BASELINE = "bfloat16"  # the model's own format
CHARACTERS = 600
CONTEXT_TOKENS = 2048


class CountingEngine(VLLMEngine):
    """Counts the drafted tokens, and those of them that were accepted."""

    n_drafted = n_accepted = 0

    def _keep_load(self, scheduler_stats: Any, iteration_stats: Any) -> None:
        super()._keep_load(scheduler_stats, iteration_stats)
        if found := getattr(scheduler_stats, "spec_decoding_stats", None):
            self.n_drafted += found.num_draft_tokens
            self.n_accepted += found.num_accepted_tokens


def engine_of(variant: str) -> CountingEngine:
    base, _, speculation = variant.partition("+")
    model = str(eight_bit_model()) if base == "int8" else PACKAGED_MODEL
    options: dict[str, Any] = {"dtype": fast_precision() if base == "int8" else base}
    if speculation:
        options["speculative_config"] = NGRAM
    return CountingEngine(model, max_context_tokens=CONTEXT_TOKENS, options=options)


def eight_bit_model() -> Path:
    """The packaged model with 8-bit weights, in the format of compressed-tensors, which vLLM reads."""
    return unpacked_once(
        f"{PACKAGED_MODEL}-w8a8", lambda folder: write_eight_bit(resolve_model(PACKAGED_MODEL), folder)
    )


def write_eight_bit(model: str, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    weights = {}
    linear = {f"{name}.weight" for name, part in loaded.named_modules() if isinstance(part, torch.nn.Linear)}
    for name, weight in loaded.state_dict().items():
        if name not in linear or name.startswith("lm_head"):
            weights[name] = weight.to(torch.bfloat16)
            continue
        scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
        weights[name] = (weight / scale).round().to(torch.int8)
        weights[name.replace(".weight", ".weight_scale")] = scale.to(torch.bfloat16)
    weights.pop("lm_head.weight", None)  # tied to the embeddings
    save_checkpoint(loaded.config.to_dict(), weights, folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)


def save_checkpoint(config: dict[str, Any], weights: dict[str, Any], folder: Path) -> None:
    from safetensors.torch import save_file

    common = {"num_bits": 8, "type": "int", "symmetric": True}
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {**common, "strategy": "channel", "dynamic": False},
                "input_activations": {**common, "strategy": "token", "dynamic": True},
            }
        },
    }
    (folder / "config.json").write_text(json.dumps(config, default=str))
    save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "model.safetensors")


def draw_requests(data: Path, n: int) -> list[Request]:
    """One candidate for each of the first passages."""
    return requests_of(read_documents(data, n, CHARACTERS))[:: RECIPE.candidates][:n]


def measure(variant: str, data: Path, n_prompts: int) -> dict[str, Any]:
    requests = draw_requests(data, 2 * n_prompts)
    try:
        engine = engine_of(variant)
    except (ValueError, EngineError) as error:  # not on this processor, or not with this version of vLLM
        return {"refused": str(error)}

    async def timed(requests: list[tuple[Prompt, Sampling]]) -> tuple[list[Completion], float, float]:
        began, cpu = clock(), time.process_time()
        answers = await asyncio.gather(*[engine.complete(*request) for request in requests])
        return answers, clock() - began, time.process_time() - cpu

    async def all_of_it() -> dict[str, Any]:
        prompts = [(request.prompt, request.sampling) for request in requests]
        one_token = [(p, Sampling(temperature=0, top_p=1, max_tokens=1, seed=0)) for p, _ in prompts[n_prompts:]]
        await engine.complete(prompts[0][0], one_token[0][1])  # what is compiled at first use
        _, prefill_s, prefill_cpu_s = await timed(one_token)
        answers, seconds, cpu_s = await timed(prompts[:n_prompts])
        await engine.close()
        return {
            "prefill_s": prefill_s,
            "prefill_cpu_s": prefill_cpu_s,
            "n_tokens": sum(answer.n_completion_tokens for answer in answers),
            "seconds": seconds,
            "cpu_s": cpu_s,
            "drafts_accepted": engine.n_accepted / engine.n_drafted if engine.n_drafted else None,
            "texts": [(answer.text, answer.finish_reason) for answer in answers],
        }

    return asyncio.run(all_of_it())


async def judge(rows: dict[str, dict[str, Any]], data: Path, n_prompts: int) -> None:
    """Add the share of rewrites that the verdict accepts, and their mean similarity to the source."""
    requests = draw_requests(data, 2 * n_prompts)[:n_prompts]
    checker = open_checker(FidelityConfig())
    for row in rows.values():
        verdicts = await asyncio.gather(
            *[
                checker(
                    request.passage,
                    Completion(
                        text=request.rewrite(text),
                        finish_reason=finish_reason,
                        n_prompt_tokens=0,
                        n_completion_tokens=0,
                    ),
                    request.requirements,
                )
                for request, (text, finish_reason) in zip(requests, row["texts"], strict=True)
            ]
        )
        row["accepted"] = sum(verdict.accepted for verdict in verdicts) / len(verdicts)
        similarities = [verdict.scores["similarity"] for verdict in verdicts if "similarity" in verdict.scores]
        row["similarity"] = float(np.mean(similarities)) if similarities else float("nan")
    checker.close()


def table(rows: dict[str, dict[str, Any]]) -> None:
    base = rows.get(BASELINE) or next(iter(rows.values()))
    speed = {name: row["n_tokens"] / row["seconds"] for name, row in rows.items()}
    base_speed = base["n_tokens"] / base["seconds"]
    print("| variant | output tokens/s | × | × per CPU s | prefill s | × | drafts accepted | accepted | similarity |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        per_cpu = (row["n_tokens"] / row["cpu_s"]) / (base["n_tokens"] / base["cpu_s"])
        drafts = "" if row["drafts_accepted"] is None else f"{row['drafts_accepted']:.0%}"
        print(
            f"| {name} | {speed[name]:.0f} | {speed[name] / base_speed:.2f} | {per_cpu:.2f} | {row['prefill_s']:.1f} "
            f"| {base['prefill_s'] / row['prefill_s']:.2f} | {drafts} | {row['accepted']:.0%} "
            f"| {row['similarity']:.3f} |"
        )
    fastest = max(speed, key=lambda name: speed[name])
    print(f"\nfastest: {fastest}; the automatic dtype on this processor: {fast_precision()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--prompts", type=int, default=192)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--minutes", type=float, default=10.0, help="stop everything after so long")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "bench-engine")
    parser.add_argument("--only", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (arguments.data / "documents").is_dir():
        parser.error(f"{arguments.data} has no documents/: give the folder with the data")
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.only:
        found = measure(arguments.only, arguments.data, arguments.prompts)
        (arguments.out / f"{arguments.only}.json").write_text(json.dumps(found))
        return
    variants = arguments.variants.split(",")
    command = [sys.executable, __file__, str(arguments.data), "--prompts", str(arguments.prompts)]
    command += ["--out", str(arguments.out), "--only"]
    take_turns([[*command, variant] for variant in variants], minutes=arguments.minutes)
    found = {name: json.loads((arguments.out / f"{name}.json").read_text()) for name in variants}
    for name, row in found.items():
        if "refused" in row:
            print(f"{name} does not run: {row['refused']}")
    rows = {name: row for name, row in found.items() if "refused" not in row}
    asyncio.run(judge(rows, arguments.data, arguments.prompts))
    table(rows)


if __name__ == "__main__":
    main()
