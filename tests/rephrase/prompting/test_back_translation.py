"""The rewriting model is asked to translate its own translation back."""

import pytest
from scripted import ScriptedEngine, passage

from rephrase.engines.engine import PromptTooLongError
from rephrase.prompting.back_translation import request_back_translation, source_language
from rephrase.prompting.recipes import Recipe, load_recipes
from rephrase.records import Chunk, Completion, Document

RECIPE = load_recipes()["translate"]
GERMAN = "Der Satz gilt, weil $x^2 = 4$ ist."
CHUNK = Chunk(document_id="d", index=0, start=0, end=len(GERMAN), text=GERMAN, n_tokens=10)


def document(**languages):
    return Document(id="d", text=GERMAN, source="s", **languages)


async def request(script, english="The theorem holds because $x^2 = 4$."):
    engine = ScriptedEngine(script)
    return await request_back_translation(english, CHUNK, "de", RECIPE, engine), engine


async def test_the_prompt_names_the_language_and_hides_formulas_which_do_not_come_back():
    seen = []

    def script(prompt, sampling):
        seen.append(sampling)
        return "Der Satz gilt wegen ⟦1⟧."

    back, engine = await request(script)
    (prompt,) = engine.prompts
    assert prompt.system.startswith("You translate from English into German.")
    assert passage(prompt) == "The theorem holds because ⟦1⟧."
    assert back.text == "Der Satz gilt wegen  ."
    assert back.n_completion_tokens == 5
    assert (seen[0].temperature, seen[0].max_tokens) == (0.0, 63)


@pytest.mark.parametrize(
    "answer",
    [
        PromptTooLongError("too long"),
        Completion(text="Der Satz gilt, w", finish_reason="length", n_prompt_tokens=3, n_completion_tokens=4),
        Completion(text="<think>Hm.", finish_reason="stop", n_prompt_tokens=3, n_completion_tokens=4),
    ],
)
async def test_a_model_that_refuses_or_does_not_end_gives_no_text_and_its_tokens_count(answer):
    back, _ = await request(lambda prompt, sampling: answer)
    assert back.text == ""
    assert back.usage.n_completion_tokens == (0 if isinstance(answer, Exception) else 4)


def test_the_language_is_that_of_the_document_unless_nothing_can_be_compared():
    assert source_language(document(language="pt-BR"), CHUNK) == "pt"
    assert source_language(document(detected_language="de"), CHUNK) == "de"
    assert source_language(document(language="English"), CHUNK) is None
    assert source_language(document(language="en"), CHUNK) is None
    assert source_language(document(), CHUNK) is None
    formula = Chunk(document_id="d", index=0, start=0, end=9, text="$x^2 = 4$", n_tokens=5)
    assert source_language(document(language="de"), formula) is None


def test_a_recipe_with_the_check_needs_its_templates():
    text = RECIPE.model_copy(update={"back_translation": None}).model_dump_json()
    with pytest.raises(ValueError, match=r"needs the templates in \[back_translation\]"):
        Recipe.model_validate_json(text)
