"""An object store works like a disk: reading, writing, and one run at a time per folder."""

import gzip
import json
import multiprocessing
import os
import threading
import time

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stamina
import zstandard
from s3_server import BUCKET, die_with_a_lease, s3_server

from rephrase.corpus.inputs import has_changed, list_inputs
from rephrase.corpus.reading import ReadOptions, read_file
from rephrase.dataset.journal import Entry, Journal
from rephrase.storage.lease import Lease, OutputInUseError
from rephrase.storage.lock import locked
from rephrase.storage.storage import Storage

pytestmark = pytest.mark.usefixtures("quick_retries")
LINES = [{"id": f"d{i}", "text": f"text {i} ä" * 50} for i in range(40)]
ENTRY = Entry(rewrite=None, rejects=[], n_chunks=1, n_prompt_tokens=2, n_completion_tokens=3, n_cached_tokens=0)


@pytest.fixture(scope="module")
def server():
    with s3_server() as server:
        yield server


@pytest.fixture
def storage(server):
    storage = Storage(f"s3://{BUCKET}/out-{time.monotonic_ns()}")
    yield storage
    server.share_busy = 0.0


def documents(source):
    return [record for file in list_inputs(source)[0] for record, _ in read_file(file, ReadOptions())]


def test_every_format_reads_as_from_a_local_disk(server, tmp_path):
    data = "".join(json.dumps(line) + "\n" for line in LINES).encode()
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(data)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(data))
    (folder / "c.jsonl.zst").write_bytes(zstandard.compress(data))
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(data)[:-20])
    (folder / "d.txt").write_bytes(b"a text")
    pq.write_table(pa.Table.from_pylist(LINES), folder / "e.parquet", row_group_size=7)
    fsspec.filesystem("s3").put(str(folder), f"{BUCKET}/in", recursive=True)
    found, expected = documents(f"s3://{BUCKET}/in"), documents(str(folder))
    assert [(r.document_id if hasattr(r, "document_id") else r.id, r.text, r.source, r.record) for r in found] == [
        (r.document_id if hasattr(r, "document_id") else r.id, r.text, r.source, r.record) for r in expected
    ]
    assert len(found) > 4 * len(LINES)
    # From a position in the middle, where a part may begin.
    (file,) = list_inputs(f"s3://{BUCKET}/in/a.jsonl")[0]
    records = list(read_file(file, ReadOptions()))
    (rest, _), *_ = read_file(file, ReadOptions(), records[19][1])
    assert rest.id == "d20"
    assert not has_changed(file)
    fsspec.filesystem("s3").pipe_file(f"{BUCKET}/in/a.jsonl", data + b"\n")
    assert has_changed(file)


def test_a_busy_store_is_retried_and_its_failures_do_not_mark_a_file_unreadable(server, storage, monkeypatch):
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    server.share_busy = 0.3
    journal, n = Journal(storage, 0), 0
    while n < 5 or server.n_busy < 2:
        journal.write((n, 0), ENTRY)
        n += 1
    assert journal.read() == {(i, 0): ENTRY for i in range(n)}
    storage.remove("journal")
    assert storage.names("journal/part-00000") == []
    server.share_busy = 0.0
    fsspec.filesystem("s3").pipe_file(f"{BUCKET}/busy/a.jsonl", json.dumps(LINES[0]).encode())
    ((file,), _) = list_inputs(f"s3://{BUCKET}/busy")
    server.share_busy = 1.0
    with pytest.raises(OSError, match="Reduce"):
        list(read_file(file, ReadOptions()))
    with pytest.raises(OSError, match="Service Unavailable"):
        has_changed(file)


@pytest.fixture
def retries():
    """The retries of a test."""
    found = []
    stamina.instrumentation.set_on_retry_hooks([found.append])
    yield found
    stamina.instrumentation.set_on_retry_hooks(None)


def test_errors_that_a_retry_does_not_change_are_raised_at_once(server, storage, retries):
    with pytest.raises(FileNotFoundError, match="bucket does not exist"):
        Storage("s3://no-such-bucket/out").write("plan.json", b"")
    with pytest.raises(FileNotFoundError):
        storage.read("plan.json")
    storage.create("a", b"1")
    with pytest.raises(FileExistsError):
        storage.create("a", b"2")
    assert storage.read("a") == b"1"
    assert retries == []


class Clock:
    """In the place of `time`: to sleep takes no time, and `meanwhile` happens."""

    time = staticmethod(time.time)

    def __init__(self):
        self.now_s, self.meanwhile = 0.0, lambda: None

    def monotonic(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds
        self.meanwhile()


@pytest.fixture
def clock(monkeypatch):
    """The clock of leases. The thread of one that lasts an hour sends no heartbeat during a test."""
    clock = Clock()
    monkeypatch.setattr("rephrase.storage.lease.time", clock)
    return clock


def test_one_lease_at_a_time_and_a_silent_one_is_taken_over(storage, clock):
    heard = []
    first = Lease(storage, lease_s=3600)
    first.acquire()
    clock.meanwhile = first._beat
    with pytest.raises(OutputInUseError, match=rf"another run is writing .* process {os.getpid()} on"):
        Lease(storage, lease_s=3600).acquire(heard.append)
    assert len(heard) == 1
    # No more heartbeats, as if its machine had lost the network.
    clock.meanwhile = lambda: None
    second = Lease(storage, lease_s=3600)
    second.acquire()
    assert clock.now_s >= 3600
    clock.sleep(1)
    with pytest.raises(OutputInUseError, match="another run has taken over"):
        first.require()
    second.require()
    first.release()
    second.require()
    second.release()
    assert storage.names("lease") == []


def test_a_lease_has_heartbeats_until_it_is_released(storage):
    lease = Lease(storage, lease_s=0.06)
    lease.acquire()
    while storage.read_json("lease/000001.json")["n_beats"] < 2:
        time.sleep(0.01)
    lease.release()
    assert storage.names("lease") == []


def test_a_writer_that_lost_its_lease_writes_no_more(storage, monkeypatch):
    monkeypatch.setenv("PALIMPSEST_LEASE_S", "0.4")
    with locked(storage):
        storage.write("a", b"1")
        storage.create("lease/000002.json", b'{"holder": "other"}')
        time.sleep(0.6)
        with pytest.raises(OutputInUseError, match="taken over"):
            storage.write("a", b"2")
    assert storage.read("a") == b"1"
    assert storage.names("lease") == ["000002.json"]


def test_of_many_competing_runs_one_gets_the_folder(storage, clock):
    won, lost = [], []

    def winner_is_there():
        while not won:
            time.sleep(0.01)
        won[0]._beat()

    def want():
        lease = Lease(Storage(storage.url), lease_s=3600)
        try:
            lease.acquire()
            won.append(lease)
        except OutputInUseError:
            lost.append(lease)

    clock.meanwhile = winner_is_there
    threads = [threading.Thread(target=want, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    won[0].release()


def test_the_lease_of_a_dead_process_is_taken_over_at_once(storage):
    process = multiprocessing.get_context("spawn").Process(target=die_with_a_lease, args=(storage.url,))
    process.start()
    process.join()
    assert storage.names("lease") == ["000001.json"]
    waited_for = []
    with locked(storage, waited_for.append):
        assert waited_for == []
