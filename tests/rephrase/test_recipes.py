"""Recipes are data: what is wrong with one is said, and what is drawn from one is fair and repeatable."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rephrase.recipes import draw_variants, load_recipes, parse_recipe
from rephrase.records import Chunk, Document, Variant

RECIPE = load_recipes()["rephrase"]
N_PAIRS = len(RECIPE.styles) * len(RECIPE.perspectives)
TEXT = """
schema_version = 1
name = "mine"
version = 1
description = "d"
domains = ["knowledge"]
smallest_model = "1B"
chunk_tokens = 256
context_tokens = 0
max_growth = 1.5
sampling = { temperature = 0.5, top_p = 0.9 }
prompt = { system = "{{ style }}", user = "{{ passage }}" }
styles = { a = "A" }
perspectives = { b = "B" }
"""


def render(text="The passage.", title=None, written=""):
    document = Document(id="d", text=text, source="s", title=title)
    chunk = Chunk(document_id="d", index=0, start=0, end=len(text), text=text, n_tokens=5)
    style, perspective = next(iter(RECIPE.styles)), next(iter(RECIPE.perspectives))
    return RECIPE.render(document, chunk, Variant(index=0, recipe="r", style=style, perspective=perspective), written)


def test_a_prompt_holds_style_perspective_title_context_and_passage():
    prompt = render("The passage.", "A title", "The end of the text before.")
    assert prompt.user == "The passage."
    for expected in [*list(RECIPE.styles.values())[:1], *list(RECIPE.perspectives.values())[:1], '"A title"']:
        assert expected in prompt.system
    assert prompt.system.endswith("It continues a text that ends: The end of the text before.")


def test_what_prompts_share_comes_first():
    one, other = render("One.", "T1", "W1").system, render("Other.", "T2", "W2").system
    shared = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    assert shared >= one.index("The text is part of")


def test_a_document_that_looks_like_a_template_is_only_text():
    assert "{{ 7 * 7 }}" in render("{{ 7 * 7 }} {% raw %}").user


@given(st.text(max_size=20), st.integers(0, 2**40), st.integers(1, 4 * N_PAIRS))
def test_pairs_do_not_repeat_before_all_were_drawn(document_id, seed, n_variants):
    variants = draw_variants(RECIPE, document_id, n_variants, seed)
    assert variants == draw_variants(RECIPE, document_id, n_variants, seed)
    assert [variant.index for variant in variants] == list(range(n_variants))
    for begin in range(0, n_variants, N_PAIRS):
        round_ = [(v.style, v.perspective) for v in variants[begin : begin + N_PAIRS]]
        assert len(set(round_)) == len(round_)


def test_more_variants_keep_the_first_ones():
    assert draw_variants(RECIPE, "d", 2, 0) == draw_variants(RECIPE, "d", 5, 0)[:2]


def test_pairs_are_balanced_over_a_corpus():
    counts = Counter((v.style, v.perspective) for i in range(6000) for v in draw_variants(RECIPE, f"d{i}", 1, 0))
    assert len(counts) == N_PAIRS
    assert max(counts.values()) < 1.25 * 6000 / N_PAIRS


def test_a_recipe_file_adds_and_replaces(tmp_path):
    (tmp_path / "mine.toml").write_text(TEXT)
    (tmp_path / "other.toml").write_text(TEXT.replace('"mine"', '"rephrase"'))
    recipes = load_recipes([tmp_path / "mine.toml", tmp_path / "other.toml"])
    assert recipes["mine"].styles == {"a": "A"}
    assert recipes["rephrase"].styles == {"a": "A"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1\ndesc", "version = \ndesc", r"not TOML.*line 4"),
        ('domains = ["knowledge"]', 'domains = ["poetry"]', r"domains\.0.*poetry"),
        ("chunk_tokens = 256", "chunk_tokens = 2", r"chunk_tokens.*greater than or equal to 16 \(got 2\)"),
        ("chunk_tokens = 256", "chunk_tokns = 256", r"chunk_tokens: Field required.*chunk_tokns: Extra"),
        ("{{ passage }}", "{{ passage", r"prompt\.user.*does not render"),
        ("{{ passage }}", "{{ pasage }}", r"prompt\.user.*'pasage' is undefined"),
        ('a = "A"', "", r"styles.*at least 1 item"),
    ],
)
def test_a_wrong_recipe_is_refused_with_place_and_reason(old, new, message):
    with pytest.raises(ValueError, match=rf"(?s)'mine.toml'.*{message}"):
        parse_recipe(TEXT.replace(old, new), "mine.toml")


def test_a_recipe_hash_changes_with_the_prompt_only_if_the_prompt_does():
    recipe = parse_recipe(TEXT, "a")
    assert recipe.prompt_hash == parse_recipe("# comment\n" + TEXT, "b").prompt_hash
    assert recipe.prompt_hash != parse_recipe(TEXT.replace('"A"', '"B"'), "c").prompt_hash
