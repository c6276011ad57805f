"""Cost of the tiers of the verdict: seconds per 1,000 chunks, and their share of generation time.

    python tests/benchmarks/bench_fidelity_speed.py DATA [--chunks 96] [--generate 16]

DATA contains documents/ as JSON Lines. Chunks are real text and rewrites are faithful edits of it, so that every tier
has a realistic load. Generation is measured with the packaged model on the same chunks; for larger models on the same
cores, the share is extrapolated by the number of parameters.
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fidelity.checker import check_form
from fidelity.checks.sentences import compare_sentences, split_sentences
from fidelity.embeddings.encoder import SentenceEncoder
from fidelity.embeddings.vector_cache import CachedEncoder
from fidelity.facts.comparing.compare import compare_facts
from fidelity.facts.reading.parsed import parse
from fidelity.fitting.planted_pairs import chunk_of
from fidelity.planting.planted import faithful_edit
from fidelity.reader.reader import Reader
from rephrase.records import Completion, Prompt, Requirements, Sampling

N_ROUNDS = 3


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def embedding_throughput(texts: list[str], encoder: SentenceEncoder) -> tuple[float, float]:
    """Median sentences per second of our encoder and of the bare library, measured alternately."""
    bare = encoder._encoder
    ours, theirs = [], []
    for _ in range(N_ROUNDS):
        ours.append(len(texts) / seconds(lambda: CachedEncoder(encoder).encode(texts)))
        theirs.append(
            len(texts)
            / seconds(lambda: bare.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False))
        )
    return statistics.median(ours), statistics.median(theirs)


def generation_tokens_per_s(chunks: list[str]) -> tuple[float, float]:
    """Output tokens per second of the packaged model with all chunks at once, and tokens per chunk."""
    from rephrase.engines.vllm_engine import VLLMEngine

    engine = VLLMEngine(max_context_tokens=2048)
    system = "Rewrite the input text in your own words."

    async def run() -> tuple[float, float]:
        began = time.perf_counter()
        answers = await asyncio.gather(
            *(
                engine.complete(
                    Prompt(system=system, user=chunk), Sampling(temperature=0.5, top_p=0.9, max_tokens=300, seed=i)
                )
                for i, chunk in enumerate(chunks)
            )
        )
        took = time.perf_counter() - began
        await engine.close()
        n_tokens = sum(answer.n_completion_tokens for answer in answers)
        return n_tokens / took, n_tokens / len(chunks)

    return asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--chunks", type=int, default=96)
    parser.add_argument("--generate", type=int, default=16, help="chunks to generate for the comparison; 0: none")
    arguments = parser.parse_args()
    file = arguments.data / "documents" / "openstax_us_history.jsonl"
    if not file.is_file():
        parser.error(f"{file} does not exist: pass the folder with documents/")
    generator = random.Random(0)
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    chunks = [chunk_of(rows[i % len(rows)]["text"], generator) for i in range(arguments.chunks)]
    rewrites = [faithful_edit(chunk, generator) for chunk in chunks]
    pairs = list(zip(chunks, rewrites, strict=True))
    encoder = SentenceEncoder()
    encoder.encode(chunks[:4])

    sentences = [s[i] for s in map(split_sentences, chunks) for i in range(len(s.spans))]
    sentences = list(dict.fromkeys(sentences))
    ours, bare = embedding_throughput(sentences, encoder)
    print(f"embedding {len(sentences)} distinct sentences: {ours:.0f}/s, bare SentenceTransformer.encode {bare:.0f}/s")
    print(f"ratio {ours / bare:.2f}\n")

    done = [Completion(text=r, finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=0) for r in rewrites]

    def embed() -> None:
        cached = CachedEncoder(encoder)
        cached.encode([text for pair in pairs for text in pair])
        compare_sentences(pairs, cached)

    def read_facts() -> None:
        parse.cache_clear()  # in a run, texts are not cached
        for chunk, rewrite in pairs:
            compare_facts(chunk, rewrite)

    reports = compare_sentences(pairs, CachedEncoder(encoder))
    reader = Reader()
    reader.read(reports[:2])
    tiers: dict[str, Callable[[], Any]] = {
        "form": lambda: [check_form(c, d, Requirements(checks=())) for c, d in zip(chunks, done, strict=True)],
        "embedding": embed,
        "facts": read_facts,
        "reader": lambda: reader.read(reports),
    }
    took = {
        name: statistics.median(seconds(work) for _ in range(N_ROUNDS)) / len(pairs) for name, work in tiers.items()
    }
    print("| tier | s per 1,000 chunks |\n|---|---|")
    for name, value in took.items():
        print(f"| {name} | {1000 * value:.1f} |")
    all_tiers = sum(took.values())
    if arguments.generate:
        speed, n_tokens = generation_tokens_per_s(chunks[: arguments.generate])
        generation = n_tokens / speed
        print(f"\ngeneration: {speed:.0f} tokens/s, {n_tokens:.0f} tokens per chunk, {generation:.2f} s per chunk")
        print(f"all tiers: {all_tiers:.3f} s per chunk, {all_tiers / generation:.1%} of generation")
        print(f"the reader alone: {took['reader']:.3f} s per chunk, {took['reader'] / generation:.1%} of generation")
        print("\nFor a larger model on the same cores, generation time is scaled by the number of parameters:")
        for parameters in (1.7e9, 4e9, 8e9):
            share = all_tiers / (generation * parameters / 135e6)
            longer = parameters / 135e6
            print(f"  {parameters / 1e9:g}B: {all_tiers:.3f} / ({generation:.2f} × {longer:.0f}) = {share:.2%}")


if __name__ == "__main__":
    main()
