"""Garbled sentences, omissions and near words: each edit touches the place that it names, and only that."""

import random

import numpy as np
import pytest

from fidelity.planting.edits import apply_edits
from fidelity.planting.garbled import garble
from fidelity.planting.neighbours import WordNeighbours, frequent_words
from fidelity.planting.omitted import invent, omit

SENTENCE = (
    "The canal, which took ten years to build, was opened in 1869 by a French company because ships had to sail around "
    "the whole of Africa (a voyage of two months)."
)
OTHERS = ["Farmers in the north planted their wheat after the first rain of autumn.", "He spoke with the king."]


@pytest.mark.parametrize("seed", range(60))
def test_a_garbled_sentence_differs_only_near_its_span(seed):
    found = garble(SENTENCE, random.Random(seed), OTHERS)
    assert found is not None
    text, (start, end) = found
    assert text != SENTENCE
    assert 0 <= start < end <= len(text)
    assert text[:start] == SENTENCE[:start]


def test_a_short_sentence_has_no_place_for_a_fault():
    assert garble("It rained.", random.Random(0), OTHERS) is None


def test_omissions_take_clauses_and_phrases_and_leave_a_sentence():
    results = {apply_edits(SENTENCE, [edit]) for seed in range(80) if (edit := omit(SENTENCE, random.Random(seed)))}
    assert SENTENCE.replace(", which took ten years to build,", ",").replace("canal,", "canal") not in {SENTENCE}
    assert SENTENCE.replace(" (a voyage of two months)", "") in results
    assert all(len(result) < len(SENTENCE) and len(result.split()) >= 4 for result in results)
    assert len(results) >= 3
    assert omit("Rain fell.", random.Random(0)) is None


def test_an_invention_comes_from_the_other_text():
    edit = invent(
        "The bridge was built by masons.", "It fell in the great storm of spring, and stayed.", random.Random(1)
    )
    assert edit is not None
    assert edit.new.strip() in "It fell in the great storm of spring, and stayed."
    assert edit.start == edit.end


def test_a_near_word_keeps_its_ending_and_is_no_form_of_the_same_word():
    words = [f"{stem}{end}" for stem in ("grow", "sink", "turn", "wait", "melt", "burn") for end in ("ing", "ed", "s")]
    vectors = np.random.default_rng(0).normal(size=(len(words), 8))
    near = WordNeighbours(words, vectors)
    for seed in range(20):
        edit = near.replace("The ice was melting and it was turning grey.", random.Random(seed))
        assert edit is not None
        assert edit.new.endswith("ing")
        assert edit.new[:4] not in ("melt", "turn")
    assert near.replace("Nothing here.", random.Random(0)) is None


def test_frequent_words_leave_out_rare_and_grammatical_ones():
    texts = [" ".join(f"word{chr(97 + i)}{chr(97 + j)}" for i in range(12) for j in range(12)) for _ in range(3)]
    assert len(frequent_words(texts, at_least=3, at_most=500)) == 44
    assert frequent_words(["once upon"], at_least=2, at_most=5) == []
