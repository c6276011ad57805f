"""A Ray cluster writes what one process writes, even when a node is lost in the middle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from chaos import TESTS, check_complete, write_corpus

from rephrase.dataset.shards import read_commits
from rephrase.storage.storage import Storage

# What depends on when and where a part was written.
RUN_SPECIFIC = {"started_at", "ended_at", "engine_s", "slot_s", "idle_slot_s", "cost", "n_tokens_resumed"}


@pytest.mark.slow
@pytest.mark.chaos
def test_two_nodes_one_of_which_is_lost_write_the_same_bytes_as_one_process(tmp_path):
    n_documents = 40
    write_corpus(tmp_path / "corpus.jsonl", n_documents)
    outs = {runner: tmp_path / runner for runner in ("local", "ray")}
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    environment = {**os.environ, "PYTHONPATH": path, "SCRIPTED_DELAY_S": "0.3", "RAY_USAGE_STATS_ENABLED": "0"}
    for runner, out in outs.items():
        script = ["run_on_ray.py", out] if runner == "ray" else ["run_scripted.py"]
        options = ["--part-bytes", 20_000, "--json", "--runner", runner]
        command = [sys.executable, TESTS / script[0], *script[1:], "rephrase", tmp_path / "corpus.jsonl", out, *options]
        done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "a node was lost" in done.stderr
    assert "was lost with its worker" in done.stderr
    check_complete(Storage(outs["ray"]), n_documents)
    files = {
        runner: {p.relative_to(out): p.read_bytes() for p in Path(out).rglob("*.parquet")}
        for runner, out in outs.items()
    }
    assert len(files["ray"]) > 5
    assert files["ray"] == files["local"]
    commits = [
        {index: without_run_specific(commit) for index, commit in read_commits(Storage(out)).items()}
        for out in outs.values()
    ]
    assert commits[0] == commits[1]


def without_run_specific(value):
    if isinstance(value, dict):
        return {key: without_run_specific(inner) for key, inner in value.items() if key not in RUN_SPECIFIC}
    return value
