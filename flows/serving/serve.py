"""Serve the deployments: connect to a Prefect server or start one, register them, and execute their runs."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_UI_URL,
    temporary_settings,
)
from prefect.states import Crashed
from rich.console import Console

from flows.running.engine_slot import ensure_engine_limit
from flows.running.outages import wait_for_outages
from flows.running.prefect_server import HOST, check_server, prefect_server
from flows.running.process import SERVED_BY
from flows.running.server_password import kept_password, password_file
from flows.serving.deployments import make_deployments

POLL_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The Prefect server that the flows are served on: `started` here, with this password, or found running."""

    url: str  # of its API
    ui: str
    started: bool = False
    password: str | None = None


@contextlib.contextmanager
def connect_or_start_server(port: int, *, with_password: bool) -> Iterator[Server]:
    """Yield the configured Prefect server, or one that ends with this context.

    Args:
        with_password: whether a server that is started asks for the password that is kept for it; for that in
            PREFECT_SERVER_API_AUTH_STRING it asks in any case.

    Raises:
        ValueError: the port is taken.
        RuntimeError: the server does not start, or the configured one does not answer or asks for another password.
    """
    if url := PREFECT_API_URL.value():
        check_server(url)
        yield Server(url=url, ui=PREFECT_UI_URL.value() or url.removesuffix("/api"))
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"port {port} is taken ({error}): choose another one with --port, or, if it is a Prefect server, "
                f"connect to it with PREFECT_API_URL=http://{HOST}:{port}/api"
            ) from error
        port = probe.getsockname()[1]
        password = PREFECT_SERVER_API_AUTH_STRING.value() or (kept_password() if with_password else None)
        # Until the server listens, the port stays ours: nobody else is given it.
        with (
            prefect_server(port, password) as url,
            temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: password}),
        ):
            yield Server(url=url, ui=url.removesuffix("/api"), started=True, password=password)


async def serve_deployments(
    parameters: Mapping[str, Mapping[str, Any]],
    schedules: Mapping[str, Schedule],
    *,
    server: Server,
    n_runs_at_once: int,
    console: Console,
) -> None:
    """Register the deployments and execute runs as they become due, until cancelled. Running runs are then stopped."""
    os.environ[SERVED_BY] = str(os.getpid())
    wait_for_outages(lambda message: console.print(message, style="yellow", markup=False, soft_wrap=True))
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
        n_interrupted = await mark_interrupted_runs(client, ids) if server.started else 0
        console.print(f"[bold]Palimpsest is served.[/bold] Open [cyan]{server.ui}/deployments[/cyan]", soft_wrap=True)
        if server.started:
            console.print(describe_sign_in(server.password), markup=False, highlight=False, soft_wrap=True)
        for deployment_id in ids:
            console.print(await describe_deployment(client, deployment_id), soft_wrap=True)
    if n_missed:
        console.print(f"{n_missed} scheduled runs were missed while the flows were not served; they were deleted")
    if n_interrupted:
        console.print(f"{n_interrupted} runs were interrupted; they are shown as crashed and can be retried")
    console.print("[dim]Ctrl-C stops it; finished work is kept.[/dim]")
    await run_until_stopped(runner, console)


def describe_sign_in(password: str | None) -> str:
    """How the users of a server that was started here sign in, and other programs."""
    if password is None:
        return "Warning: it requires no password, so every user of this machine can start runs on it."
    if PREFECT_SERVER_API_AUTH_STRING.value():
        return "Sign in with the whole value of PREFECT_SERVER_API_AUTH_STRING."
    return (
        f"Sign in with {password} (the whole string). It is stored in {password_file()}; other programs read it from "
        "PREFECT_API_AUTH_STRING."
    )


async def run_until_stopped(runner: Runner, console: Console) -> None:
    """Execute runs until SIGTERM or Ctrl-C. Running runs are then cancelled; a second signal does not wait for them."""
    serving = asyncio.create_task(runner.start())
    # Its first step installs a SIGTERM handler that would end this process at once and orphan its runs.
    await asyncio.sleep(0)
    stopping: list[asyncio.Task[None]] = []

    def stop() -> None:
        if stopping:
            serving.cancel()
            return
        console.print("stopping; running runs are cancelled and can be retried")
        stopping.append(asyncio.create_task(runner.astop()))

    for sent in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sent, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    await asyncio.gather(*stopping, return_exceptions=True)


async def keep_schedule(deployment: RunnerDeployment) -> None:
    """Leave an unchanged schedule on the server alone: it may have been paused in the UI."""
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
    # Not the anchor of an interval, which is its creation time.
    names = ("cron", "interval", "rrule", "timezone")
    return all(getattr(new, name, None) == getattr(old, name, None) for name in names)


async def drop_missed_runs(client: PrefectClient, deployments: list[UUID]) -> int:
    """Delete runs scheduled for a time when nothing was served; the next run takes all files added since."""
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


async def mark_interrupted_runs(client: PrefectClient, deployments: list[UUID]) -> int:
    """Mark runs as crashed that ended together with our own server and could not report it."""
    states = FlowRunFilterStateName(any_=["Running", "Pending", "Cancelling"])
    interrupted = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=deployments)),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(name=states)),
    )
    message = "It ended with `palimpsest serve`. Retry it to resume."
    for run in interrupted:
        await client.set_flow_run_state(run.id, Crashed(message=message), force=True)
    return len(interrupted)


async def describe_deployment(client: PrefectClient, deployment_id: UUID) -> str:
    deployment = await client.read_deployment(deployment_id)
    schedules = [
        describe_schedule(entry.schedule) + ("" if entry.active else " (paused)") for entry in deployment.schedules
    ]
    paused = " (paused)" if deployment.paused else ""
    return f"  {deployment.name:<10} {', '.join(schedules) or 'on request'}{paused}"


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
    with_password: bool,
    n_runs_at_once: int,
    console: Console,
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        ValueError, RuntimeError: as `connect_or_start_server`.
    """
    with connect_or_start_server(port, with_password=with_password) as server:
        # For the processes of the runs.
        os.environ["PREFECT_API_URL"] = server.url
        if server.password:
            os.environ["PREFECT_API_AUTH_STRING"] = server.password
        asyncio.run(
            serve_deployments(parameters, schedules, server=server, n_runs_at_once=n_runs_at_once, console=console)
        )
