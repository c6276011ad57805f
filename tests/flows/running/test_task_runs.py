"""Task runs whose end the server has not kept, on a real Prefect server."""

import asyncio

import pytest
from prefect import State, flow, get_client, task
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterName
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Pending, Running

import flows.running.task_runs
from flows.running.task_runs import task_runs_closed


@task
def measure() -> int:
    return 7


@task
def fail() -> None:
    raise ValueError("the work failed")


async def leave(state: State) -> None:
    """A task run in this state, as if the server had not kept the later ones."""
    async with get_client() as client:
        await client.create_task_run(measure, flow_run.id, dynamic_key=state.name, state=state)


async def reported(n_task_runs: int) -> None:
    """Wait until the server knows how so many task runs of this run ended."""
    ended = 0
    while ended < n_task_runs:
        async with get_client() as client:
            found = await client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id])))
        ended = sum(one.state.is_final() for one in found if one.state)
        await asyncio.sleep(0.05)


@flow
async def body(error: bool, all_complete: bool = True) -> str:
    async with task_runs_closed(all_complete=all_complete):
        assert measure() == 7
        await leave(Running())
        await leave(Pending())
        try:
            if error:
                fail()
        finally:
            await reported(1 + error)
    return str(flow_run.id)


async def read_task_runs(name: str) -> dict[str, tuple[StateType, str | None]]:
    async with get_client() as client:
        (run,) = await client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[name])))
        found = await client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
    return {one.dynamic_key: (one.state.type, one.state.message) for one in found if one.state}


async def test_no_task_run_shows_as_under_way_after_its_run(api, monkeypatch):
    monkeypatch.setattr(flows.running.task_runs, "REPORT_S", 1.0)  # these reports never come
    with temporary_settings({PREFECT_API_URL: api["PREFECT_API_URL"]}):
        await body.with_options(flow_run_name="good")(error=False)
        await body.with_options(flow_run_name="lossy")(error=False, all_complete=False)
        with pytest.raises(ValueError, match="the work failed"):
            await body.with_options(flow_run_name="bad")(error=True)
        lossy = await read_task_runs("lossy")
        assert sorted(state for state, _ in lossy.values()) == ["COMPLETED", "CRASHED", "CRASHED"]
        for name, state in (("good", StateType.COMPLETED), ("bad", StateType.CRASHED)):
            found = await read_task_runs(name)
            assert found["Running"][0] == found["Pending"][0] == state
        reasons = {key: message for key, (type_, message) in found.items() if type_ == StateType.FAILED}
        assert [message for message in reasons.values() if "the work failed" in str(message)], found
