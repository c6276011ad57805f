"""Whatever stops a run, nothing is lost or duplicated."""

import contextlib
import json
import os
import threading
import time

import pytest
from chaos import Command, check_complete, checked, kill_and_resume, write_corpus
from chaotic_server import ChaoticServer
from scripted import are_there

from rephrase.storage.storage import Storage

N_DOCUMENTS = 40


pytestmark = [pytest.mark.usefixtures("commands"), pytest.mark.chaos]


@pytest.fixture
def corpus(tmp_path):
    write_corpus(tmp_path / "corpus.jsonl", N_DOCUMENTS)
    return tmp_path / "corpus.jsonl"


def command(*arguments, folder, **environment):
    return Command("rephrase", *arguments, "--part-bytes", 20_000, "--json", folder=folder, environment=environment)


@pytest.mark.slow
def test_killed_at_random_moments(corpus, tmp_path):
    out = tmp_path / "out"
    ledger = kill_and_resume(corpus, out, tmp_path, n_kills=3)
    check_complete(Storage(out), N_DOCUMENTS)
    assert 0 < ledger.n_repeated <= ledger.n_in_flight


@pytest.mark.slow
def test_long_documents_resume_in_the_middle(corpus, tmp_path):
    out = tmp_path / "out"
    ledger = kill_and_resume(corpus, out, tmp_path, n_kills=2, seed=1, SCRIPTED_SAVE_EVERY_S=0)
    check_complete(Storage(out), N_DOCUMENTS)
    assert ledger.n_repeated < 0.7 * ledger.n_in_flight


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "save_every_s"), [(0, 60), (1, 60), (2, 0.2)])
def test_killed_twenty_times_at_random_moments(tmp_path, seed, save_every_s, capsys):
    write_corpus(tmp_path / "corpus.jsonl", 400)
    out = tmp_path / "out"
    ledger = kill_and_resume(
        tmp_path / "corpus.jsonl", out, tmp_path, n_kills=20, seed=seed, SCRIPTED_SAVE_EVERY_S=save_every_s
    )
    check_complete(Storage(out), 400)
    with capsys.disabled():
        print(f"\nseed {seed}, long documents saved every {save_every_s} s: {ledger}")
    assert ledger.n_repeated <= ledger.n_in_flight


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_it_resumes_with_free_space(corpus, tmp_path):
    out = tmp_path / "out"
    code, _, err = command(corpus, out, folder=tmp_path, SCRIPTED_N_WRITES=20).wait()
    assert code == 1
    assert "No space left on device; free some space and run the same command again" in err
    found = checked(Storage(out))
    assert found.n_journal_entries > 0
    assert not list(out.rglob("*.tmp"))
    code, _, err = command(corpus, out, folder=tmp_path).wait()
    assert code == 0, err
    check_complete(Storage(out), N_DOCUMENTS)


def test_a_document_that_kills_the_engine_is_rejected_and_the_rest_continues(corpus, tmp_path):
    out, n_documents = tmp_path / "out", 15
    write_corpus(corpus, n_documents)
    code, stdout, err = command(corpus, out, folder=tmp_path, SCRIPTED_POISON="of document 10 says").wait()
    assert code == 0, err
    check_complete(Storage(out), n_documents, rejected={"d10": "engine_killed"})
    assert 2 <= json.loads(stdout)["n_engine_restarts"] <= 5
    assert "the engine died (the scripted engine died) and is being restarted" in err


@pytest.mark.slow
def test_servers_with_every_kind_of_fault(corpus, tmp_path):
    """Faults of all kinds, one server gone for good, the other for a while, and a prompt that is too long."""
    out = tmp_path / "out"
    servers = [
        ChaoticServer(0.2, seed=seed, hang_s=1.5, too_long="Sentence 3 of document 20 says") for seed in range(2)
    ]
    endpoints = [option for server in servers for option in ("--endpoint", server.url)]
    run = command(corpus, out, "--engine", "openai", *endpoints, "--timeout-s", 1, folder=tmp_path)
    try:
        while servers[0].n_answers + servers[1].n_answers < 30:
            assert run.process.exitcode is None, run.wait()
            time.sleep(0.02)
        servers[0].stop()
        time.sleep(0.3)
        servers[1].stop()
        time.sleep(0.5)
        servers[1].start()
        code, _, err = run.wait()
    finally:
        for server in servers:
            with contextlib.suppress(OSError):
                server.stop()
    assert code == 0, err
    check_complete(Storage(out), N_DOCUMENTS, rejected={"d20": "prompt_too_long"})
    faults = servers[0].faults + servers[1].faults
    assert set(ChaoticServer.FAULTS) <= set(faults)


@pytest.mark.slow
def test_two_runs_at_once_leave_one_result(corpus, tmp_path):
    out = tmp_path / "out"
    runs = [command(corpus, out, folder=tmp_path, SCRIPTED_DELAY_S=0.02) for _ in range(2)]
    codes = {}
    threads = [threading.Thread(target=lambda i=i: codes.update({i: runs[i].wait()})) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(code for code, _, _ in codes.values()) == [0, 1]
    loser = next(err for code, _, err in codes.values() if code)
    assert "another run is writing to" in loser
    check_complete(Storage(out), N_DOCUMENTS)


@pytest.mark.slow
def test_other_options_and_changed_inputs_are_refused_and_damage_nothing(corpus, tmp_path):
    out = tmp_path / "out"
    run = command(corpus, out, folder=tmp_path, SCRIPTED_DELAY_S=0.1)
    while not list(out.glob("commits/*.json")):
        assert run.process.exitcode is None, run.wait()
        time.sleep(0.02)
    text, stat = corpus.read_bytes(), corpus.stat()
    corpus.write_bytes(text.replace(b"something new", b"something old"))  # under the run
    code, _, err = run.wait()
    assert code == 1
    assert "has changed since the run was planned; restore it and run again" in err
    checked(Storage(out))
    code, _, err = command(corpus, out, folder=tmp_path).wait()
    assert code == 1
    assert "corpus.jsonl has changed since" in err
    corpus.write_bytes(text)
    os.utime(corpus, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    code, _, err = command(corpus, out, "--seed", 7, folder=tmp_path).wait()
    assert code == 1
    assert "seed was 0 and is now 7" in err
    checked(Storage(out))
    code, _, err = command(corpus, out, folder=tmp_path).wait()
    assert code == 0, err
    check_complete(Storage(out), N_DOCUMENTS)


@pytest.mark.slow
def test_a_torn_journal_record_is_written_again(corpus, tmp_path):
    out = tmp_path / "out"
    held_at = {f"{out}/journal/*/*.json": 1}
    run = command(corpus, out, folder=tmp_path, SCRIPTED_DELAY_S=0.1, SCRIPTED_HOLD=json.dumps(held_at))
    while not are_there(held_at):
        assert run.process.exitcode is None, run.wait()
        time.sleep(0.02)
    run.kill()
    entries = list(out.glob("journal/*/*.json"))
    entries[0].write_bytes(entries[0].read_bytes()[:100])
    assert len(checked(Storage(out)).notes) >= 1
    code, _, err = command(corpus, out, folder=tmp_path).wait()
    assert code == 0, err
    check_complete(Storage(out), N_DOCUMENTS)
