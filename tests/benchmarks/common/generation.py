"""Real prompts for the benchmarks of generation: sections of US history and paragraphs of Wikipedia."""

import json
from dataclasses import dataclass
from pathlib import Path

from rephrase.corpus.chunking import chunk_document
from rephrase.models.resolve import PACKAGED_MODEL, n_parameters, resolve_model
from rephrase.models.tokenizer import HubTokenizer
from rephrase.prompting.context import make_context
from rephrase.prompting.recipes import draw_variants, load_recipes
from rephrase.records import Chunk, Document, Prompt, Requirements, Sampling

# As the packaged model gets it: a question to each sentence.
RECIPE = load_recipes()["rephrase"].for_model(n_parameters(resolve_model(PACKAGED_MODEL)))


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


@dataclass(frozen=True, slots=True)
class Request:
    """One candidate for one passage, as a run asks for it."""

    passage: Chunk
    requirements: Requirements
    style: str
    prompt: Prompt
    sampling: Sampling

    def rewrite(self, answer: str) -> str:
        """What the answer stands for."""
        return RECIPE.compose_rewrite(self.style, answer.strip(), self.passage.text.strip())


def requests_of(documents: list[Document]) -> list[Request]:
    """All requests of a run with these documents in which each passage passes at the first attempt."""
    tokenizer = HubTokenizer(PACKAGED_MODEL)
    found = []
    for document in documents:
        (variant,) = draw_variants(RECIPE, document.id, 1, 0)
        for chunk in chunk_document(document, tokenizer, RECIPE.chunk_tokens):
            pieces = RECIPE.pieces(chunk, tokenizer)
            for passage in [piece.passage for piece in pieces if piece.prose] or [chunk]:
                context = make_context(document.text, passage, "", {}, tokenizer, RECIPE.context_tokens)
                prompt = RECIPE.render(document, variant, context, passage.text.strip())
                requirements = RECIPE.requirements(variant.style)
                requirements = requirements.of_piece() if pieces else requirements
                for _ in range(RECIPE.candidates):
                    sampling = Sampling(
                        temperature=RECIPE.sampling.temperature,
                        top_p=RECIPE.sampling.top_p,
                        max_tokens=RECIPE.max_output_tokens(passage, variant.style),
                        seed=len(found),
                        logprob=RECIPE.candidates > 1,
                    )
                    found.append(Request(passage, requirements, variant.style, prompt, sampling))
    return found
