"""Metrics, scraped from a run in progress."""

import asyncio
import contextlib
import json
import urllib.request

import pytest
from chaos import Command
from prometheus_client.parser import text_string_to_metric_families
from scripted import ScriptedEngine
from served import free_port, wait_for, write_documents

from flows.running.metrics import PORT_VARIABLE, serve_metrics
from rephrase.progress import Progress
from rephrase.scheduling.scheduler import Scheduler


def scrape(port):
    """Values by name and labels, or None while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=300) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("palimpsest_")
    }


@pytest.mark.usefixtures("commands")
@pytest.mark.slow
def test_a_run_exports_its_progress(tmp_path):
    source, port = tmp_path / "in.jsonl", free_port()
    write_documents(source, [f"d{i}" for i in range(40)])
    command = Command(
        *("rephrase", source, tmp_path / "out", "--json", "--metrics-port", port),
        folder=tmp_path,
        environment={"SCRIPTED_DELAY_S": 0.4},
    )
    try:
        seen = wait_for(lambda: (found := scrape(port)) and found["palimpsest_records_done_total",] >= 4 and found)
        later = wait_for(lambda: (found := scrape(port)) and found != seen and found)
        code, stdout, err = command.wait()
    finally:
        command.kill()
    assert code == 0, err
    summary = json.loads(stdout)
    assert seen["palimpsest_records",] == 40
    assert 4 <= seen["palimpsest_records_done_total",] < 40
    assert seen["palimpsest_journal_entries_total",] >= 4
    # While some chains wait for their check, others keep the four places at the engine full.
    assert seen["palimpsest_requests_in_flight",] == 4 <= seen["palimpsest_chains_under_way",] <= 8
    assert seen["palimpsest_requests_in_flight_limit",] == 4
    assert seen["palimpsest_chains_to_begin",] > 0
    assert 0 < seen["palimpsest_chunks_total", "accepted"] <= summary["n_chunks_accepted"]
    assert 0 < seen["palimpsest_tokens_total", "completion"] <= summary["n_completion_tokens"]
    assert 0 < seen["palimpsest_tokens_total", "accepted"] <= summary["n_tokens"]
    for name in ("palimpsest_records_done_total", "palimpsest_journal_seconds_total"):
        assert later[name,] >= seen[name,]


async def test_without_a_port_nothing_is_served_and_a_taken_one_does_not_stop_the_run(monkeypatch):
    warnings = []
    progress = Progress(n_records=7)
    monkeypatch.delenv(PORT_VARIABLE, raising=False)
    port = free_port()
    async with serve_metrics(progress, warnings.append):
        assert scrape(port) is None
    monkeypatch.setenv(PORT_VARIABLE, str(port))
    async with serve_metrics(progress, warnings.append):
        async with serve_metrics(progress, warnings.append):
            pass
        assert f"port {port}" in warnings[0]
    assert scrape(port) is None


async def test_the_last_values_stay_for_a_scrape_and_say_how_the_run_ended(monkeypatch):
    port, progress = free_port(), Progress(n_records=2)
    monkeypatch.setenv(PORT_VARIABLE, str(port))
    seen, collectors = [], []

    async def run(outcome):
        async with serve_metrics(progress, print) as metrics:
            metrics.scheduler = Scheduler(ScriptedEngine())
            seen.append(await asyncio.to_thread(scrape, port))
            collectors.append(metrics)
            progress.n_records_done += 2
            if outcome:
                raise outcome

    for outcome, state in [(None, "completed"), (ValueError("no"), "failed")]:
        running = asyncio.create_task(run(outcome))
        while not (collectors and collectors[-1].state == state):  # noqa: ASYNC110  a collector has no event
            await asyncio.sleep(0.01)
        assert not running.done()
        last = await asyncio.to_thread(scrape, port)
        assert last["palimpsest_records_done_total",] == progress.n_records_done
        assert (last["palimpsest_run_state", state], last["palimpsest_run_state", "running"]) == (1, 0)
        with contextlib.suppress(ValueError):
            await running
    assert seen[0]["palimpsest_run_state", "running"] == 1
    assert "palimpsest_requests_in_flight_limit" in {name for name, *_ in seen[0]}


async def test_a_run_that_nobody_scrapes_or_that_is_stopped_does_not_wait(monkeypatch):
    port, scraped = free_port(), asyncio.Event()
    monkeypatch.setenv(PORT_VARIABLE, str(port))
    monkeypatch.setattr("flows.running.metrics.LINGER_S", 3600.0)  # longer than a test may take

    async def scraped_and_stopped():
        async with serve_metrics(Progress(), print):
            await asyncio.to_thread(scrape, port)
            scraped.set()
            await asyncio.Event().wait()

    async with serve_metrics(Progress(), print):
        pass
    running = asyncio.create_task(scraped_and_stopped())
    await scraped.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
