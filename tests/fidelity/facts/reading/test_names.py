"""Names are recognised in part, as initials, acronyms and demonyms; other names are not."""

import pytest

from fidelity.facts.comparing.compare import compare_facts
from fidelity.facts.reading.names import english_names
from fidelity.facts.reading.parsed import parse


def read(text):
    parsed = parse(text)
    names = english_names(parsed.prose, parsed.sentences, parsed.lower_words)
    return [" ".join(name.parts) for name in names if not name.is_weak]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Yesterday the Bank of America bought it.", ["bank america"]),
        ("He met Dr. Martin Luther King in Rome.", ["martin luther", "rome"]),
        ("However, it rained.", []),
        ("They said that Élodie's dog ran.", ["elodie"]),
        ("THE WHOLE HEADING IS IN CAPITALS", []),
        ("It was $A$ in `Code` and \\emph{so}.", []),
    ],
)
def test_names(text, names):
    assert read(text) == names


TRUE = [
    ("John Smith went to Rome.", "Then Smith went to Rome."),
    ("John F. Kennedy spoke.", "Then John Kennedy spoke."),
    ("Then John Smith spoke.", "Then J. Smith spoke."),
    ("The National Aeronautics and Space Administration flew.", "So NASA flew."),
    ("The United States won.", "Then the U.S. won."),
    ("He came from Russia.", "He was a Russian man."),
    ("He came from France.", "He was a French man."),
    ("They saw Beyoncé's show.", "They saw the show of Beyonce."),
    ("It is the Bank of the United States.", "It was the Bank of the United States."),
]
FALSE = [
    ("He met John Smith in Rome.", "He met John Brown in Rome."),
    ("He came from Russia.", "He was a French man."),
    ("They flew to Rome.", "They flew to Paris."),
    ("He met John Smith and James Brown.", "He met John Brown."),
]


@pytest.mark.parametrize(("source", "rewrite"), TRUE)
def test_the_same_name_in_another_form(source, rewrite):
    scores = compare_facts(source, rewrite).scores
    assert scores["name_unsupported"] == scores["name_recombined"] == 0


@pytest.mark.parametrize(("source", "rewrite"), FALSE)
def test_another_name(source, rewrite):
    scores = compare_facts(source, rewrite).scores
    assert scores["name_unsupported"] + scores["name_recombined"] > 0


@pytest.mark.parametrize(
    ("source", "rewrite", "swapped"),
    [
        ("Grant defeated Lee in Virginia.", "Lee defeated Grant in Virginia.", True),
        ("Grant defeated Lee in Virginia.", "Lee was defeated by Grant in Virginia.", False),
        ("Grant defeated Lee in Virginia.", "In Virginia, Grant defeated Lee.", False),
        ("It rose from 5 to 9 points.", "It rose from 9 to 5 points.", True),
    ],
)
def test_two_swapped_facts(source, rewrite, swapped):
    assert (compare_facts(source, rewrite).scores["swap"] >= 0.5) is swapped
