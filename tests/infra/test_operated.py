"""A run, operated: databases, servers and workers go away in the middle of it, and what people see of it stays true.

`make test-infra` runs these, on real servers, with scripted models.
"""

import asyncio
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from browser import open_browser
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from served import TESTS, environment, free_port, wait_for, write_documents
from services import Postgres, PrefectServer, Prometheus, started

from flows.rephrasing import rephrase
from rephrase.dataset.audit import audit
from rephrase.storage.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.infra]

SCRIPTED = [sys.executable, TESTS / "run_scripted.py"]
INFRA = TESTS.parent / "infra"


@pytest.fixture(scope="module")
def postgres():
    database = Postgres()
    yield database
    database.close()


@pytest.fixture(scope="module")
def server(postgres, tmp_path_factory):
    """A Prefect server on PostgreSQL that every test of this module uses."""
    server = PrefectServer(tmp_path_factory.mktemp("prefect"), postgres.url)
    yield server
    server.kill()


@pytest.fixture
def variables(server, tmp_path):
    return environment(tmp_path / "home", PREFECT_API_URL=server.api_url, SCRIPTED_DELAY_S="0.3")


@pytest.fixture
def serve(variables, tmp_path):
    """`palimpsest serve`, joined to the server; what it prints is in serve.log."""
    log = tmp_path / "serve.log"
    with started([*SCRIPTED, "serve", "--at-once", 2], variables, log) as process:
        wait_for(lambda: "Ctrl-C stops it" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process


def parameters(folder, n_documents=60):
    """Of a run of at least twenty seconds, in ten parts."""
    write_documents(folder / "in.jsonl", [f"d{i}" for i in range(n_documents)])
    return {"config": {"source": str(folder / "in.jsonl"), "output": str(folder / "out"), "part_bytes": 12_000}}


def commits(folder):
    return list((folder / "out").glob("commits/*.json"))


def check_clean(folder):
    found = audit(Storage(str(folder / "out")))
    assert (found.problems, found.n_to_do) == ([], 0), found


def state(server, run):
    return server.api(f"/flow_runs/{run}", method="GET")["state"]["name"]


def test_a_database_that_restarts_ends_nothing(serve, server, postgres, tmp_path):
    config = parameters(tmp_path)
    run = server.start("rephrase", config)
    wait_for(lambda: commits(tmp_path))
    postgres.stop()
    time.sleep(12)
    assert serve.poll() is None
    postgres.start()
    server.wait_for_state(run, "Completed", "Failed", "Crashed")
    assert state(server, run) == "Completed"
    check_clean(tmp_path)
    log = (tmp_path / "serve.log").read_text()
    assert "does not answer (error 500): waiting for it, 8 minutes at most" in log
    assert "Traceback" not in log
    # `serve` still begins runs.
    server.wait_for_state(server.start("rephrase", config), "Completed")
    assert serve.poll() is None


def test_a_run_can_be_cancelled_after_the_server_was_away(serve, server, tmp_path):
    run = server.start("rephrase", parameters(tmp_path, 300))
    wait_for(lambda: commits(tmp_path))
    server.kill()
    time.sleep(20)
    server.serve()
    time.sleep(10)
    server.api(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    server.wait_for_state(run, "Cancelled")
    n_committed = len(commits(tmp_path))
    time.sleep(5)
    assert len(commits(tmp_path)) == n_committed < 50
    assert serve.poll() is None


def test_two_runs_under_a_limit_of_one_take_turns(serve, server, tmp_path):
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        runs.append(server.start("rephrase", parameters(tmp_path / name, 12)))
    for run in runs:
        server.wait_for_state(run, "Completed")
    spans = sorted(commit_span(tmp_path / name) for name in ("first", "second"))
    assert spans[0][1] <= spans[1][0]
    assert any("waiting" in log["message"] for run in runs for log in server.of_run("logs", run))


def commit_span(folder):
    found = [json.loads(path.read_text()) for path in commits(folder)]
    return min(one["started_at"] for one in found), max(one["ended_at"] for one in found)


def test_a_killed_run_that_is_retried_has_one_page(serve, server, tmp_path):
    run = server.start("rephrase", parameters(tmp_path))
    wait_for(lambda: len(commits(tmp_path)) >= 2)
    wait_for(lambda: server.of_run("artifacts", run))
    (child,) = psutil.Process(serve.pid).children()
    child.kill()
    server.wait_for_state(run, "Crashed")
    server.api(f"/flow_runs/{run}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True})
    server.wait_for_state(run, "Completed")
    check_clean(tmp_path)
    states = [task["state"]["name"] for task in server.of_run("task_runs", run)]
    assert set(states) <= {"Completed", "Crashed"}
    assert "Crashed" in states
    keys = [artifact["key"] for artifact in server.of_run("artifacts", run)]
    assert sorted(keys) == sorted({*keys})
    if pictures := os.environ.get("SCREENSHOTS"):
        take_picture(f"{server.url}/runs/flow-run/{run}", Path(pictures) / "retried-run.png")


@pytest.mark.usefixtures("serve")
def test_the_form_has_its_order_on_postgresql(server):
    deployment = server.deployment("rephrase")
    properties = deployment["parameter_openapi_schema"]["definitions"]["RephraseConfig"]["properties"]
    assert [*properties] == sorted(properties, key=lambda name: (len(name), name))  # as JSONB keeps them
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 2600})
        page.goto(f"{server.url}/deployments/deployment/{deployment['id']}/run")
        page.get_by_text("Folder for the shards, on any fsspec filesystem.").wait_for()
        shown = (
            "Source",
            "Domain",
            "New files",
            "Output",
            "Recipe",
            "Variants",
            "Limit",
            "Target tokens",
            "Price per hour",
        )
        labels = [page.get_by_text(re.compile(rf"^\s*{name}( \(Optional\))?\s*$")).first for name in shown]
        heights = [label.bounding_box()["y"] for label in labels]
        assert heights == sorted(heights)
        if pictures := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{pictures}/form-on-postgresql.png", full_page=True)


def take_picture(url, path):
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(url)
        page.get_by_text("records accepted").first.wait_for()
        page.wait_for_timeout(3000)
        page.screenshot(path=str(path), full_page=True)


@pytest.fixture
def pool(server):
    """The deployment `rephrase` of a process pool, whose runs are scripted."""
    deployment = RunnerDeployment.from_flow(
        rephrase, "pooled", work_pool_name="pool", entrypoint_type=EntrypointType.MODULE_PATH
    )
    deployment.entrypoint = "run_scripted.rephrase"
    deployment._path = "."

    async def apply():
        async with get_client() as client:
            await client.create_work_pool(WorkPoolCreate(name="pool", type="process"), overwrite=True)
        await deployment.aapply()

    with temporary_settings({PREFECT_API_URL: server.api_url}):
        asyncio.run(apply())


@pytest.mark.usefixtures("pool")
def test_a_run_outlives_its_worker_and_can_still_be_cancelled(server, variables, tmp_path):
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "pool", "--type", "process"]
    with started(worker, variables, tmp_path / "worker.log") as process:
        finishing, cancelled = tmp_path / "finishing", tmp_path / "cancelled"
        runs = []
        for folder, n_documents in ((finishing, 60), (cancelled, 600)):
            folder.mkdir()
            runs.append(server.start("pooled", parameters(folder, n_documents)))
        try:
            wait_for(lambda: commits(finishing) and commits(cancelled))
        except AssertionError:
            raise AssertionError((tmp_path / "worker.log").read_text()) from None
        process.kill()
    server.api(f"/flow_runs/{runs[1]}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    server.wait_for_state(runs[1], "Cancelled")
    server.wait_for_state(runs[0], "Completed", "Failed", "Crashed")
    assert state(server, runs[0]) == "Completed"
    check_clean(finishing)
    n_committed = len(commits(cancelled))
    time.sleep(5)
    assert len(commits(cancelled)) == n_committed


def test_a_command_whose_server_never_comes_back_ends_with_a_note(tmp_path):
    server = PrefectServer(tmp_path / "prefect")
    config = parameters(tmp_path, 12)["config"]
    variables = environment(
        tmp_path / "home", PREFECT_API_URL=server.api_url, SCRIPTED_DELAY_S="0.3", SCRIPTED_MAX_OUTAGE_S="20"
    )
    command = [*SCRIPTED, "rephrase", config["source"], config["output"], "--part-bytes", 12_000]
    with started(command, variables, tmp_path / "log") as process:
        wait_for(lambda: commits(tmp_path))
        server.kill()
        began = time.monotonic()
        assert process.wait(120) == 0
        assert time.monotonic() - began < 60
    log = (tmp_path / "log").read_text()
    check_clean(tmp_path)
    n_parts = len(commits(tmp_path))
    assert "does not answer" in log
    assert f"On disk, {n_parts} of {n_parts} parts are committed." in log
    assert "Traceback" not in log
    assert "Error logging" not in log


def test_prometheus_sees_the_end_of_runs_and_alerts_when_one_fails(tmp_path):
    port = free_port()
    variables = environment(tmp_path / "home", SCRIPTED_DELAY_S="0.3", PALIMPSEST_METRICS_PORT=str(port))
    prometheus = Prometheus(tmp_path, port, INFRA / "alerts.yml")
    try:
        config = parameters(tmp_path, 18)["config"]
        command = [*SCRIPTED, "rephrase", config["source"], config["output"], "--part-bytes", 12_000]
        with started(command, variables, tmp_path / "log") as process:
            assert process.wait(200) == 0, (tmp_path / "log").read_text()
        last = "last_over_time(palimpsest_{}[5m])"
        assert prometheus.value(last.format("records_done_total")) == 18
        assert prometheus.value(last.format("records")) == 18
        assert prometheus.value(last.format('run_state{state="completed"}')) == 1
        assert "PalimpsestRunFailed" not in prometheus.alerts()
        if pictures := os.environ.get("SCREENSHOTS"):
            take_prometheus_picture(prometheus.port, Path(pictures) / "prometheus.png")

        (tmp_path / "failing").mkdir()
        config = parameters(tmp_path / "failing", 60)["config"]
        command = [*SCRIPTED, "rephrase", config["source"], config["output"], "--part-bytes", 12_000]
        with started(command, {**variables, "SCRIPTED_N_WRITES": "40"}, tmp_path / "log") as process:
            assert process.wait(200) == 1
        wait_for(lambda: "PalimpsestRunFailed" in prometheus.alerts(), 60)
    finally:
        prometheus.stop()


def take_prometheus_picture(port, path):
    queries = ["palimpsest_records_done_total", 'palimpsest_tokens_total{kind="completion"}', "palimpsest_run_state"]
    panels = "&".join(
        f"g{i}.expr={quote(query, safe='')}&g{i}.tab=0&g{i}.range_input=2m" for i, query in enumerate(queries)
    )
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1500})
        page.goto(f"http://127.0.0.1:{port}/graph?{panels}")
        page.wait_for_timeout(8000)
        page.screenshot(path=str(path), full_page=True)


def test_runs_stop_as_a_whole_on_sigterm(serve, server, tmp_path):
    run = server.start("rephrase", parameters(tmp_path, 300))
    wait_for(lambda: commits(tmp_path))
    serve.send_signal(signal.SIGTERM)
    assert serve.wait(60) == 0
    assert state(server, run) == "Cancelled"
