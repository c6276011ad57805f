"""`palimpsest recipes`: list the recipes, or show the prompts that one builds for a document."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding

from flows.console import err, out, print_json, readable_errors

if TYPE_CHECKING:
    from rephrase.corpus.reading import ReadOptions
    from rephrase.dataset.rows import Row
    from rephrase.models.tokenizer import Tokenizer
    from rephrase.prompting.recipes import Recipe
    from rephrase.records import Document, Prompt

recipes_app = typer.Typer(help="List the recipes, or show the prompts that one builds.")
RecipeFiles = Annotated[list[str] | None, typer.Option("--recipes", help="A recipe file of your own; may be repeated.")]


@recipes_app.callback(invoke_without_command=True)
def list_recipes(
    context: typer.Context,
    recipes: RecipeFiles = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the recipes with their styles, perspectives and checks."""
    if context.invoked_subcommand:
        return
    from rephrase.prompting.recipes import load_recipes

    with readable_errors():
        rows = recipe_rows(load_recipes(recipes or ()))
        if json_output:
            print_json(rows)
        else:
            print_recipes(rows)


@recipes_app.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(help="The recipe.")],
    on: Annotated[str, typer.Option(help="Corpus whose first document is used.")],
    text_field: Annotated[str, typer.Option(help="Field that holds the text.")] = "text",
    recipes: RecipeFiles = None,
    chunks: Annotated[int, typer.Option(min=1, help="Number of chunks to show prompts for.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="As for rephrase.")] = 0,
    model: Annotated[
        str, typer.Option(help="Model whose tokenizer is used and whose size selects the wording.")
    ] = "SmolLM2-135M-Instruct",
    model_size: Annotated[str | None, typer.Option(help="As for rephrase.")] = None,
) -> None:
    """Print the exact prompts for a real document, without running a model."""
    from rephrase.corpus.reading import Fields, ReadOptions
    from rephrase.models.resolve import local_model
    from rephrase.models.tokenizer import HubTokenizer
    from rephrase.prompting import routing

    with readable_errors():
        folder = local_model(model) or model
        size = routing.model_size(model_size, folder)
        found = routing.open_recipes(name, recipes or (), size)
        if name not in found:
            raise ValueError(f"{name!r} is not the name of one recipe; choose one of {', '.join(sorted(found))}")
        for notice in routing.model_size_notices(size, model, found, [name]):
            err.print(f"notice: {notice}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        document = first_document(on, ReadOptions(fields=Fields(text=text_field)))
        for prompt in show_prompts(found[name], document, HubTokenizer(folder), chunks, seed):
            for message in prompt.messages():
                out.print(f"[bold cyan]── {message['role']} ──[/bold cyan]")
                out.print(message["content"], markup=False, highlight=False, soft_wrap=True)


def recipe_rows(recipes: "Mapping[str, Recipe]") -> "list[Row]":
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


def print_recipes(rows: "Sequence[Row]") -> None:
    for row in rows:
        out.print(f"[bold]{row['name']}[/bold] {row['version']}: {row['description']}")
        for label, value in [
            ("for", f"{', '.join(row['domain'])} in {', '.join(row['languages']).replace('*', 'any language')}"),
            ("model", f"{row['smallest_model']} parameters or more"),
            ("styles", f"{len(row['styles'])}: {', '.join(row['styles'])}"),
            ("perspectives", f"{len(row['perspectives'])}: {', '.join(row['perspectives'])}"),
            ("checks", ", ".join(row["checks"])),
        ]:
            out.print(Padding(f"[dim]{label}[/dim] {value}", (0, 0, 0, 2)), highlight=False)


def first_document(source: str, options: "ReadOptions") -> "Document":
    """
    Raises:
        FileNotFoundError, ValueError: there is none.
    """
    from rephrase.corpus.inputs import list_inputs
    from rephrase.corpus.reading import read_file
    from rephrase.records import UnreadableRecord

    reasons = []
    for file in list_inputs(source)[0]:
        for record, _ in read_file(file, options):
            if isinstance(record, UnreadableRecord):
                reasons.append(f"{record.reason}: {record.detail}")
                continue
            return record
    raise ValueError(f"there is no document in {source!r}: {'; '.join(reasons[:3])}")


def show_prompts(
    recipe: "Recipe", document: "Document", tokenizer: "Tokenizer", n_chunks: int, seed: int
) -> "list[Prompt]":
    """The prompts for the first chunks of a document, as a run would send them.

    The text written so far is unknown without running the model; the source replaces it.
    """
    from rephrase.corpus.chunking import chunk_document
    from rephrase.corpus.language import likely_language
    from rephrase.prompting.context import make_context
    from rephrase.prompting.masking import mask
    from rephrase.prompting.recipes import draw_variants
    from rephrase.scheduling.estimate import passages

    document = dataclasses.replace(document, detected_language=likely_language(document.text))
    (variant,) = draw_variants(recipe, document.id, 1, seed)
    prompts = []
    for chunk in chunk_document(document, tokenizer, recipe.chunk_tokens, recipe.unit)[:n_chunks]:
        for piece in passages(chunk, recipe, tokenizer):
            written = document.text[: piece.start]
            context = make_context(document.text, piece, written, {}, tokenizer, recipe.context_tokens)
            passage = mask(piece.text.strip()).text if recipe.mask_formulas else piece.text.strip()
            prompts.append(recipe.render(document, variant, context, passage))
    return prompts
