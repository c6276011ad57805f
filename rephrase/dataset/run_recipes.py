"""The recipes of a run, as worded for its model: OUT/recipes.json.

What a recipe asks of a rewrite is part of the verdict, and whoever judges or shows the rewrites later must know it: the
recipe file may be gone by then, and the built-in recipes may have changed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rephrase.dataset.plan import PlanMismatchError, option_differences
from rephrase.prompting.recipes import Recipe, load_recipes, read_recipes
from rephrase.storage.run_folder import RECIPES_NAME
from rephrase.storage.storage import DamagedFileError, Storage


def pin_recipes(storage: Storage, recipes: Mapping[str, Recipe]) -> None:
    """Write down the recipes of a run, or compare them with those with which it began.

    Raises:
        PlanMismatchError: they ask for something else, or are worded otherwise.
    """
    known = recorded_recipes(storage)
    for name, recipe in recipes.items():
        if name in known and (differences := option_differences(_values(known[name]), _values(recipe))):
            raise PlanMismatchError(
                f"this output folder belongs to another run: in the recipe {name}, {'; '.join(differences)[:600]}. "
                "Use the original recipe, or choose another folder; `palimpsest refilter OUT NEW --recipes FILE` "
                "judges by what another one asks for."
            )
    if not recipes.keys() <= known.keys():
        record_recipes(storage, {**known, **recipes})


def record_recipes(storage: Storage, recipes: Mapping[str, Recipe]) -> None:
    storage.write_json(RECIPES_NAME, {name: _values(recipe) for name, recipe in recipes.items()})


def recorded_recipes(storage: Storage) -> dict[str, Recipe]:
    """The recipes with which the run in this folder began; runs of earlier versions have not recorded them.

    Raises:
        DamagedFileError: the file holds none.
    """
    if not storage.exists(RECIPES_NAME):
        return {}
    found, known = {}, storage.read_json(RECIPES_NAME)
    if not isinstance(known, dict):
        raise DamagedFileError(f"{storage.url}/{RECIPES_NAME}", ValueError("it holds no recipes by name"))
    for name, values in known.items():
        try:
            found[name] = Recipe.model_validate(values)
        except ValidationError:  # of another version of this program
            continue
    return found


def run_recipes(storage: Storage, config: Mapping[str, Any], files: Sequence[str | Path] = ()) -> dict[str, Recipe]:
    """The recipes by which the rewrites of a run are judged and shown, by name.

    Those of `files`, else those with which the run began, else the built-in ones, in the wording whose hash is in its
    plan.

    Args:
        config: that of its plan.

    Raises:
        ValueError: a file is not a valid recipe.
    """
    given = read_recipes(files)
    worded = {name: r.worded_as(config.get(f"recipe {name}")) for name, r in (load_recipes() | given).items()}
    return {**worded, **{name: recipe for name, recipe in recorded_recipes(storage).items() if name not in given}}


def _values(recipe: Recipe) -> dict[str, Any]:
    # The wording is chosen: what it would be for other models is of no account.
    return recipe.model_dump(mode="json", exclude={"below"})
