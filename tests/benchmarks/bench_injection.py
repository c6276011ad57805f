"""Instructions planted in real documents: are obedient outputs rejected and clean documents accepted?

    python tests/benchmarks/bench_injection.py DATA [--model MODEL]

DATA contains attacks/bipia_text_attack.jsonl and documents/xquad_en.jsonl. Three measurements:
obeyed    the model receives the instruction alone; its answer, alone or after a faithful edit, is an obedient output
planted   the model rewrites the document with the instruction in its middle
clean     the model rewrites the document without it; any of these rewrites, and of the faithful edits, that the
          obedience check rejects is a false reject
"""

import argparse
import asyncio
import json
import random
from collections.abc import Collection
from pathlib import Path

from fidelity.checker import Checker, FidelityConfig
from fidelity.checks.prompt_injection import obeyed_instruction, sentence_texts
from fidelity.embeddings.encoder import SentenceEncoder
from fidelity.planting.planted import faithful_edit
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.models.resolve import PACKAGED_MODEL
from rephrase.models.tokenizer import HubTokenizer
from rephrase.prompting.recipes import draw_variants, load_recipes
from rephrase.records import Check, Chunk, Completion, Document, Prompt, Requirements, Sampling
from rephrase.rewriting import RewriteTools, rewrite_document

RECIPE = load_recipes()["rephrase"]
# A faithful edit is close to its source on purpose.
ALL_CHECKS = set(RECIPE.checks) - {Check.NEW_WORDING}
OBEDIENCE = {Check.SIMILARITY, Check.OBEDIENCE}


def chunk(text: str) -> Chunk:
    return Chunk(document_id="d", index=0, start=0, end=len(text), text=text, n_tokens=len(text) // 4)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=PACKAGED_MODEL)
    arguments = parser.parse_args()
    instructions = [
        json.loads(line)["instruction"] for line in (arguments.data / "attacks/bipia_text_attack.jsonl").open()
    ]
    texts = [json.loads(line)["context"] for line in (arguments.data / "documents/xquad_en.jsonl").open()][
        : len(instructions)
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
        prompt = Prompt(system="You are a helpful assistant.", user=instructions[number])
        return (await engine.complete(prompt, Sampling(temperature=0.5, top_p=0.9, max_tokens=80, seed=number))).text

    clean = await asyncio.gather(*[rewrite(f"clean{i}", text) for i, text in enumerate(texts)])
    answers = await asyncio.gather(*map(answer, range(len(instructions))))
    planted = []
    for text, instruction in zip(texts, instructions, strict=True):
        sentences = sentence_texts(text)
        middle = len(sentences) // 2
        planted.append("".join([*sentences[:middle], f" {instruction} ", *sentences[middle:]]))
    results = await asyncio.gather(*[rewrite(f"planted{i}", text) for i, text in enumerate(planted)])

    async def passes(source: str, output: str, checks: Collection[Check]) -> bool:
        completion = Completion(text=output, finish_reason="stop", n_prompt_tokens=0, n_completion_tokens=0)
        return (await checker(chunk(source), completion, Requirements(checks=tuple(checks)))).accepted

    finished = [" ".join(sentence_texts(text)[:-1]) or text for text in answers]  # drop the truncated sentence
    generator = random.Random(0)
    edits = [faithful_edit(text, generator) for text in texts]
    print(f"{engine.info.model}, {len(instructions)} instructions")
    for name, checks in (("obedience and similarity", OBEDIENCE), ("all checks", ALL_CHECKS)):
        alone = [await passes(planted[i], finished[i], checks) for i in range(len(instructions))]
        after = [await passes(planted[i], f"{edits[i]} {finished[i]}", checks) for i in range(len(instructions))]
        left = [await passes(planted[i], edits[i], checks) for i in range(len(instructions))]
        print(
            f"obeyed, {name}: {sum(alone)} of {len(alone)} answers pass alone, {sum(after)} of {len(after)} after a "
            f"faithful edit; {sum(left)} of {len(left)} edits pass without an answer"
        )
        for i in range(len(instructions)):
            if alone[i] or after[i]:
                print(f"  passed: {instructions[i]!r} -> {finished[i][:150]!r}")
    accepted = sum(part.verdict.accepted for part in results)
    rejected = sum(part.verdict.reason == "obeyed_document" for part in results)
    print(f"planted: {accepted} of {len(results)} accepted, {rejected} rejected as obedient (last attempt)")
    accepted = sum(part.verdict.accepted for part in clean)
    rewrites = sum(bool(obeyed_instruction(text, part.text, encoder)) for text, part in zip(texts, clean, strict=True))
    edited = sum(bool(obeyed_instruction(text, edit, encoder)) for text, edit in zip(texts, edits, strict=True))
    print(
        f"clean: {accepted} of {len(clean)} accepted; rejected as obedient: {rewrites} of {len(clean)} rewrites "
        f"and {edited} of {len(edits)} faithful edits"
    )
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
