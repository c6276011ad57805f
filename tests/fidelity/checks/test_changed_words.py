"""Synonyms are told from other words by the real encoder."""

import pytest

from fidelity.checks.changed_words import change_discrepancies, other_meanings
from fidelity.embeddings.encoder import SentenceEncoder
from fidelity.facts.comparing.copies import changed_words
from fidelity.facts.comparing.pairing import Pairing
from fidelity.facts.reading.parsed import parse

SOURCE = "After the war the large factories in the surrounding county of Iberia were mostly run by children."


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder()


def others(rewrite, encoder):
    (found,) = other_meanings([changed_words(Pairing.of(parse(SOURCE), parse(rewrite)))], encoder)
    return found


@pytest.mark.parametrize(
    ("before", "after"), [("large", "big"), ("children", "kids"), ("run", "operated"), ("factories", "plants")]
)
def test_a_synonym_is_harmless(before, after, encoder):
    assert others(SOURCE.replace(before, after), encoder) == []


@pytest.mark.parametrize(("before", "after"), [("surrounding", "overall"), ("large", "secret"), ("Iberia", "Italy")])
def test_another_word_is_a_finding_with_its_place(before, after, encoder):
    rewrite = SOURCE.replace(before, after)
    (found,) = change_discrepancies(others(rewrite, encoder))
    assert (found.kind, found.problem) == ("word", "changed")
    assert rewrite[slice(*found.rewrite)] == after
    assert SOURCE[slice(*found.source)] == before
    assert found.detail == f"{after}; the copied sentence has {before}"


def test_nothing_is_encoded_without_changes():
    class Never:
        def encode(self, texts):
            raise AssertionError("called")

    assert other_meanings([(), ()], Never()) == [[], []]
