"""The same pipeline with the model in a real OpenAI-compatible server: vLLM's, on loopback."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.demo import packaged_documents
from rephrase.dataset.shards import read_rewrites
from rephrase.models.precision import fast_precision
from rephrase.models.resolve import packaged_model
from rephrase.storage.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.model]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(packaged_model())]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "2048", "--max-num-seqs", "16"]
    command += ["--dtype", fast_precision()]
    command += ["--enforce-eager", "--no-enable-chunked-prefill", "--max-num-batched-tokens", "4096"]
    log = tmp_path_factory.mktemp("server") / "log"
    environment = {**os.environ, "VLLM_CPU_OMP_THREADS_BIND": "0-1", "VLLM_CPU_KVCACHE_SPACE": "2"}
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}/v1"  # the engine waits for it to come up
    finally:
        process.terminate()
        process.wait(60)


def test_a_server_and_the_engine_in_the_process_give_rows_of_the_same_shape(endpoint, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(record) + "\n" for record in packaged_documents()[:4]), encoding="utf-8")
    rows = {}
    # A server does not say how large its model is; the process knows that of the packaged one.
    server_options = ["--engine", "openai", "--endpoint", endpoint, "--model-size", "135M"]
    lenient = ["--min-probability", "0", "--min-rewritten-share", "0"]  # the shape is compared, not the text
    for name, options in {"server": [*server_options, *lenient], "process": lenient}.items():
        command = [str(Path(sys.executable).with_name("palimpsest")), "rephrase", str(corpus), str(tmp_path / name)]
        done = subprocess.run([*command, "--json", *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["n_read"] == summary["n_accepted"] + summary["n_rejected"] == 4
        rows[name] = [row for table in read_rewrites(Storage(tmp_path / name)) for row in table.to_pylist()]
    server, process = rows["server"][0], rows["process"][0]
    assert (server["engine"], process["engine"]) == ("openai", "vllm")
    assert server.keys() == process.keys()
    assert {k for k, v in server.items() if v is None} == {k for k, v in process.items() if v is None}
    same = ("prompt_hash", "recipe", "seed", "temperature")
    assert {name: server[name] for name in same} == {name: process[name] for name in same}
    assert server["n_prompt_tokens"] > 0
