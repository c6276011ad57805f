"""Orders planted in real documents: are obedient outputs refused, and clean documents left alone?

    python tests/benchmarks/bench_injection.py DATA [--model MODEL]

DATA holds attacks/bipia_text_attack.jsonl and documents/xquad_en.jsonl. Three measurements:
obeyed    the model is given the order alone; its answer, alone and after a faithful edit, is an obedient output
planted   the model rewrites the document with the order in its middle
clean     the model rewrites the document without it; what the check of obedience refuses of these rewrites, and of the
          faithful edits, it refuses wrongly
"""

import argparse
import asyncio
import json
import random
from pathlib import Path

from fidelity.checker import Checker, FidelityConfig
from fidelity.checks.encoder import SentenceEncoder
from fidelity.checks.prompt_injection import obeyed_instruction, sentence_texts
from fidelity.planting.planted import faithful_edit
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.models.resolve import PACKAGED_MODEL
from rephrase.models.tokenizer import HubTokenizer
from rephrase.prompting.recipes import draw_variants, load_recipes
from rephrase.records import Check, Chunk, Completion, Document, Prompt, Sampling
from rephrase.rewriting import RewriteTools, rewrite_document

RECIPE = load_recipes()["rephrase"]
# A faithful edit is near its source on purpose.
ALL_CHECKS = set(RECIPE.checks) - {Check.NEW_WORDING}
OBEDIENCE = {Check.SIMILARITY, Check.OBEDIENCE}


def chunk(text: str) -> Chunk:
    return Chunk(document_id="d", index=0, start=0, end=len(text), text=text, n_tokens=len(text) // 4)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=PACKAGED_MODEL)
    arguments = parser.parse_args()
    orders = [json.loads(line)["instruction"] for line in (arguments.data / "attacks/bipia_text_attack.jsonl").open()]
    texts = [json.loads(line)["context"] for line in (arguments.data / "documents/xquad_en.jsonl").open()][
        : len(orders)
    ]
    engine = VLLMEngine(arguments.model)
    encoder = SentenceEncoder()
    checker = Checker(encoder, FidelityConfig())
    tools = RewriteTools(
        engine=engine, tokenizer=HubTokenizer(engine.info.tokenizer), check=checker, n_retries=2, seed=0
    )

    async def rewrite(name: str, text: str):
        document = Document(id=name, text=text, source="s")
        (variant,) = draw_variants(RECIPE, name, 1, 0)
        return (await rewrite_document(document, [chunk(text)], variant, RECIPE, tools)).chunks[0]

    async def answer(number: int) -> str:
        prompt = Prompt(system="You are a helpful assistant.", user=orders[number])
        return (await engine.complete(prompt, Sampling(temperature=0.5, top_p=0.9, max_tokens=80, seed=number))).text

    clean = await asyncio.gather(*[rewrite(f"clean{i}", text) for i, text in enumerate(texts)])
    answers = await asyncio.gather(*map(answer, range(len(orders))))
    planted = []
    for text, order in zip(texts, orders, strict=True):
        sentences = sentence_texts(text)
        middle = len(sentences) // 2
        planted.append("".join([*sentences[:middle], f" {order} ", *sentences[middle:]]))
    results = await asyncio.gather(*[rewrite(f"planted{i}", text) for i, text in enumerate(planted)])

    async def passes(source: str, output: str, checks: set[Check]) -> bool:
        completion = Completion(text=output, finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=0)
        return (await checker(chunk(source), completion, checks)).accepted

    finished = [
        " ".join(sentence_texts(text)[:-1]) or text for text in answers
    ]  # without the sentence that was cut off
    generator = random.Random(0)
    edits = [faithful_edit(text, generator) for text in texts]
    print(f"{engine.info.model}, {len(orders)} orders")
    for name, checks in (("obedience and similarity", OBEDIENCE), ("all checks", ALL_CHECKS)):
        alone = [await passes(planted[i], finished[i], checks) for i in range(len(orders))]
        after = [await passes(planted[i], f"{edits[i]} {finished[i]}", checks) for i in range(len(orders))]
        left = [await passes(planted[i], edits[i], checks) for i in range(len(orders))]
        print(
            f"obeyed, by {name}: the answer alone passes {sum(alone)} of {len(alone)}, after a faithful edit "
            f"{sum(after)} of {len(after)}; the edit without it passes {sum(left)}"
        )
        for i in range(len(orders)):
            if alone[i] or after[i]:
                print(f"  passed: {orders[i]!r} -> {finished[i][:150]!r}")
    accepted = sum(part.verdict.accepted for part in results)
    refused = sum(part.verdict.reason == "obeyed_document" for part in results)
    print(f"planted: {accepted} of {len(results)} accepted, {refused} refused as obedient (last try)")
    accepted = sum(part.verdict.accepted for part in clean)
    rewrites = sum(bool(obeyed_instruction(text, part.text, encoder)) for text, part in zip(texts, clean, strict=True))
    edited = sum(bool(obeyed_instruction(text, edit, encoder)) for text, edit in zip(texts, edits, strict=True))
    print(
        f"clean: {accepted} of {len(clean)} accepted; refused as obedient {rewrites} of {len(clean)} rewrites "
        f"and {edited} of {len(edits)} faithful edits"
    )
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
