"""Which recipes rewrite a document: chosen by its domain and language, or by the user."""

from collections.abc import Mapping

from rephrase.recipes import Recipe
from rephrase.records import Document, Domain

AUTOMATIC = "auto"
PASS_THROUGH = "none"

# A document goes through the recipes of its route one after the other; an empty route leaves it as it is.
Route = tuple[str, ...]


def route_document(document: Document, choice: str) -> Route:
    """The route of a document: knowledge and web are rephrased, mathematics becomes learning notes, in another language
    than English after its translation, and code stays as it is.

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
        return ("learning_note",) if document.in_english else ("translate", "learning_note")
    return ("rephrase",)


def require_recipes(choice: str, recipes: Mapping[str, Recipe]) -> None:
    """
    Raises:
        ValueError: the choice names a recipe that there is not.
    """
    names = () if choice in (AUTOMATIC, PASS_THROUGH) else choice.split("+")
    for name in names:
        if name not in recipes:
            raise ValueError(
                f"there is no recipe {name!r}; there are {', '.join(sorted(recipes))}, several of them joined with +, "
                f"{AUTOMATIC!r} (by domain and language) and {PASS_THROUGH!r} (leave as it is)"
            )
