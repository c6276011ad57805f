"""What a style asks for is found where it is, and missed where it is not."""

import pytest

from fidelity.checks.style import STYLE_FORMS, missing_form
from rephrase.prompting.recipes import load_recipes

PROSE = "The bill passed in June. The duties on tea stayed, and the boycott ended within a year."


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("questions", "Q: When did the bill pass?\nA: In June."),
        ("questions", "**Which duties stayed?**\nThose on tea."),
        ("questions", "法案は何月に可決されましたか？ 六月です。"),
        ("questions", "What is 2 + 2? It is 4."),
        ("speakers", "Ana: Did it pass?\nBen: Yes, in June."),
        ("speakers", "**Teacher:** Did it pass?\n**Pupil:** In June."),
        ("speakers", "— Did it pass?\n— Yes, in June."),
        ("speakers", '"Did it pass?" asked Ana. "In June," said Ben.'),
        ("letter", "Dear Tom,\nthe bill passed in June.\nYours, Ann"),
        ("letter", "the boycott ended within a year.\nWith love,\nAnn"),
        ("notes", "- bill: passed in June\n- duties on tea: kept"),
        ("notes", "**Bill:** passed in June\n**Tea:** duties kept"),
        ("notes", "# The bill\n1. passed in June\n2. duties kept"),
        ("listeners", "Now imagine the harbour on that day."),
        ("listeners", "Today we look at the bill of June."),
        ("steps", "Step 1: add 2.\nStep 2: divide by 3."),
        ("steps", "1. Add 2.\n2. Divide by 3."),
    ],
)
def test_the_form_is_found(form, text):
    assert missing_form(text, form) is None


@pytest.mark.parametrize("form", sorted(STYLE_FORMS))
def test_plain_prose_has_none_of_them(form):
    assert missing_form(PROSE, form) == STYLE_FORMS[form][1]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("questions", "Q: When did the bill pass?"),
        ("questions", "Q: When did the bill pass?\nQ: Who voted?\nA:"),
        ("speakers", "Note: the bill passed in June. The duties stayed."),
        ("notes", "The bill passed in June.\n- Only this is a point.\nThe duties stayed.\nThe boycott ended."),
        ("steps", "Step 1: add 2. Then divide."),
    ],
)
def test_half_a_form_is_not_enough(form, text):
    assert missing_form(text, form)


def test_forms_of_english_words_are_not_looked_for_elsewhere():
    assert missing_form("Lieber Tom, das Gesetz ging durch.", "letter", english=False) is None


def test_every_form_of_a_recipe_exists():
    forms = {form for recipe in load_recipes().values() for form in recipe.forms.values()}
    assert forms <= STYLE_FORMS.keys()
    assert forms
