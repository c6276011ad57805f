"""Whatever stops a run, nothing is lost and nothing is there twice."""

import pytest
from chaos import check_complete, kill_and_resume, write_corpus

from rephrase.storage import Storage

N_DOCUMENTS = 60


pytestmark = pytest.mark.usefixtures("commands")


@pytest.fixture
def corpus(tmp_path):
    write_corpus(tmp_path / "corpus.jsonl", N_DOCUMENTS)
    return tmp_path / "corpus.jsonl"


def test_killed_at_random_moments(corpus, tmp_path):
    out = tmp_path / "out"
    ledger = kill_and_resume(corpus, out, tmp_path, n_kills=4)
    check_complete(Storage(out), N_DOCUMENTS)
    assert 0 < ledger.n_repeated <= ledger.n_in_flight
