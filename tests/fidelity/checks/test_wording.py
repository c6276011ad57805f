"""New wording is counted by sentences; names, numbers and quotations may stay."""

import pytest

from fidelity.checks.wording import near_copy, reworded_share

SOURCE = (
    "The mill was built in 1794 by two brothers from Leeds, who had hoped that the new canal would bring them cheap "
    "coal. It burned down eleven years later and was never rebuilt."
)
NEW = (
    "Two brothers from Leeds put up the mill in 1794. They had counted on cheap coal arriving by the new canal. "
    "After eleven years a fire destroyed it, and nobody ever built it again."
)


@pytest.mark.parametrize(
    ("rewrite", "share"),
    [
        (SOURCE, 0.0),
        (NEW, 1.0),
        # One word changed here and there is no new wording.
        (SOURCE.replace("built", "erected").replace("cheap", "inexpensive"), 0.0),
        (NEW.split(". ")[0] + ". It burned down eleven years later and was never rebuilt.", 0.5),
        # A short answer is no sentence, but a short copy is a copy.
        ("Q: When?\nA: In 1794.\nQ: What became of the mill in the end?\nA: Fire took it after eleven years.", 1.0),
        ("It burned down eleven years later.", 0.0),
    ],
)
def test_the_share_of_new_sentences(rewrite, share):
    assert reworded_share(SOURCE, rewrite) == share


def test_names_numbers_and_quotations_may_stay():
    source = "Ann Lee of Bristol Ltd. wrote “the sea is never still and never asleep” in May 1801 for Lord Grey."
    rewrite = "For Lord Grey, in May 1801, the words “the sea is never still and never asleep” came from Ann Lee."
    assert reworded_share(source, rewrite) == 1.0


@pytest.mark.parametrize("marks", ["“”", "‘’", "''", '""', "„“", "«»", "「」"])
def test_quotations_in_any_marks_may_stay(marks):
    quoted = f"{marks[0]}we shall fight on the beaches, for we don't ever surrender{marks[1]}"
    assert reworded_share(f"He said {quoted} in 1940 at noon.", f"In 1940, at noon, came his words: {quoted}.") == 1.0


def test_capitals_are_no_new_wording():
    assert reworded_share(SOURCE, SOURCE.upper()) == 0.0
    assert reworded_share(SOURCE.upper(), SOURCE.upper()) == 0.0
    names = "NASA and ESA, JAXA and CNSA, ISRO and KARI launch rockets."
    assert reworded_share(names, "Rockets are launched by NASA and ESA, JAXA and CNSA, ISRO and KARI.") == 1.0


def test_a_near_copy_says_how_much_is_new():
    assert near_copy(reworded_share(SOURCE, NEW), 0.6) is None
    assert near_copy(reworded_share(SOURCE, SOURCE), 0.0) is None
    reason, detail = near_copy(reworded_share(SOURCE, SOURCE), 0.6)
    assert reason == "near_copy"
    assert detail == "0% of the sentences are new wording; 60% are required"
