"""Variants that repeat each other, and outputs with the same opening, are detected."""

from scripted import BagOfWords

from fidelity.checks.diversity import distinct_n, near_duplicate, shared_sequences, template_collapse

ONE = "The treaty ended the long war between the two powers and brought peace to all of their many colonies."
OTHER = "Peace came at last when both countries signed, after years of fighting at sea and on land."


def test_a_copy_is_rejected_and_names_the_variant_it_repeats():
    found = near_duplicate([ONE, OTHER, ONE.replace("The treaty", "A treaty"), OTHER], BagOfWords())
    assert {later: earlier for later, (earlier, _) in found.items()} == {2: 0, 3: 1}
    assert "8-word sequences" in found[3][1]


def test_the_same_words_in_another_order_are_the_same_in_meaning():
    found = near_duplicate([ONE, " ".join(reversed(ONE.rstrip(".").split())) + "."], BagOfWords())
    assert "similarity" in found[1][1]


def test_different_variants_are_kept():
    assert near_duplicate([ONE, OTHER], BagOfWords()) == {}


def test_template_collapse_names_the_commonest_opening():
    share, opening = template_collapse(["In the year 1901", "In the year 1902", "Once upon a time", "In the YEAR!"])
    assert (share, opening) == (0.75, "in the year")
    assert template_collapse([]) == (0.0, "")


def test_distinct_n_counts_sequences_once():
    assert distinct_n(["a b a b"], 2) == 2 / 3
    assert distinct_n([], 2) == 0.0


def test_shared_sequences_compares_each_variant_with_each_other():
    # "a b" and "b c" of the first: half of them in the second, none in the third; and so on.
    assert shared_sequences(["a b c", "a b", "x y"], 2) == [0.5, 0.0, 1.0, 0.0, 0.0, 0.0]
    assert shared_sequences(["a b"], 2) == []
