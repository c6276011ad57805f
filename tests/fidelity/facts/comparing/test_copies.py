"""Words that differ where a sentence otherwise copies its source."""

import pytest

from fidelity.facts.comparing.copies import changed_words
from fidelity.facts.comparing.pairing import Pairing
from fidelity.facts.reading.parsed import parse

SOURCE = (
    "The Normans were major foreign participants in the Reconquista in Iberia, where they fought for two centuries. "
    "The institution asserts that such expansion will benefit the school and the surrounding community in Boston. "
    "The easiest way to extract features from the eleven texts is a vectorizer of the European Union."
)


def changes(rewrite, source=SOURCE):
    found = changed_words(Pairing.of(parse(source), parse(rewrite)))
    return [(" ".join(w.text for w in c.gone), " ".join(w.text for w in c.new), c.is_name) for c in found]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("Iberia", "Italy", ("Iberia", "Italy", True)),
        ("surrounding", "overall", ("surrounding", "overall", False)),
        ("eleven texts", "elves texts", ("eleven", "elves", False)),
        ("in Boston", "in your kitchen", ("Boston", "kitchen", True)),
        ("benefit the school", "benefit the Iberia school", ("", "Iberia", True)),
        ("Boston", "bostessen", ("Boston", "bostessen", True)),
        ("easiest", "funniest", ("easiest", "funniest", False)),
        ("in the Reconquista", "in short Reconquista", ("the", "short", False)),
    ],
)
def test_a_changed_word_is_found_with_what_it_stands_for(before, after, expected):
    assert changes(SOURCE.replace(before, after)) == [expected]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("participants", "participant"),  # inflection
        ("participants", "particippants"),  # spelling: not a question of what is said
        ("two centuries", "2 centuries"),  # numbers are compared by their value
        ("European Union", "EU"),
        ("for two centuries", "there for two centuries"),  # a function word
        ("major foreign", "foreign major"),  # order
        ("the surrounding community", "the surrounding of the surrounding community"),  # a slip
        ("The institution asserts", "Ben: The institution asserts"),  # a speaker
        ("The institution asserts", "In addition, the institution asserts"),  # a connective
        ("The institution asserts", "Hence, the institution asserts"),
        ("The institution asserts that", "According to the institution,"),
    ],
)
def test_what_says_the_same_is_no_change(before, after):
    assert changes(SOURCE.replace(before, after)) == []


def test_a_word_said_twice_is_new_the_second_time():
    assert changes(SOURCE.replace("the school", "the community")) == [("school", "community", False)]


def test_a_word_of_a_sentence_that_another_says_is_foreign():
    moved = SOURCE.replace("The institution", "In Iberia the institution")
    assert changes(moved) == [("", "Iberia", True)]


def test_two_sentences_made_one_are_both_copied():
    assert changes(SOURCE.replace("two centuries. The institution", "two centuries, and the institution")) == []


def test_a_sentence_in_words_of_its_own_is_not_compared():
    assert changes("For about two hundred years Norman knights took a large part in the Spanish wars.") == []


def test_the_name_of_a_function_put_in_the_place_of_another_is_a_change():
    source = "This returns an approximation. For an exact fraction, use `bernfrac` instead. Use `bernoulli` for speed."
    assert changes(source.replace("`bernfrac`", "`bernoulli`"), source) == [("bernfrac", "bernoulli", True)]
    assert changes(source.replace("`bernfrac`", "`mpmath.bernfrac`"), source) == []
