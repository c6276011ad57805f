"""Do hints help? Rejected chunks are rewritten a second time, with the hint and without it.

    python tests/benchmarks/bench_hints.py DATA [--chunks 150] [--model MODEL]

DATA contains documents/xquad_en.jsonl. Both second attempts have the same seed; they differ only in the hint.
"""

import argparse
import asyncio
import dataclasses
from pathlib import Path

from fidelity.checker import Checker, FidelityConfig
from fidelity.embeddings.encoder import SentenceEncoder
from fidelity.fitting.labelled_sets import read_rows
from rephrase.corpus.chunking import chunk_document
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.models.resolve import PACKAGED_MODEL
from rephrase.models.tokenizer import HubTokenizer
from rephrase.prompting.context import make_context
from rephrase.prompting.hints import make_hint
from rephrase.prompting.recipes import draw_variants, load_recipes
from rephrase.records import Chunk, Document, Sampling, Verdict


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--chunks", type=int, default=150)
    parser.add_argument("--model", default=PACKAGED_MODEL)
    arguments = parser.parse_args()
    path = arguments.data / "documents" / "xquad_en.jsonl"
    if not path.is_file():
        parser.error(f"{path} does not exist: pass the folder with the data")
    engine = VLLMEngine(arguments.model)
    check = Checker(SentenceEncoder(), FidelityConfig())
    tokenizer, recipe = HubTokenizer(engine.info.tokenizer), load_recipes()["rephrase"]
    texts = list(dict.fromkeys(row["context"] for row in read_rows(path)))[: arguments.chunks]

    async def attempt(document: Document, chunk: Chunk, number: int, hint: str) -> Verdict:
        variant = draw_variants(recipe, document.id, 1, 0)[0]
        context = make_context(document.text, chunk, "", {}, tokenizer, recipe.context_tokens)
        sampling = Sampling(
            temperature=recipe.sampling.temperature,
            top_p=recipe.sampling.top_p,
            max_tokens=recipe.max_output_tokens(chunk, variant.style),
            seed=number,
        )
        prompt = recipe.render(document, variant, context, chunk.text.strip(), hint)
        completion = await engine.complete(prompt, sampling)
        return await check(
            chunk, dataclasses.replace(completion, text=completion.text.strip()), recipe.requirements(variant.style)
        )

    async def one(number: int, text: str) -> tuple[bool, bool, bool] | None:
        """Whether the first attempt, the second with the hint, and the second without it were accepted."""
        document = Document(id=f"d{number}", text=text, source="xquad", detected_language="en")
        chunk = chunk_document(document, tokenizer, recipe.chunk_tokens)[0]
        first = await attempt(document, chunk, 0, "")
        hint = make_hint(first, chunk)
        if first.accepted or not hint:
            return (first.accepted, False, False) if first.accepted else None
        hinted, plain = await asyncio.gather(attempt(document, chunk, 1, hint), attempt(document, chunk, 1, ""))
        return (False, hinted.accepted, plain.accepted)

    found = await asyncio.gather(*(one(number, text) for number, text in enumerate(texts)))
    known = [result for result in found if result is not None]
    rejected = [result for result in known if not result[0]]
    hinted, plain = sum(r[1] for r in rejected), sum(r[2] for r in rejected)
    print(
        f"{engine.info.model}: of {len(texts)} chunks {len(known) - len(rejected)} accepted at the first attempt, "
        f"{len(rejected)} rejected with a hint\n"
        f"second attempt: {hinted} accepted with the hint, {plain} without it"
    )
    check.close()
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
