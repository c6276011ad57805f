"""Domain and language determine the recipes, unless the user chooses."""

import pytest

from rephrase.corpus.language import detect_language
from rephrase.prompting.recipes import load_recipes
from rephrase.prompting.routing import model_size, require_recipes, route_document
from rephrase.records import Document


@pytest.mark.parametrize(
    ("domain", "language", "detected", "choice", "expected"),
    [
        ("knowledge", None, "en", "auto", ("rephrase",)),
        ("web", None, "ru", "auto", ("rephrase",)),
        ("math", None, "en", "auto", ("learning_note",)),
        ("math", None, "zh", "auto", ("translate", "learning_note")),
        ("math", "en-US", "fr", "auto", ("learning_note",)),
        ("math", "de", "en", "auto", ("translate", "learning_note")),
        ("code", None, "en", "auto", ()),
        ("code", None, "en", "rephrase", ("rephrase",)),
        ("math", None, "zh", "translate", ("translate",)),
        ("knowledge", None, "en", "translate+rephrase", ("translate", "rephrase")),
        ("knowledge", None, "en", "none", ()),
    ],
)
def test_routes(domain, language, detected, choice, expected):
    document = Document(id="d", text="t", source="s", domain=domain, language=language, detected_language=detected)
    assert route_document(document, choice) == expected


def test_a_choice_that_is_not_a_recipe_is_an_error():
    recipes = load_recipes()
    for choice in ["auto", "none", "translate+learning_note"]:
        require_recipes(choice, recipes)
    with pytest.raises(ValueError, match="there is no recipe 'poem'; choose learning_note, rephrase, translate"):
        require_recipes("rephrase+poem", recipes)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Der Zug fährt um acht Uhr ab und kommt am Abend in der Stadt an.", "de"),
        ("一列火车早上八点出发，晚上到达城市。", "zh"),
        ("Поезд отправляется в восемь часов утра и прибывает вечером.", "ru"),
        (r"The sum $\alpha\beta\gamma$ is $\sum_{i} \frac{x_i}{y_i}$ for each of the trains.", "en"),
    ],
)
def test_languages_are_distinguished_and_formulas_are_ignored(text, language):
    assert detect_language(text) == language


def test_the_size_of_a_model_is_what_is_stated_or_what_its_files_say(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(2_000))
    assert model_size(None, str(tmp_path)) == 1_000
    assert model_size("1.5B", str(tmp_path)) == model_size("1.5b", None) == 1.5e9
    assert model_size(None, None) is None  # a server
    with pytest.raises(ValueError, match="'7X' is not the size of a model; write it as 350M or 7B"):
        model_size("7X", None)
