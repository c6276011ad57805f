"""`palimpsest recipes`: which recipes there are, and what a recipe would say to a model about a document."""

import dataclasses
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.padding import Padding

from rephrase.chunking import chunk_document
from rephrase.context import make_context
from rephrase.language import detect_language
from rephrase.masking import mask
from rephrase.reading import ReadOptions, list_inputs, read_file
from rephrase.recipes import Recipe, draw_variants
from rephrase.records import Document, Prompt, UnreadableRecord
from rephrase.rows import Row
from rephrase.tokenizer import Tokenizer


def recipe_rows(recipes: Mapping[str, Recipe]) -> list[Row]:
    return [
        {
            "name": recipe.name,
            "version": recipe.version,
            "description": recipe.description,
            "domain": [str(domain) for domain in recipe.domains],
            "languages": list(recipe.languages),
            "smallest_model": recipe.smallest_model,
            "styles": list(recipe.styles),
            "perspectives": list(recipe.perspectives),
            "checks": [str(check) for check in recipe.checks],
            "chunk_tokens": recipe.chunk_tokens,
            "context_tokens": recipe.context_tokens,
        }
        for _, recipe in sorted(recipes.items())
    ]


def print_recipes(console: Console, rows: Sequence[Row]) -> None:
    for row in rows:
        console.print(f"[bold]{row['name']}[/bold] {row['version']}: {row['description']}")
        for label, value in [
            ("for", f"{', '.join(row['domain'])} in {', '.join(row['languages']).replace('*', 'any language')}"),
            ("model", f"{row['smallest_model']} parameters or more"),
            ("styles", f"{len(row['styles'])}: {', '.join(row['styles'])}"),
            ("perspectives", f"{len(row['perspectives'])}: {', '.join(row['perspectives'])}"),
            ("checks", ", ".join(row["checks"])),
        ]:
            console.print(Padding(f"[dim]{label}[/dim] {value}", (0, 0, 0, 2)), highlight=False)


def first_document(source: str, options: ReadOptions) -> Document:
    """
    Raises:
        FileNotFoundError, ValueError: there is none.
    """
    reasons = []
    for file in list_inputs(source)[0]:
        for record, _ in read_file(file, options):
            if isinstance(record, UnreadableRecord):
                reasons.append(f"{record.reason}: {record.detail}")
                continue
            return record
    raise ValueError(f"there is no document in {source!r}: {'; '.join(reasons[:3])}")


def show_prompts(recipe: Recipe, document: Document, tokenizer: Tokenizer, n_chunks: int, seed: int) -> list[Prompt]:
    """The prompts for the first chunks of a document, as a run would send them.

    What the model wrote before is not known without running it: the source stands in its place.
    """
    document = dataclasses.replace(document, detected_language=detect_language(document.text))
    (variant,) = draw_variants(recipe, document.id, 1, seed)
    prompts = []
    for chunk in chunk_document(document, tokenizer, recipe.chunk_tokens)[:n_chunks]:
        written = document.text[: chunk.start]
        context = make_context(document.text, chunk, written, {}, tokenizer, recipe.context_tokens)
        passage = mask(chunk.text.strip()).text if recipe.mask_formulas else chunk.text.strip()
        prompts.append(recipe.render(document, chunk, variant, context, passage))
    return prompts
