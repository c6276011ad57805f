"""Which recipes rewrite a document: chosen by its domain and language, or by the user."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rephrase.models.resolve import n_parameters
from rephrase.prompting.recipes import Recipe, load_recipes, parse_size
from rephrase.records import Document, Domain

AUTOMATIC = "auto"
PASS_THROUGH = "none"

# The recipes of a route are applied one after the other; an empty route leaves a document unchanged.
Route = tuple[str, ...]


def route_document(document: Document, choice: str) -> Route:
    """The route of a document.

    By default, knowledge and web texts are rephrased, mathematics becomes learning notes (translated first if it is not
    in English), and code stays unchanged.

    Args:
        choice: "auto", "none", a recipe's name, or several joined with "+".
    """
    if choice == PASS_THROUGH:
        return ()
    if choice != AUTOMATIC:
        return tuple(choice.split("+"))
    if document.domain == Domain.CODE:
        return ()
    if document.domain == Domain.MATH:
        return ("learning_note",) if document.is_english else ("translate", "learning_note")
    return ("rephrase",)


def require_recipes(choice: str, recipes: Mapping[str, Recipe]) -> None:
    """
    Raises:
        ValueError: the choice names a recipe that does not exist.
    """
    names = () if choice in (AUTOMATIC, PASS_THROUGH) else choice.split("+")
    for name in names:
        if name not in recipes:
            raise ValueError(
                f"there is no recipe {name!r}; choose {', '.join(sorted(recipes))}, several of them joined with +, "
                f"{AUTOMATIC!r} (by domain and language) or {PASS_THROUGH!r} (leave unchanged)"
            )


def open_recipes(choice: str, files: Sequence[str | Path] = (), n_parameters: float | None = None) -> dict[str, Recipe]:
    """The recipes that a run with this choice may use, by name, as worded for a model of this size.

    Args:
        files: they add to the built-in recipes.
        n_parameters: None if the size of the model is unknown: the wording for the largest.

    Raises:
        ValueError: the choice names a recipe that does not exist, or a recipe file is invalid.
    """
    recipes = {name: recipe.for_model(n_parameters) for name, recipe in load_recipes(files).items()}
    require_recipes(choice, recipes)
    if choice in (AUTOMATIC, PASS_THROUGH):
        return recipes
    return {name: recipes[name] for name in choice.split("+")}


def model_size(stated: str | None, folder: str | None) -> float | None:
    """The number of parameters by which recipes are worded.

    Args:
        stated: such as "7B"; it counts more than the files.
        folder: of the model's files; None if it runs on a server.

    Raises:
        ValueError: the stated size is malformed.
    """
    if stated:
        return parse_size(stated)
    return n_parameters(folder) if folder else None


def model_size_notices(
    n_parameters: float | None, model: str, recipes: Mapping[str, Recipe], routes: Iterable[str]
) -> list[str]:
    """A notice for each recipe on the routes that is meant for larger models, or for all whose wording is a guess."""
    used = {name for route in routes for name in route.split("+") if name in recipes}
    if n_parameters is None:
        guessed = ", ".join(name for name in sorted(used) if recipes[name].below)
        taken = f"{guessed} will use the wording for the largest models; --model-size, such as 4B, selects another"
        return [f"the size of {model} is not known here: {taken}"] if guessed else []
    return [
        f"the recipe {name} is meant for models of {recipes[name].smallest_model} parameters or more; "
        f"{model} has about {n_parameters / 1e6:,.0f}M: expect many rejects"
        for name in sorted(used)
        if n_parameters < recipes[name].smallest_model_parameters
    ]
