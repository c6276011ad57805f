"""`palimpsest serve`, with a real Prefect server and real runs; the models are scripted."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    temporary_settings,
)
from served import TESTS, Api, Served, environment, free_port, wait_for, write_documents
from typer.testing import CliRunner

import flows.serving.serve
from flows.cli.app import app
from flows.serving.serve import check_server, connect_or_start_server, describe_sign_in
from rephrase.dataset.shards import read_rewrites
from rephrase.storage.storage import Storage


def document_ids(out):
    return [row["document_id"] for table in read_rewrites(Storage(out), ["document_id"]) for row in table.to_pylist()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def served(folder):
    source = folder / "in"
    source.mkdir()
    write_documents(source / "a.jsonl", [f"a{i}" for i in range(4)])
    config = folder / "nightly.toml"
    config.write_text(f'source = "{source}"\noutput = "{folder / "out"}"\npart_bytes = 4000\n')
    served = Served(folder, "--config", config, "--every", "5", delay_s=0.05)
    yield served
    served.process.kill()
    served.process.wait()


def test_scheduled_runs_take_only_new_files(served, folder):
    out = folder / "out"
    wait_for(lambda: served.runs("Running", "Completed"))
    # Paused as in the UI, the schedule starts no further run.
    deployment = served.deployment("rephrase")
    schedule = f"/deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}"
    served.api(schedule, {"active": False}, method="PATCH")
    first = wait_for(lambda: served.runs("Completed", "Failed", "Crashed"))[0]
    assert not wait_for(lambda: not served.runs("Scheduled", "Pending", "Running") and [()])[0]
    assert (first["auto_scheduled"], first["state"]["name"]) == (True, "Completed"), served.log
    assert document_ids(out) == ["a0", "a1", "a2", "a3"]
    parts = {"part-00000: a.jsonl 1 to 2", "part-00001: a.jsonl 3 to 4"}
    # The server writes task runs, and below the lines of logs, down a little later.
    wait_for(lambda: {task["name"] for task in served.of_run("task_runs", first["id"])} == parts)
    artifacts = {artifact["key"]: artifact["data"] for artifact in served.of_run("artifacts", first["id"])}
    assert artifacts["rephrase-progress"] == 100
    figures = {row["figure"]: row["value"] for row in json.loads(artifacts["rephrase-account"])}
    assert (figures["records read"], figures["records accepted"], figures["records to do"]) == ("4", "4", "0")
    (recipe,) = json.loads(artifacts["rephrase-recipes"])
    assert (recipe["recipe"], recipe["outcome"], recipe["count"]) == ("rephrase", "accepted", 4)
    assert "Title of a0" in artifacts["rephrase-samples"]
    assert f"{out}/rewrites" in artifacts["rephrase-output"]

    written = {path: path.stat().st_mtime_ns for path in out.glob("*/*") if path.is_file()}
    write_documents(folder / "b.jsonl", ["b0", "a1"])
    (folder / "b.jsonl").rename(folder / "in" / "b.jsonl")
    served.wait_for_state(served.start("rephrase", {}), "Completed")
    assert document_ids(out) == ["a0", "a1", "a2", "a3", "b0"]
    assert written.items() <= {path: path.stat().st_mtime_ns for path in out.glob("*/*") if path.is_file()}.items()
    assert (out / "plan-0001.json").exists()

    # An unchanged folder: nothing is done.
    idle = served.start("rephrase", {})
    served.wait_for_state(idle, "Completed")
    assert not served.of_run("task_runs", idle)
    wait_for(lambda: any("nothing to do" in log["message"] for log in served.of_run("logs", idle)))
    assert not served.runs("Scheduled", "Pending", "Running")


def test_the_server_asks_for_the_password_that_serve_has_shown(served, folder):
    assert f"Sign in with {served.password} (the whole string)." in served.log
    assert str(folder / "palimpsest-password") in served.log
    stranger = Api(served.url)
    # Prefect's pages ask for it because of this answer, and keep it for their requests.
    with urllib.request.urlopen(f"{served.url}/ui-settings") as answer:
        assert json.loads(answer.read())["auth"] == "BASIC"
    for wrong in ("", "palimpsest:", "palimpsest:guessed"):
        stranger.password = wrong
        for path in ("/deployments/filter", "/flow_runs/filter", "/admin/settings"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                stranger.api(path, method="GET" if path.startswith("/admin") else "POST")
            assert refused.value.code == 401
    assert stranger.api("/health", method="GET")  # as probes ask
    assert served.api("/deployments/filter")


def test_a_server_that_is_joined_may_ask_for_a_password(served):
    with pytest.raises(RuntimeError, match="asks for a password: set PREFECT_API_AUTH_STRING"):
        check_server(f"{served.url}/api")
    with temporary_settings({PREFECT_API_AUTH_STRING: served.password}):
        check_server(f"{served.url}/api")


@pytest.mark.parametrize(
    ("with_password", "configured", "asked_for"),
    [(True, None, "palimpsest:kept"), (False, None, None), (True, "a:b", "a:b"), (False, "a:b", "a:b")],
)
def test_which_password_a_server_that_is_started_asks_for(monkeypatch, with_password, configured, asked_for):
    @contextlib.contextmanager
    def start(port, password):
        asked.append(password)
        yield f"http://127.0.0.1:{port}/api"

    asked = []
    monkeypatch.setattr(flows.serving.serve, "prefect_server", start)
    monkeypatch.setattr(flows.serving.serve, "kept_password", lambda: "palimpsest:kept")
    settings = {PREFECT_API_URL: None, PREFECT_SERVER_API_AUTH_STRING: configured}
    with (
        temporary_settings(settings),
        connect_or_start_server(0, with_password=with_password) as server,
    ):
        assert [server.password, PREFECT_API_AUTH_STRING.value(), *asked] == [asked_for] * 3
        shown = describe_sign_in(server.password)
    assert shown.startswith("Warning") == (asked_for is None)
    assert "a:b" not in shown


@pytest.mark.slow
def test_a_cancelled_run_stops_within_seconds_and_resumes_when_it_is_retried(served, folder):
    source, out = folder / "many.jsonl", folder / "many"
    write_documents(source, [f"m{i}" for i in range(60)])
    run = served.start("rephrase", {"config": {"source": str(source), "output": str(out), "part_bytes": 20_000}})
    wait_for(lambda: list(out.glob("commits/*.json")))
    began = time.monotonic()
    served.api(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    served.wait_for_state(run, "Cancelled")
    assert time.monotonic() - began < 15
    committed = {path: path.stat().st_mtime_ns for path in out.glob("commits/*.json")}
    assert 0 < len(committed) < 9
    served.api(f"/flow_runs/{run}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True})
    served.wait_for_state(run, "Completed")
    assert sorted(document_ids(out)) == sorted(f"m{i}" for i in range(60))
    assert committed.items() <= {path: path.stat().st_mtime_ns for path in out.glob("commits/*.json")}.items()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_variants": 0}, "0 is less than the minimum of 1"),
        ({"domain": "poetry"}, "'poetry' is not one of"),
        ({"variants": 3}, "'variants' does not match any of the reg"),
        ({"engine": {"kind": "gpt"}}, "'gpt' is not one of ['vllm', 'openai']"),
    ],
)
def test_a_wrong_value_is_refused_when_the_form_is_sent(served, values, message):
    with pytest.raises(urllib.error.HTTPError) as refused:
        served.start("rephrase", {"config": {"source": "a", "output": "b", **values}})
    assert message in json.loads(refused.value.read())["detail"]


def test_each_parameter_is_described_and_has_its_bounds(served):
    for name in ("rephrase", "verify", "pretrain", "full_run", "cycle"):
        deployment = served.deployment(name)
        schema = deployment["parameter_openapi_schema"]
        assert deployment["entrypoint"].endswith(f".{name}")
        for properties in [
            schema["properties"],
            *(part["properties"] for part in schema["definitions"].values() if "properties" in part),
        ]:
            for parameter, described in properties.items():
                meant = schema["definitions"][described["$ref"].split("/")[-1]] if "$ref" in described else {}
                assert described.get("description") or meant.get("description"), f"{name}: {parameter}"


@pytest.mark.slow
def test_the_server_ends_with_serve_even_after_a_kill(tmp_path):
    served = Served(tmp_path)
    source = tmp_path / "in.jsonl"
    write_documents(source, [f"d{i}" for i in range(200)])
    run = served.start("rephrase", {"config": {"source": str(source), "output": str(tmp_path / "out")}})
    served.wait_for_state(run, "Running", "Completed")
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()

    def nothing_listens():
        try:
            served.api("/health", method="GET")
        except OSError:
            return True
        return False

    wait_for(nothing_listens, timeout_s=30)
    wait_for(lambda: not _processes_with(str(tmp_path)))


def _processes_with(text):
    """The processes whose environment contains the text."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and text.encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
    return found


@pytest.mark.slow
def test_a_taken_port_is_reported_with_a_remedy(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, str(TESTS / "run_scripted.py"), "serve", "--port", str(port)]
        done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"PREFECT_API_URL=http://127.0.0.1:{port}/api" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cron", "0 3 * * *", "--every", "5"], "--cron and --every are mutually exclusive"),
        (["--every", "5"], "a schedule needs --source and --output"),
        (["--cron", "hourly", "--source", "a", "--output", "b"], "Invalid cron"),
        (["--timezone", "Europe/Berlin"], "--timezone needs --cron"),
        (["--config", "CONFIG"], "n_variants: Input should be greater than or equal to 1"),
    ],
)
def test_wrong_options_are_refused(tmp_path, options, message):
    config = tmp_path / "wrong.toml"
    config.write_text("n_variants = 0\n")
    options = [str(config) if option == "CONFIG" else option for option in options]
    done = CliRunner().invoke(app, ["serve", *options])
    assert done.exit_code == 1
    assert message in done.stderr


@pytest.mark.slow
def test_a_run_survives_a_server_outage_of_a_minute(tmp_path):
    port = free_port()
    variables = environment(tmp_path, SCRIPTED_DELAY_S="6", PREFECT_SERVER_ANALYTICS_ENABLED="false")

    def start_server():
        command = [sys.executable, "-P", "-m", "flows.running.prefect_server", "--port", str(port)]
        server = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert any(line.startswith("serving ") for line in server.stdout)
        return server

    source, out = tmp_path / "in.jsonl", tmp_path / "out"
    write_documents(source, [f"d{i}" for i in range(24)])
    server = start_server()
    command = [
        sys.executable,
        str(TESTS / "run_scripted.py"),
        "rephrase",
        str(source),
        str(out),
        "--part-bytes",
        "8000",
    ]
    url = f"http://127.0.0.1:{port}/api"
    run = subprocess.Popen(
        [*command, "--json"], env={**variables, "PREFECT_API_URL": url}, stdout=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: list(out.glob("commits/*.json")))
        n_committed = len(list(out.glob("commits/*.json")))
        server.kill()
        server.wait()
        time.sleep(60)
        # The run continued meanwhile.
        assert len(list(out.glob("commits/*.json"))) > n_committed
        server = start_server()
        stdout, _ = run.communicate()
        assert run.returncode == 0
        assert json.loads(stdout)["n_accepted"] == 24
        api = Api(f"http://127.0.0.1:{port}")
        (found,) = api.runs("Completed")
        all_parts = ["Completed"] * json.loads(stdout)["n_parts"]
        wait_for(lambda: [task["state"]["name"] for task in api.of_run("task_runs", found["id"])] == all_parts)
    finally:
        run.kill()
        server.kill()
        run.wait()
        server.wait()
