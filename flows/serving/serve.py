"""Serve the deployments: join a Prefect server or start one, register them, and run what is scheduled or asked for."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner
from prefect.schedules import Schedule
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings
from prefect.states import Crashed
from rich.console import Console

from flows.running.engine_slot import ensure_engine_limit
from flows.running.prefect_server import HOST, prefect_server
from flows.running.process import SERVED_BY
from flows.serving.deployments import make_deployments

POLL_S = 3.0


@contextlib.contextmanager
def joined_or_started(port: int) -> Iterator[tuple[str, str, bool]]:
    """The addresses of API and UI of the configured Prefect server, or of one of our own that ends with this context.

    Raises:
        ValueError: the port is taken.
        RuntimeError: the server does not start.
    """
    if url := PREFECT_API_URL.value():
        yield url, PREFECT_UI_URL.value() or url.removesuffix("/api"), False
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"port {port} is taken ({error}): name another one with --port, or, if a Prefect server listens there, "
                f"join it with PREFECT_API_URL=http://{HOST}:{port}/api"
            ) from error
        port = probe.getsockname()[1]
    with prefect_server(port) as url, temporary_settings({PREFECT_API_URL: url}):
        yield url, url.removesuffix("/api"), True


async def serve_deployments(
    parameters: Mapping[str, Mapping[str, Any]],
    schedules: Mapping[str, Schedule],
    *,
    ui: str,
    n_runs_at_once: int,
    own_server: bool,
    console: Console,
) -> None:
    """Register the deployments and run what becomes due, until cancelled. Runs under way are then stopped."""
    os.environ[SERVED_BY] = str(os.getpid())
    runner = Runner(
        name="palimpsest", query_seconds=POLL_S, limit=n_runs_at_once, pause_on_shutdown=False, webserver=False
    )
    await ensure_engine_limit()
    ids = []
    for deployment in make_deployments(parameters, schedules):
        await keep_schedule(deployment)
        ids.append(await runner.aadd_deployment(deployment))
    async with get_client() as client:
        n_missed = await drop_missed_runs(client, ids)
        n_broken_off = await end_broken_off_runs(client, ids) if own_server else 0
        console.print(f"[bold]Palimpsest is served.[/bold] Open [cyan]{ui}/deployments[/cyan]", soft_wrap=True)
        for deployment_id in ids:
            console.print(await describe_deployment(client, deployment_id), soft_wrap=True)
    if n_missed:
        console.print(f"{n_missed} scheduled runs were missed while nobody served them; they are dropped")
    if n_broken_off:
        console.print(f"{n_broken_off} runs were broken off; they are shown as crashed and can be retried")
    console.print("[dim]Ctrl-C stops it; what runs have finished is kept.[/dim]")
    await run_until_stopped(runner, console)


async def run_until_stopped(runner: Runner, console: Console) -> None:
    """Run what is due until SIGTERM or Ctrl-C. Runs under way are then cancelled; a second signal does not wait."""
    serving = asyncio.create_task(runner.start())
    # Its first step sets a handler for SIGTERM that ends this process at once and leaves its runs behind.
    await asyncio.sleep(0)
    stopping: list[asyncio.Task[None]] = []

    def stop() -> None:
        if stopping:
            serving.cancel()
            return
        console.print("stopping; runs under way are cancelled and can be retried")
        stopping.append(asyncio.create_task(runner.astop()))

    for sent in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sent, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    await asyncio.gather(*stopping, return_exceptions=True)


async def keep_schedule(deployment: RunnerDeployment) -> None:
    """Leave a schedule alone that is the same on the server: it may have been paused in the UI."""
    if not deployment.schedules:
        return
    async with get_client() as client:
        try:
            found = await client.read_deployment_by_name(deployment.full_name)
        except ObjectNotFound:
            return
    (new,) = deployment.schedules
    if any(_same(new.schedule, old.schedule) for old in found.schedules):
        deployment.schedules = None
        deployment.model_fields_set.discard("schedules")


def _same(new: Any, old: Any) -> bool:
    # The anchor of an interval is the moment at which it was made.
    names = ("cron", "interval", "rrule", "timezone")
    return all(getattr(new, name, None) == getattr(old, name, None) for name in names)


async def drop_missed_runs(client: PrefectClient, deployments: list[UUID]) -> int:
    """Delete runs that a schedule made for a time at which nobody served; the next one takes all that came since."""
    missed = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=deployments)),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Scheduled", "Late"])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
        ),
    )
    missed = [run for run in missed if run.auto_scheduled]
    for run in missed:
        await client.delete_flow_run(run.id)
    return len(missed)


async def end_broken_off_runs(client: PrefectClient, deployments: list[UUID]) -> int:
    """Say of runs that ended with a server of our own, which they could not tell, that they crashed."""
    states = FlowRunFilterStateName(any_=["Running", "Pending", "Cancelling"])
    broken_off = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=deployments)),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(name=states)),
    )
    message = "It ended with `palimpsest serve`. Retry it: it goes on where it was."
    for run in broken_off:
        await client.set_flow_run_state(run.id, Crashed(message=message), force=True)
    return len(broken_off)


async def describe_deployment(client: PrefectClient, deployment_id: UUID) -> str:
    deployment = await client.read_deployment(deployment_id)
    schedules = [
        describe_schedule(entry.schedule) + ("" if entry.active else " (paused)") for entry in deployment.schedules
    ]
    paused = " (paused)" if deployment.paused else ""
    return f"  {deployment.name:<10} {', '.join(schedules) or 'when asked for'}{paused}"


def describe_schedule(schedule: Any) -> str:
    if interval := getattr(schedule, "interval", None):
        return f"every {interval}"
    zone = f" {schedule.timezone}" if schedule.timezone else ""
    return f"{getattr(schedule, 'cron', None) or schedule.rrule}{zone}"


def run_serving(
    parameters: Mapping[str, Mapping[str, Any]],
    schedules: Mapping[str, Schedule],
    *,
    port: int,
    n_runs_at_once: int,
    console: Console,
) -> None:
    """Until Ctrl-C or SIGTERM.

    Raises:
        ValueError, RuntimeError: as `joined_or_started`.
    """
    with joined_or_started(port) as (url, ui, own_server):
        os.environ["PREFECT_API_URL"] = url  # for the processes of the runs
        asyncio.run(
            serve_deployments(
                parameters, schedules, ui=ui, n_runs_at_once=n_runs_at_once, own_server=own_server, console=console
            )
        )
