"""A planted error changes only its span and depends only on the seed; faithful edits are not errors."""

import random

import pytest

from fidelity.facts.comparing.compare import compare_facts
from fidelity.planting.planted import PlantedKind, faithful_edit, plant

PROSE = (
    "John Smith was born in Boston on July 4, 1876. In 1901, the company bought 1,200,000 acres of land in Nebraska. "
    "It did not sell the land because prices rose by 5 percent each year. Most of the twelve workers were allowed to "
    "stay in Omaha, and John Smith paid them more than 20 dollars. The river is 30 miles long before it meets the sea."
)
LATEX = (
    "Let $x^2 + 1 = 0$ have a solution for every number. Then \\[ a \\leq b \\] holds when $a \\in B$ is given here."
)
SOLUTION = "Ann has 48/2 = <<48/2=24>>24 clips. Then she has 48+24 = <<48+24=72>>72 clips in total.\n#### 72"
NEIGHBOUR = "The volcano erupted during the long winter of that year. Farmers left their homes for the coast."


@pytest.mark.parametrize("kind", PlantedKind)
@pytest.mark.parametrize("text", [PROSE, LATEX, SOLUTION])
@pytest.mark.parametrize("seed", range(5))
def test_only_the_span_differs(kind, text, seed):
    planted = plant(kind, text, random.Random(seed), neighbour=NEIGHBOUR)
    if planted is None:
        assert text is not PROSE or kind is PlantedKind.FORMULA
        return
    assert planted.text != text
    assert planted.text[: planted.span[0]] == text[: planted.original_span[0]]
    assert planted.text[planted.span[1] :] == text[planted.original_span[1] :]
    assert planted == plant(kind, text, random.Random(seed), neighbour=NEIGHBOUR)


def test_nothing_to_change_is_none():
    for kind in PlantedKind:
        assert plant(kind, "", random.Random(0)) is None
        assert plant(kind, "Hello.", random.Random(0)) is None
    assert plant(PlantedKind.ADDED_SENTENCE, PROSE, random.Random(0)) is None


def test_formulas_change_inside_formulas_only():
    for seed in range(20):
        planted = plant(PlantedKind.FORMULA, LATEX, random.Random(seed))
        assert planted is not None
        start, end = planted.original_span
        assert any(
            LATEX.find(formula) <= start < LATEX.find(formula) + len(formula)
            for formula in ("$x^2 + 1 = 0$", r"\[ a \leq b \]", r"$a \in B$")
        )
        assert end > start


@pytest.mark.parametrize("text", [PROSE, LATEX, SOLUTION])
def test_faithful_edits_are_seeded_and_change_no_fact(text):
    changed = set()
    for seed in range(20):
        edited = faithful_edit(text, random.Random(seed), share=0.8)
        assert edited == faithful_edit(text, random.Random(seed), share=0.8)
        assert not compare_facts(text, edited, mathematics=text is not PROSE).discrepancies, edited
        changed.add(edited)
    assert text is not PROSE or len(changed) > 5


@pytest.mark.parametrize("kind", sorted(set(PlantedKind) - {PlantedKind.FORMULA, PlantedKind.CUT_END}))
def test_most_planted_errors_are_named_where_they_are(kind):
    found = 0
    for seed in range(20):
        planted = plant(kind, PROSE, random.Random(seed), neighbour=NEIGHBOUR)
        assert planted is not None
        found += bool(compare_facts(PROSE, planted.text).discrepancies)
    assert found >= 10
