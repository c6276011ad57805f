"""The reader marks what a rewrite adds, what it loses and what nobody would write; long texts are read in parts."""

import re

import numpy as np
import pytest
import torch

from fidelity.checks.sentences import compare_sentences
from fidelity.embeddings.encoder import SentenceEncoder
from fidelity.reader.inputs import Encoding, batch_tensors
from fidelity.reader.marks import Marks, Reading
from fidelity.reader.network import MAX_TOKENS, load_network, new_network, save_network, tokenizer
from fidelity.reader.reader import Reader, _blocks, _standing_in
from fidelity.reader.scores import (
    ADDED_SCORES,
    LANGUAGE_SCORES,
    LOST_SCORES,
    READER_SCORES,
    reader_discrepancies,
    reader_scores,
    without_copies,
    word_probabilities,
)

pytestmark = pytest.mark.model

SOURCE = (
    "The canal was opened in 1869 after ten years of work. It joins the Mediterranean to the Red Sea, and ships no "
    "longer have to sail around Africa. The company that built it was led by a French diplomat."
)
GOOD = (
    "After a decade of work, the canal opened in 1869. It connects the Mediterranean with the Red Sea, so that ships "
    "need not go around Africa any more. A French diplomat headed the company that built it."
)


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder()


@pytest.fixture(scope="module")
def reader():
    return Reader()


def read(reader, encoder, source, rewrite, **options):
    (report,) = compare_sentences([(source, rewrite)], encoder)
    (reading,) = reader.read([report], **options)
    return report, reading


def test_a_changed_number_is_marked_where_it_stands(reader, encoder):
    wrong = GOOD.replace("1869", "1896")
    good = reader_scores(*read(reader, encoder, SOURCE, GOOD))
    report, reading = read(reader, encoder, SOURCE, wrong)
    bad = reader_scores(report, reading)
    assert set(good) == set(READER_SCORES)
    assert bad["reader_added_word"] > good["reader_added_word"]
    words = {wrong[a:b]: p for a, b, p in word_probabilities(report.rewrite, reading.added)}
    assert words["1896"] > max(p for word, p in words.items() if word != "1896") - 0.2


def test_a_dropped_sentence_is_marked_in_the_source(reader, encoder):
    shorter = GOOD[: GOOD.index(" A French")]
    report, reading = read(reader, encoder, SOURCE, shorter)
    assert reading.lost.sentences.argmax() == 2
    scores, whole = reader_scores(report, reading), reader_scores(*read(reader, encoder, SOURCE, GOOD))
    assert scores["reader_lost_max"] > whole["reader_lost_max"]
    places = [SOURCE[slice(*d.source)] for d in reader_discrepancies(report, reading) if d.problem == "missing"]
    assert any("French diplomat" in place for place in places)


def test_a_sentence_that_stands_in_the_other_text_word_for_word_is_not_marked(reader, encoder):
    odd = "Colorless green ideas sleeps furiously inside of the the canal."
    (report, swapped) = compare_sentences(
        [(f"{SOURCE} {odd}", f"{odd} {GOOD} He bought two tigers."), ("So x < 2 holds.", "So x > 2 holds.")], encoder
    )
    (reading,) = reader.read([report])
    assert reading.added.sentences[0] == reading.garbled.sentences[0] == reading.lost.sentences[-1] == 0.0
    assert all(p == 0.0 for start, _, p in word_probabilities(report.rewrite, reading.added) if start < len(odd))
    assert reading.added.sentences[-1] > 0.5
    assert _standing_in(swapped.source, swapped.source) == {0}
    assert not _standing_in(swapped.source, swapped.rewrite)


def test_scrambled_words_are_garbled(reader, encoder):
    words = GOOD.split()
    np.random.default_rng(0).shuffle(words)
    scrambled = reader_scores(*read(reader, encoder, SOURCE, " ".join(words)))
    assert scrambled["reader_garbled_max"] > 0.8
    assert reader_scores(*read(reader, encoder, SOURCE, GOOD))["reader_garbled_max"] < 0.5


def test_a_source_in_another_language_is_not_read(reader, encoder):
    report, reading = read(reader, encoder, "Der Kanal wurde 1869 eröffnet.", "The canal opened in 1869.", foreign=True)
    assert reading.added is None
    assert reading.lost is None
    assert set(reader_scores(report, reading)) == set(LANGUAGE_SCORES)


def test_what_is_lost_is_looked_for_only_where_somebody_asks(reader, encoder):
    report, reading = read(reader, encoder, SOURCE, GOOD, find_lost=[False])
    assert reading.lost is None
    assert set(reader_scores(report, reading)) == {*ADDED_SCORES, *LANGUAGE_SCORES}
    assert set(READER_SCORES) - set(reader_scores(report, reading)) == set(LOST_SCORES)


def test_every_word_of_a_long_pair_is_read_and_a_far_error_found(reader, encoder):
    numbered = [f"In the year {1000 + 7 * i} the council of town {i} met for {i + 2} days." for i in range(60)]
    source = " ".join(numbered)
    rewrite = " ".join([*numbered[:50], "The mayor was accused of stealing the horses of a monastery.", *numbered[51:]])
    report, reading = read(reader, encoder, source, rewrite)
    assert len(reading.added.sentences) == len(reading.lost.sentences) == 60
    assert len(word_probabilities(report.rewrite, reading.added)) >= 60 * 6
    assert reading.added.sentences.argmax() == 50


def test_saved_weights_are_loaded_with_small_rounding(tmp_path):
    torch.manual_seed(0)
    network = new_network().eval()
    save_network(network, tmp_path / "w.safetensors", {"seed": 0})
    loaded = load_network(tmp_path / "w.safetensors")
    entry = Encoding(tokenizer()).encode("It rained.", "Rain fell all day.", [(0, 10)], [(0, 18)])
    with torch.inference_mode():
        for before, after in zip(network(*batch_tensors([entry], 0)), loaded(*batch_tensors([entry], 0)), strict=True):
            assert torch.allclose(before, after, atol=0.15)
    (tmp_path / "other.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="other"):
        load_network(tmp_path / "other.safetensors")


def test_tokens_and_sentences_keep_their_places_and_what_is_too_long_is_cut():
    encoding = Encoding(tokenizer())
    rewrite, source = "Rain fell. It was cold.", "It rained and was cold."
    entry = encoding.encode(rewrite, source, [(0, 10), (11, 23)], [(0, 23)])
    assert [rewrite[a:b] for a, b in entry.rewrite_spans] == ["Rain", "fell", ".", "It", "was", "cold", "."]
    assert entry.ids[entry.source_first - 1] == entry.ids[-1]  # the separator
    first, second, whole = entry.sentences
    assert second == (4, 8)
    assert first == (1, 4)
    assert whole == (entry.source_first, len(entry.ids) - 1)
    long = encoding.encode("word " * 600, "text", [(0, 3000)], [(0, 4)])
    assert len(long.ids) == MAX_TOKENS


def test_blocks_hold_whole_sentences():
    assert _blocks([50, 60, 70, 200, 10], 130) == [[0, 1], [2], [3], [4]]


def test_what_the_other_text_has_word_for_word_is_never_marked(encoder):
    source = "The mill was built in 1794. Its owners left in 1803, when the canal froze."
    rewrite = "Q: When was it built?\nA: The mill was built  in 1794. A flood destroyed it."
    (report,) = compare_sentences([(source, rewrite)], encoder)

    def all_marked(side):
        words = tuple(match.span() for match in re.finditer(r"\S+", side.text))
        return Marks(spans=words, tokens=np.ones(len(words)), sentences=np.ones(len(side.spans)))

    found = without_copies(
        report,
        Reading(garbled=all_marked(report.rewrite), added=all_marked(report.rewrite), lost=all_marked(report.source)),
    )
    new = ["Q: When was it built?", "A flood destroyed it."]
    for marks in (found.added, found.garbled):
        assert [report.rewrite[i] for i in np.flatnonzero(marks.sentences)] == new
        marked = [rewrite[slice(*span)] for span, value in zip(marks.spans, marks.tokens, strict=True) if value]
        assert marked == " ".join(new).split()
    assert [report.source[i] for i in np.flatnonzero(found.lost.sentences)] == [report.source[1]]
