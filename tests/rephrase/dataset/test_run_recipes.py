"""What the recipes of a run ask for is known as long as its folder is, and does not change within it."""

import pytest

from rephrase.dataset.plan import PlanMismatchError
from rephrase.dataset.run_recipes import pin_recipes, recorded_recipes, run_recipes
from rephrase.prompting.recipes import load_recipes, parse_recipe
from rephrase.storage.storage import Storage

TEXT = """
schema_version = 1
name = "mine"
version = 1
description = "d"
domains = ["math"]
languages = ["*"]
checks = ["formulas", "facts"]
smallest_model = "1B"
chunk_tokens = 256
context_tokens = 0
max_growth = 1.5
sampling = { temperature = 0.5, top_p = 0.9 }
prompt = { system = "{{ style }}", user = "{{ passage }}" }
styles = { a = "A" }
[below.4B]
thresholds.faithful = 0.9
"""


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path / "out")


def test_a_recipe_is_as_worded_for_the_model_even_if_no_hash_tells_its_wordings_apart(storage):
    recipe = parse_recipe(TEXT, "mine.toml")
    small = recipe.for_model(1e9)
    assert small.prompt_hash == recipe.prompt_hash
    pin_recipes(storage, {"mine": small})
    config = {"recipe mine": small.prompt_hash}
    assert run_recipes(storage, config)["mine"].requirements("a") == small.requirements("a")
    assert run_recipes(storage, config)["mine"].thresholds == {"faithful": 0.9}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("faithful = 0.9", "faithful = 0.5", "thresholds was {'faithful': 0.9} and is now {'faithful': 0.5}"),
        ('name = "mine"', 'name = "mine"\nkeeps = 0.5', "keeps was 'everything' and is now 0.5"),
        ('name = "mine"', 'name = "mine"\nreworded = 0.1', "reworded was 0.6 and is now 0.1"),
        ('name = "mine"', 'name = "mine"\nforms = { a = "notes" }', "forms was {} and is now {'a': 'notes'}"),
    ],
)
def test_a_run_does_not_go_on_with_a_recipe_that_asks_for_something_else(storage, old, new, said):
    before, now = (parse_recipe(text, "mine.toml").for_model(1e9) for text in (TEXT, TEXT.replace(old, new)))
    assert before.prompt_hash == now.prompt_hash
    pin_recipes(storage, {"mine": before})
    pin_recipes(storage, {"mine": before})
    with pytest.raises(PlanMismatchError) as error:
        pin_recipes(storage, {"mine": now})
    assert f"in the recipe mine, {said}" in str(error.value)
    assert recorded_recipes(storage)["mine"] == before.model_copy(update={"below": {}})


def test_a_file_that_is_given_counts_more_and_other_wordings_for_other_models_do_not_matter(storage, tmp_path):
    pin_recipes(storage, {"mine": parse_recipe(TEXT, "mine.toml")})
    pin_recipes(storage, {"mine": parse_recipe(TEXT.replace("0.9\n", "0.7\n"), "mine.toml")})  # of [below.4B]
    (tmp_path / "mine.toml").write_text(TEXT + "thresholds.complete = 0.3\n", "utf-8")
    assert run_recipes(storage, {}, [tmp_path / "mine.toml"])["mine"].below["4B"]["thresholds"]["complete"] == 0.3
    assert run_recipes(storage, {})["mine"].below == {}


def test_a_run_of_an_earlier_version_has_the_built_in_recipes_in_its_wording(storage):
    wording = load_recipes()["rephrase"].for_model(1.5e9)
    assert run_recipes(storage, {"recipe rephrase": wording.prompt_hash})["rephrase"] == wording
    storage.write_json("recipes.json", {"rephrase": {"name": "rephrase", "of_a_later_version": True}})
    assert run_recipes(storage, {"recipe rephrase": wording.prompt_hash})["rephrase"] == wording
