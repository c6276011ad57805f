"""The whole flow on an object store: input, output, kills, faults, and no secrets leaked."""

import json

import fsspec
import pyarrow.dataset
import pytest
from chaos import Command, check_complete, kill_and_resume, write_corpus
from s3_server import BUCKET, SECRET, s3_server

from rephrase.storage.storage import Storage

pytestmark = pytest.mark.chaos
N_DOCUMENTS = 25
OUT = f"s3://{BUCKET}/out"
IN = f"s3://{BUCKET}/in/*.jsonl"


@pytest.fixture
def s3(tmp_path):
    with s3_server() as server:
        write_corpus(tmp_path / "corpus.jsonl", N_DOCUMENTS)
        fsspec.filesystem("s3").put_file(str(tmp_path / "corpus.jsonl"), f"{BUCKET}/in/corpus.jsonl")
        yield server


@pytest.mark.slow
def test_from_s3_to_s3_through_kills_and_503s_with_no_secret_written_anywhere(s3, commands, tmp_path):
    s3.share_busy, s3.put_s = 0.05, 0.02
    ledger = kill_and_resume(IN, OUT, tmp_path, n_kills=2, **s3.environment)
    assert s3.n_busy > 0
    s3.share_busy = 0
    check_complete(Storage(OUT), N_DOCUMENTS)
    assert ledger.n_repeated <= ledger.n_in_flight

    code, stdout, err = Command("check", OUT, "--json", folder=tmp_path, environment=s3.environment).wait()
    assert code == 0, err
    assert json.loads(stdout)["n_accepted"] == N_DOCUMENTS
    code, stdout, err = Command("inspect", OUT, folder=tmp_path, environment=s3.environment).wait()
    assert code == 0, err
    assert "records read" in stdout
    fs = fsspec.filesystem("s3")
    table = pyarrow.dataset.dataset(f"{BUCKET}/out/rewrites", filesystem=fs).to_table()
    assert table.num_rows == N_DOCUMENTS
    assert Storage(OUT).names("lease") == []

    places = {path: fs.cat_file(path) for path in fs.find(f"{BUCKET}/out")}
    for folder in (tmp_path, commands):
        places |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert any(path.endswith(".db") for path in places)
    assert any(b"rephrase s3://" in data for path, data in places.items() if ".db" in path)
    assert [path for path, data in places.items() if SECRET.encode() in data] == []
