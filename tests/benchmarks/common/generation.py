"""Real prompts for the benchmarks of generation: sections of US history and paragraphs of Wikipedia."""

import json
from pathlib import Path

from rephrase.corpus.chunking import chunk_document
from rephrase.models.resolve import PACKAGED_MODEL
from rephrase.models.tokenizer import HubTokenizer
from rephrase.prompting.context import make_context
from rephrase.prompting.recipes import draw_variants, load_recipes
from rephrase.records import Chunk, Document, Prompt, Requirements, Sampling

RECIPE = load_recipes()["rephrase"]


def read_documents(data: Path, n: int, n_characters: int) -> list[Document]:
    """Sections of US history cut to between one and five times `n_characters`, paragraphs of Wikipedia in between."""
    history = [json.loads(line) for line in (data / "documents/openstax_us_history.jsonl").open(encoding="utf-8")]
    wikipedia = [json.loads(line) for line in (data / "documents/xquad_en.jsonl").open(encoding="utf-8")]
    documents = []
    for i in range(n):
        if i % 4 == 3:
            title, text = wikipedia[i // 4]["title"], wikipedia[i // 4]["context"]
        else:
            record = history[(i - i // 4) % len(history)]
            title, text = record["title"], record["text"][: n_characters * (1 + i % 5)]
        documents.append(Document(id=f"d{i}", title=title, text=text, source="corpus.jsonl", record=i))
    return documents


def first_chunks(documents: list[Document]) -> list[tuple[Chunk, Requirements, Prompt, Sampling]]:
    """The first chunk of each document with what is asked of its rewrite, its prompt and its sampling."""
    tokenizer = HubTokenizer(PACKAGED_MODEL)
    found = []
    for number, document in enumerate(documents):
        chunk = chunk_document(document, tokenizer, RECIPE.chunk_tokens)[0]
        (variant,) = draw_variants(RECIPE, document.id, 1, 0)
        context = make_context(document.text, chunk, "", {}, tokenizer, RECIPE.context_tokens)
        prompt = RECIPE.render(document, chunk, variant, context, chunk.text.strip())
        sampling = Sampling(
            temperature=RECIPE.sampling.temperature,
            top_p=RECIPE.sampling.top_p,
            max_tokens=RECIPE.max_output_tokens(chunk),
            seed=number,
        )
        found.append((chunk, RECIPE.requirements(variant.style), prompt, sampling))
    return found
