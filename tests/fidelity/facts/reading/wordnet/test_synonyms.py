"""What WordNet says of words that real rewrites exchanged, and how its files are compiled."""

import gzip

import pytest

from fidelity.facts.reading.wordnet import Meanings, can_mean
from fidelity.facts.reading.wordnet.compile_synonyms import compile_synonyms

SAME = [
    ("indicates", "shows"), ("dispatched", "sent"), ("grossed", "earned"), ("telling", "told"), ("elements", "parts"),
    ("fashioned", "designed"), ("extended", "spread"), ("besieged", "attacked"), ("left", "remaining"),
]  # fmt: skip
OTHER = [
    ("capital", "ghetto"), ("best", "only"), ("temporal", "spatial"), ("won", "lost"), ("1588", "1589"),
    ("increase", "decrease"), ("qwertz", "asdf"), ("earned", "grossed"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "rewrite"), SAME)
def test_a_word_that_can_stand_for_another(source, rewrite):
    assert can_mean(rewrite, source)


@pytest.mark.parametrize(("source", "rewrite"), OTHER)
def test_a_word_that_cannot(source, rewrite):
    assert not can_mean(rewrite, source)


def test_a_word_that_wordnet_lacks_means_itself():
    assert can_mean("qwertz", "qwertz")


def test_what_a_text_can_mean():
    meanings = Meanings(["film", "grossed", "worldwide"])
    assert meanings.relates_to("earned")
    assert meanings.relates_to("movie")
    assert not meanings.relates_to("ghetto")
    assert not Meanings([]).relates_to("movie")


def test_compiling(tmp_path):
    (tmp_path / "data.verb").write_text(
        "  1 a licence\n"
        '00000010 40 v 02 gross 0 Take_in 0 001 @ 00000020 v 0000 01 + 08 00 | earn before taxes; "it | sold"\n'
        "00000020 40 v 02 earn 0 realize(p) 1 001 ~ 00000010 v 0000 00 | acquire\n"
        "00000030 40 v 01 Xerox 0 001 @ 00000020 v 0000 00 | copy\n"
    )
    (tmp_path / "data.adj").write_text("00000010 00 s 01 raw 0 001 & 00000010 a 0000 | unprocessed\n")
    assert compile_synonyms(tmp_path, tmp_path / "out.gz") == 3
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()).decode() == "raw\t0\ngross\t2\nearn realize\t\n"
