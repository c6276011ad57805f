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
        ("steps", "**Step 1:** add\n**Step 2:** divide"),
        ("steps", "### Step 1\nAdd\n### Step 2\nDivide"),
        ("steps", "1) add\n2) divide"),
        ("steps", "(1) add\n(2) divide"),
        ("steps", "First, add 2.\nSecond, divide by 3."),
        ("steps", "Step One: add\nStep Two: divide"),
        ("steps", "步骤1：加\n步骤2：除"),
        ("steps", "Schritt 1: addiere\nSchritt 2: teile"),
        ("steps", "1️⃣ add\n2️⃣ divide"),
        ("steps", "- Step 1: add\n- Step 2: divide"),
        ("steps", "**1.** add\n**2.** divide"),
        ("steps", "①加\n②除"),
        ("steps", "第一步：加。\n第二步：除。"),
        ("letter", "To whom it may concern,\n\nIt rose.\n\nRegards,\nA. B."),
        ("letter", "Greetings from Tiree!\n\nIt rose.\n\nLove, Kate"),
        ("letter", "Caro Luca,\n\nè alta.\n\nUn abbraccio,\nMaria"),
        ("letter", "Prezado João,\n\né alto.\n\nAbraços,\nAna"),
        ("letter", "Dear Tom, it rose."),
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
        ("questions", "Warsaw had 711,988 people. It was old."),
        ("questions", "Q: Who?"),
        ("questions", "Q: Who?\nA:"),
        ("questions", "Who was it?"),
        ("questions", "Q: Who?\nA: \nQ: When?\nA: "),
        ("questions", "**Who was it?**\n\n**When was it?**"),
        ("questions", "Q: Who built it?\nA: Who knows?"),
        ("questions", "1. Who was it?\n2. When was it?\n3. Where was it?"),
        ("questions", "Was it old? Was it big?"),
        ("questions", "Q: Who built it?\nQ: When?\nQ: How tall?\nA: 48 metres."),
        ("questions", "Q: Who built it?\nA: Stevenson built it.\nQ: How tall is it?"),
        ("questions", "Q: Who built it\nA"),
        ("questions", "Have you ever wondered about Warsaw?"),
        ("speakers", "Warsaw is a large city. It was old."),
        ("speakers", "Anna: Warsaw is large."),
        ("speakers", "Anna: Warsaw is large.\nAnna: It is old."),
        ("speakers", "Year: 1901\nPeople: many\nCity: Warsaw"),
        ("speakers", "Q: Who?\nA: Me."),
        ("speakers", "Title: Warsaw\nWarsaw: a city."),
        ("speakers", '"Warsaw is large," said Anna.'),
        ("speakers", "There are two points: one is size. Another: age."),
        ("speakers", "1. Warsaw is large.\n2. It is old."),
        ("speakers", "- Warsaw is large.\n- It is old."),
        ("speakers", "**Introduction:** Warsaw is large.\n**Conclusion:** It is old."),
        ("speakers", "Step 1: go.\nStep 2: stop."),
        ("speakers", "Note: it is old.\nWarning: it is big."),
        ("speakers", "http://a.org\nhttp://b.org"),
        ("speakers", "10:30 start\n11:30 end"),
        ("letter", "Warsaw is large. It had many people."),
        ("letter", "You can see Warsaw. It had many people."),
        ("letter", "Okay, everyone. Warsaw is large."),
        ("letter", "Best known for its castle, Warsaw is large."),
        ("letter", "Love of music is common in Warsaw."),
        ("letter", "Hello is said often there."),
        ("letter", "Anna: Did you know?\nBen: Yes."),
        ("letter", "Dear to all Poles, Warsaw was rebuilt by its people after the war."),
        ("letter", "Q: Who?\nA: Me."),
        ("notes", "Warsaw is large. It had many people."),
        ("notes", "- one point"),
        ("notes", "Warsaw is large.\n\nIt had people.\n\nIt was old."),
        ("notes", "# Warsaw\nWarsaw is large. It had many people."),
        ("notes", "Warsaw is large: it had people.\nIt was old."),
        ("notes", "Dear Tom,\n\nIt rose.\n\nYours,\nKate"),
        (
            "notes",
            "Anna: Did you know that it has so many people?\nBen: Yes, of course.\nAnna: And it was old.",
        ),
        ("listeners", "Warsaw is large. It had many people."),
        ("listeners", "The class of 1901 was large."),
        ("listeners", '"You are wrong," he said. Warsaw is large.'),
        ("listeners", "Now the city is large."),
        ("listeners", "The US had 711,988 people."),
        ("steps", "Warsaw is large."),
        ("steps", "1. one"),
        ("steps", "The year was 1901. It was good.\n1902. It was bad."),
        ("steps", "Step 1: only one."),
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
