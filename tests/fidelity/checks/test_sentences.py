"""Sentences that were added, omitted, split or merged."""

import numpy as np
from scripted import BagOfWords

from fidelity.checks.sentences import compare_sentences, split_sentences, window_vectors

SOURCE = "The treaty was signed in Paris in 1783. It ended a long and bitter war. Britain lost thirteen colonies by it."


def compare(source, rewrite):
    return compare_sentences([(source, rewrite)], BagOfWords())[0]


def test_sentences_have_their_spans_in_the_text():
    text = "Dr. Smith went home at 5.30 p.m. sharp.\n\n- He slept.  - She did not.\n***\nЭто правда. 他走了。"
    sentences = split_sentences(text)
    assert sentences[0] == "Dr. Smith went home at 5.30 p.m. sharp."
    assert all(piece == piece.strip() and piece for piece in (text[a:b] for a, b in sentences.spans))
    assert not any(text[a:b] == "***" for a, b in sentences.spans)


def test_an_added_sentence_is_reported_with_its_span():
    added = "Purple elephants juggle seven burning torches."
    report = compare(SOURCE, f"{SOURCE} {added}")
    (found,) = report.discrepancies()
    assert (found.kind, found.problem, found.source) == ("sentence", "unsupported", None)
    assert report.rewrite.text[slice(*found.rewrite)] == added
    assert report.scores["support_min"] < 0.3 < 0.9 < report.scores["coverage_min"]


def test_an_omitted_sentence_is_reported_but_not_for_a_summary():
    whole_but_one = "The treaty was signed in Paris in 1783. Britain lost thirteen colonies by it."
    (found,) = compare(SOURCE, whole_but_one).discrepancies()
    assert found.problem == "missing"
    assert SOURCE[slice(*found.source)] == "It ended a long and bitter war."
    assert compare(SOURCE * 3, "The treaty was signed in Paris in 1783.").discrepancies() == ()


def test_merged_and_split_sentences_are_matched():
    merged = (
        "The treaty was signed in Paris in 1783, it ended a long and bitter war, Britain lost thirteen colonies by it."
    )
    report = compare(SOURCE, merged)
    assert report.scores["support_min"] > 0.95
    (match,) = report.support
    assert (match.first, match.last) == (0, 2)
    assert compare(merged, SOURCE).scores["coverage_min"] > 0.95


def test_each_sentence_is_encoded_once_for_all_pairs():
    encoded = []

    class Counting(BagOfWords):
        def encode(self, texts):
            encoded.extend(texts)
            return super().encode(texts)

    compare_sentences([(SOURCE, SOURCE), (SOURCE, SOURCE + " One more came here later.")], Counting())
    assert len(encoded) == len(set(encoded)) == 4


def test_windows_are_weighted_means_of_up_to_three_sentences():
    sentences = split_sentences("One two three four. Five six seven. Eight nine. Ten eleven twelve.")
    rows = np.eye(4, dtype=np.float32)
    windows, vectors = window_vectors(sentences, rows)
    assert windows == [(0, 0), (1, 1), (2, 2), (3, 3), (0, 1), (1, 2), (2, 3), (0, 2), (1, 3)]
    lengths = np.array([b - a for a, b in sentences.spans], dtype=float)
    expected = np.array([*lengths[:3], 0.0])
    assert np.allclose(vectors[windows.index((0, 2))], expected / np.linalg.norm(expected))


def test_a_text_without_words_gives_neutral_scores_and_no_error():
    assert set(compare(SOURCE, "***").scores.values()) == {0.0}
    assert compare("", "").support == ()
